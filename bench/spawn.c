/* spawn: runs a command again and again and times each run from posix_spawn to its end.
 *
 * A peer is measured by this small program because a fork of a large one (Node) would be charged to the peer.
 *
 *   spawn --count N --parallel P --pause-ms N -- COMMAND [ARGUMENT...]     "{}" in an argument becomes a name that no other run has
 *
 * Prints one JSON object; times are microseconds. A run that ends in any way but exit 0 ends the measurement with its output.
 * The command gets pipes and never a device of the host as its stdio: a runtime may change the owner of what it is given.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS_MAX 64
#define COUNT_MAX 20000
#define PARALLEL_MAX 64
#define RUN_SECONDS_MAX 60
#define PAUSE_MS_MAX 1000

extern char **environ;

static volatile sig_atomic_t running;     /* pid of the run that is timed */
static volatile sig_atomic_t interrupted; /* an end from outside */
static pid_t workers[PARALLEL_MAX];

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "spawn: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* A run that hangs. */
static void end_run(int signal) {
  (void)signal;
  if (running > 0)
    kill(running, SIGKILL);
  _exit(1);
}

/* An end from outside: every worker lets its run come to its end, for a runtime that is killed leaves cgroups and mounts. */
static void interrupt(int signal) {
  interrupted = 1;
  for (unsigned w = 0; w < PARALLEL_MAX; w++)
    if (workers[w] > 0)
      kill(workers[w], signal);
}

/* Puts the name in place of "{}". The strings live as long as the worker's run. */
static void fill(char *const *command, char *filled[ARGUMENTS_MAX], char text[4096], const char *name) {
  int i = 0;
  for (; command[i] && i < ARGUMENTS_MAX - 1; i++) {
    const char *place = strstr(command[i], "{}");
    filled[i] = command[i];
    if (!place)
      continue;
    filled[i] = text;
    text += 1 + sprintf(text, "%.*s%s%s", (int)(place - command[i]), command[i], name, place + 2);
  }
  filled[i] = NULL;
}

static void show_output(int output) {
  char text[4096];
  ssize_t n = read(output, text, sizeof text);
  if (n > 0)
    fwrite(text, 1, (size_t)n, stderr);
}

/* One run; returns microseconds. */
static uint32_t run(char *const *command, const char *name, posix_spawn_file_actions_t *actions, int output) {
  char *filled[ARGUMENTS_MAX], text[4096];
  pid_t pid;
  int status;
  fill(command, filled, text, name);
  alarm(RUN_SECONDS_MAX);
  int64_t began = now();
  errno = posix_spawnp(&pid, filled[0], actions, NULL, filled, environ);
  if (errno)
    fail(filled[0]);
  running = pid;
  if (waitpid(pid, &status, 0) != pid)
    fail("waitpid");
  int64_t ended = now();
  running = 0;
  if (status != 0) {
    show_output(output);
    fprintf(stderr, "spawn: %s ended with status %#x\n", filled[0], status);
    _exit(1);
  }
  return (uint32_t)((ended - began) / 1000);
}

static void work(char *const *command, unsigned worker, unsigned each, unsigned pause_ms, uint32_t *samples) {
  posix_spawn_file_actions_t actions;
  int input[2], output[2];
  if (pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC | O_NONBLOCK) < 0)
    fail("pipe");
  close(input[1]);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input[0], 0);
  posix_spawn_file_actions_adddup2(&actions, output[1], 1);
  posix_spawn_file_actions_adddup2(&actions, output[1], 2);
  for (unsigned i = 0; i < each && !interrupted; i++) {
    char name[48];
    usleep(pause_ms * 1000);
    snprintf(name, sizeof name, "bench-%d-%u-%u", (int)getpid(), worker, i);
    samples[i] = run(command, name, &actions, output[0]);
  }
}

int main(int argc, char **argv) {
  unsigned count = 0, parallel = 1, pause_ms = 0;
  int i = 1;
  for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
    if (!strcmp(argv[i], "--count"))
      count = (unsigned)atoi(argv[i + 1]);
    if (!strcmp(argv[i], "--parallel"))
      parallel = (unsigned)atoi(argv[i + 1]);
    if (!strcmp(argv[i], "--pause-ms"))
      pause_ms = (unsigned)atoi(argv[i + 1]);
  }
  if (i + 1 >= argc || argc - i > ARGUMENTS_MAX || count < 1 || count > COUNT_MAX || parallel < 1 || parallel > PARALLEL_MAX || pause_ms > PAUSE_MS_MAX) {
    fprintf(stderr, "usage: spawn --count N [--parallel P] [--pause-ms N] -- COMMAND [ARGUMENT...]\n");
    return 2;
  }
  char *const *command = argv + i + 1;
  unsigned each = (count + parallel - 1) / parallel;
  count = each * parallel;
  uint32_t *samples = mmap(NULL, count * sizeof *samples, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (samples == MAP_FAILED)
    fail("mmap");
  struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
  sigaction(SIGTERM, &action, NULL);
  int64_t began = now();
  for (unsigned w = 0; w < parallel; w++) {
    pid_t worker = fork();
    if (worker < 0)
      fail("fork");
    if (worker == 0) {
      memset(workers, 0, sizeof workers);
      signal(SIGALRM, end_run);
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      work(command, w, each, pause_ms, samples + w * each);
      _exit(0);
    }
    workers[w] = worker;
  }
  int bad = 0, status;
  while (wait(&status) > 0)
    bad |= status != 0;
  if (bad || interrupted)
    return 1;
  printf("{\"count\":%u,\"parallel\":%u,\"wallMicroseconds\":%lld,\"cycle\":[", count, parallel, (long long)((now() - began) / 1000));
  for (unsigned s = 0; s < count; s++)
    printf("%s%u", s ? "," : "", samples[s]);
  printf("]}\n");
  return 0;
}
