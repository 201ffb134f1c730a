/* floor: what the kernel asks for one sandbox, with nothing around it.
 *
 * Theory of operation. A worker makes sandboxes one after the other. For each it makes upper, work and cgroups, clones
 * PID 1 into fresh namespaces (user mnt uts ipc net pid, then cgroup by unshare), writes the id maps, opens the root and
 * the upper directory as detached idmapped mounts and sends them over a socket. PID 1 mounts the overlay, /proc, /sys, /dev
 * and the masks, pivots, drops capabilities, loads the seccomp filter, forks the command and reaps. The command's
 * close-on-exec pipe tells the worker that execve succeeded. Then the worker kills the cgroup, reaps and removes.
 *
 * No daemon, no protocol, no store: a manager of sandboxes can be measured by how near it comes. It works at the same
 * privileges as the daemon's supervisor (root on the host), prepares nothing ahead, and keeps nothing between launches
 * but the compiled filter.
 *
 *   floor check  --root TREE --work DIR --cgroup NAME --id-base N
 *   floor launch ... --count N --pause-ms N      samples until execve succeeded and until the first byte of output
 *   floor cycle  ... --count N --parallel P      samples of whole cycles, P processes side by side
 *
 * Prints one JSON object; times are microseconds. See namespaces(7), user_namespaces(7), mount_setattr(2).
 */
#define _GNU_SOURCE
#include "floor.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 20000
#define PARALLEL_MAX 64
#define PAUSE_MS_MAX 1000

struct sample {
  uint32_t exec_us, byte_us, cycle_us, stations[STATIONS];
};

static volatile sig_atomic_t interrupted;
static pid_t workers[PARALLEL_MAX];

static const char *const station_names[STATIONS] = {
    [AT_DIRECTORIES] = "directories", [AT_CLONED] = "clone",      [AT_MAPPED] = "ids",       [AT_SENT] = "mounts",
    [AT_BASE] = "base",               [AT_OVERLAY] = "overlay",   [AT_PROC] = "proc-sys",    [AT_DEV] = "dev",
    [AT_MASKS] = "masks",             [AT_PIVOT] = "pivot",       [AT_NETWORK] = "loopback", [AT_DROPPED] = "capabilities",
    [AT_FILTERED] = "seccomp",        [AT_FORKED] = "fork",
};

int64_t floor_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

void floor_mark(struct instance *instance, enum station station) {
  instance->stations[station] = (uint32_t)((floor_now() - instance->began) / 1000);
}

_Noreturn void floor_fail(const char *what) {
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* An end from outside: every worker finishes the sandbox it is at, and the cgroups are removed. */
static void interrupt(int signal) {
  interrupted = 1;
  for (unsigned w = 0; w < PARALLEL_MAX; w++)
    if (workers[w] > 0)
      kill(workers[w], signal);
}

static uint32_t microseconds_since(int64_t began) {
  return (uint32_t)((floor_now() - began) / 1000);
}

/* One sandbox from nothing to nothing. With first_byte the command must say something, and that is timed too. */
static void cycle(const struct floor *floor, unsigned worker, unsigned number, char *const *argv, int first_byte, struct sample *sample) {
  struct instance instance = {.floor = floor, .argv = argv, .stations = sample->stations, .began = floor_now()};
  snprintf(instance.label, sizeof instance.label, "w%u-%u", worker, number);
  instance.uid = floor->id_base + worker * ID_RANGE;
  floor_begin(&instance);
  sample->exec_us = microseconds_since(instance.began);
  if (first_byte) {
    char byte;
    if (read(instance.output, &byte, 1) != 1)
      floor_fail("the command said nothing");
    sample->byte_us = microseconds_since(instance.began);
  }
  floor_end(&instance);
  sample->cycle_us = microseconds_since(instance.began);
}

/* Starts the workers and waits for them; returns the wall time in microseconds. */
static int64_t work(const struct floor *floor, unsigned parallel, unsigned each, unsigned pause_ms, char *const *argv, int first_byte,
                    struct sample *samples) {
  int64_t began = floor_now();
  for (unsigned w = 0; w < parallel; w++) {
    pid_t worker = fork();
    if (worker < 0)
      floor_fail("fork");
    if (worker == 0) {
      memset(workers, 0, sizeof workers);
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      for (unsigned i = 0; i < each && !interrupted; i++) {
        usleep(pause_ms * 1000);
        cycle(floor, w, i, argv, first_byte, &samples[w * each + i]);
      }
      _exit(0);
    }
    workers[w] = worker;
  }
  int bad = 0, status;
  for (unsigned w = 0; w < parallel; w++)
    if (waitpid(workers[w], &status, 0) < 0 || status != 0)
      bad = 1;
  memset(workers, 0, sizeof workers);
  return bad ? -1 : (floor_now() - began) / 1000;
}

static void print_samples(const char *name, const struct sample *samples, unsigned count, size_t offset) {
  printf(",\"%s\":[", name);
  for (unsigned i = 0; i < count; i++)
    printf("%s%u", i ? "," : "", *(const uint32_t *)((const char *)&samples[i] + offset));
  printf("]");
}

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* Medians of the time between each station and the one before it. */
static void print_phases(const struct sample *samples, unsigned count) {
  uint32_t *times = calloc(count, sizeof *times);
  if (!times)
    floor_fail("calloc");
  printf(",\"phases\":{");
  for (unsigned s = 0; s <= STATIONS; s++) {
    for (unsigned i = 0; i < count; i++) {
      uint32_t here = s == STATIONS ? samples[i].exec_us : samples[i].stations[s];
      uint32_t before = s == 0 ? 0 : samples[i].stations[s - 1];
      times[i] = here > before ? here - before : 0;
    }
    qsort(times, count, sizeof *times, ascending);
    printf("%s\"%s\":%u", s ? "," : "", s == STATIONS ? "execve" : station_names[s], times[count / 2]);
  }
  printf("}");
  free(times);
}

/* Proves that the sandbox is what it claims: bash itself reports from inside, and the report is compared here. */
static void check(const struct floor *floor, struct sample *sample) {
  static char *const script[] = {
      "/bin/bash", "-c",
      "echo \"pid $$ uid $UID host $HOSTNAME\"\n"
      "read -r a b c </proc/self/uid_map; echo \"map $a $c\"\n"
      "while read -r k v; do case $k in CapEff:|CapBnd:|NoNewPrivs:|Seccomp:) echo \"$k $v\";; esac; done </proc/self/status\n"
      "echo x >/file && echo wrote; (echo x >/proc/sys/kernel/hostname) 2>/dev/null || echo sys-closed\n"
      "[ -s /proc/kcore ] || echo kcore-masked; read -r s </sys/class/net/lo/operstate; echo \"lo $s\"\n"
      "echo x >/dev/null && [ -c /dev/ptmx ] && echo dev; read -r e", NULL};
  static const char expected[] = "pid 2 uid 0 host floor\nmap 0 65536\nCapEff: 0000000000000000\nCapBnd: 0000000000000000\n"
                                 "NoNewPrivs: 1\nSeccomp: 2\nwrote\nsys-closed\nkcore-masked\nlo unknown\ndev\n";
  char output[4096];
  size_t got = 0;
  struct instance instance = {.floor = floor, .label = "check", .uid = floor->id_base, .argv = script};
  instance.stations = sample->stations;
  instance.began = floor_now();
  floor_begin(&instance);
  while (got < sizeof expected - 1) {
    ssize_t n = read(instance.output, output + got, sizeof output - 1 - got);
    if (n <= 0)
      break;
    got += (size_t)n;
  }
  output[got] = 0;
  floor_end(&instance);
  if (strcmp(output, expected) != 0) {
    fprintf(stderr, "floor: the sandbox reports\n%sand not\n%s", output, expected);
    errno = EPROTO;
    floor_fail("check");
  }
}

static unsigned number(const char *text, unsigned least, unsigned most) {
  char *end;
  unsigned long value = strtoul(text, &end, 10);
  if (*end || end == text || value < least || value > most) {
    errno = ERANGE;
    floor_fail(text);
  }
  return (unsigned)value;
}

static void open_directories(struct floor *floor) {
  if (chdir(floor->work) < 0)
    floor_fail(floor->work);
  if (mkdir("base", 0755) < 0 && errno != EEXIST)
    floor_fail("base");
  floor->root_fd = open(floor->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (floor->root_fd < 0)
    floor_fail(floor->root);
}

int main(int argc, char **argv) {
  struct floor floor = {.name = "unshared-floor", .id_base = 2000000000u};
  unsigned count = 50, parallel = 1, pause_ms = 0;
  for (int i = 2; i + 1 < argc; i += 2) {
    const char *value = argv[i + 1];
    if (!strcmp(argv[i], "--root"))
      floor.root = value;
    else if (!strcmp(argv[i], "--work"))
      floor.work = value;
    else if (!strcmp(argv[i], "--cgroup"))
      floor.name = value;
    else if (!strcmp(argv[i], "--id-base"))
      floor.id_base = number(value, 65536, 4000000000u);
    else if (!strcmp(argv[i], "--count"))
      count = number(value, 1, COUNT_MAX);
    else if (!strcmp(argv[i], "--parallel"))
      parallel = number(value, 1, PARALLEL_MAX);
    else if (!strcmp(argv[i], "--pause-ms"))
      pause_ms = number(value, 0, PAUSE_MS_MAX);
  }
  if (argc < 2 || !floor.root || !floor.work) {
    fprintf(stderr, "usage: floor check|launch|cycle --root TREE --work DIR [--cgroup NAME] [--id-base N] [--count N] [--parallel P] [--pause-ms N]\n");
    return 2;
  }
  struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  umask(022);
  unsigned each = (count + parallel - 1) / parallel;
  count = each * parallel;
  struct sample *samples = mmap(NULL, count * sizeof *samples, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (samples == MAP_FAILED)
    floor_fail("mmap");
  floor.filter = floor_filter();
  open_directories(&floor);
  floor_trees_open(&floor);

  static char *const speaks[] = {"/bin/bash", "-c", "echo ok; read -r line", NULL};
  static char *const waits[] = {"/bin/bash", NULL};
  int launch = !strcmp(argv[1], "launch");
  int64_t wall = 0;
  if (!strcmp(argv[1], "check")) {
    /* A child, so that the cgroups are removed also when the check fails. */
    pid_t checker = fork();
    if (checker == 0) {
      check(&floor, samples);
      _exit(0);
    }
    int status = 1;
    if (checker < 0 || waitpid(checker, &status, 0) < 0 || status != 0)
      wall = -1;
  } else {
    wall = work(&floor, parallel, each, pause_ms, launch ? speaks : waits, launch, samples);
  }
  floor_trees_close(&floor);
  if (wall < 0 || interrupted)
    return 1;
  printf("{\"mode\":\"%s\",\"count\":%u,\"parallel\":%u,\"filterInstructions\":%u,\"wallMicroseconds\":%lld", argv[1], count, parallel,
         floor.filter.len, (long long)wall);
  if (wall > 0) {
    print_samples("exec", samples, count, offsetof(struct sample, exec_us));
    if (launch)
      print_samples("firstByte", samples, count, offsetof(struct sample, byte_us));
    print_samples("cycle", samples, count, offsetof(struct sample, cycle_us));
    print_phases(samples, count);
  }
  printf("}\n");
  return 0;
}
