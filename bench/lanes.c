#define _GNU_SOURCE
#include "lanes.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 20000
#define PARALLEL_MAX 64
#define JOB_SECONDS_MAX 60

static volatile sig_atomic_t interrupted;
static pid_t lanes[PARALLEL_MAX];

/* An end from outside: every lane lets its job come to its end, for a command that is killed leaves what it made. */
static void interrupt(int signal) {
  interrupted = 1;
  for (unsigned l = 0; l < PARALLEL_MAX; l++)
    if (lanes[l] > 0)
      kill(lanes[l], signal);
}

int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

uint32_t microseconds_since(int64_t began) {
  return (uint32_t)((now() - began) / 1000);
}

_Noreturn void fail(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
  exit(1);
}

_Noreturn void refuse(const char *what, const char *seen) {
  fprintf(stderr, "%s: %s: %.300s\n", program_invocation_short_name, what, seen);
  exit(1);
}

uint64_t number(const char *text, uint64_t least) {
  char *end;
  unsigned long long value = strtoull(text, &end, 10);
  if (*end || end == text || value < least || value > 1ull << 40)
    refuse("not such a number", text);
  return value;
}

static void print(const char *name, const struct sample *samples, unsigned count, size_t offset) {
  printf(",\"%s\":[", name);
  for (unsigned i = 0; i < count; i++)
    printf("%s%u", i ? "," : "", *(const uint32_t *)((const char *)&samples[i] + offset));
  printf("]");
}

static void lane(pid_t parent, unsigned each, lane_job *job, void *context, struct sample *samples) {
  memset(lanes, 0, sizeof lanes);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent)
    _exit(1);
  for (unsigned i = 0; i < each && !interrupted; i++) {
    alarm(JOB_SECONDS_MAX);
    job(context, &samples[i]);
  }
  exit(0);
}

int run_lanes(struct counts counts, lane_job *job, void *context) {
  if (counts.count < 1 || counts.count > COUNT_MAX || counts.parallel < 1 || counts.parallel > PARALLEL_MAX)
    refuse("count or parallel", "out of bounds");
  unsigned each = (counts.count + counts.parallel - 1) / counts.parallel, count = each * counts.parallel;
  struct sample *samples = mmap(NULL, count * sizeof *samples, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (samples == MAP_FAILED)
    fail("mmap");
  struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
  sigaction(SIGTERM, &action, NULL);
  pid_t self = getpid();
  int64_t began = now();
  for (unsigned l = 0; l < counts.parallel; l++) {
    pid_t pid = fork();
    if (pid < 0)
      fail("fork");
    if (pid == 0)
      lane(self, each, job, context, samples + l * each);
    lanes[l] = pid;
  }
  int bad = 0, status;
  while (wait(&status) > 0)
    bad |= status != 0;
  if (bad || interrupted)
    return 1;
  uint64_t bytes = 0;
  long long wall = (now() - began) / 1000;
  for (unsigned i = 0; i < count; i++)
    bytes += samples[i].bytes;
  printf("{\"wallMicroseconds\":%lld,\"bytes\":%llu", wall, (unsigned long long)bytes);
  print("firstByte", samples, count, offsetof(struct sample, first_us));
  print("cycle", samples, count, offsetof(struct sample, whole_us));
  printf("}\n");
  return 0;
}
