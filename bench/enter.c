/* enter: commands in a sandbox that runs, without a daemon.
 *
 *   enter floor --pid PID [--count N] [--parallel P] -- COMMAND...     what the kernel asks for one: this is the floor
 *   enter spawn           [--count N] [--parallel P] -- COMMAND...     the command is one that enters by itself (nsenter, docker exec)
 *
 * The floor forks a process that joins all namespaces of the sandbox by one setns(2), becomes uid 0 inside and forks the command,
 * which is then a member of the PID namespace. It joins no cgroup, drops nothing and loads no filter. Each run reads the command's
 * stdout to its end and is timed from before the fork to the first byte, and to the end. Prints one JSON object.
 */
#define _GNU_SOURCE
#include "lanes.h"
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#define ALL_NAMESPACES (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWCGROUP)

extern char **environ;

struct entering {
  int target; /* pidfd of the sandbox's main process; -1: spawn */
  char **command;
};

/* The one that joins; the command is its child, and it ends as the command does. */
static _Noreturn void join(const struct entering *entering, int output) {
  int status;
  if (setns(entering->target, ALL_NAMESPACES) < 0)
    fail("setns");
  if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
    fail("become uid 0 inside");
  if (dup2(output, 1) < 0)
    fail("dup2");
  pid_t pid = fork();
  if (pid < 0)
    fail("fork");
  if (pid == 0) {
    execv(entering->command[0], entering->command);
    fail(entering->command[0]);
  }
  if (waitpid(pid, &status, 0) != pid)
    fail("waitpid");
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static pid_t start(const struct entering *entering, int output) {
  pid_t pid;
  if (entering->target >= 0) {
    pid = fork();
    if (pid < 0)
      fail("fork");
    if (pid == 0)
      join(entering, output);
    return pid;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  errno = posix_spawnp(&pid, entering->command[0], &actions, NULL, entering->command, environ);
  if (errno)
    fail(entering->command[0]);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

static void run(void *context, struct sample *sample) {
  static char bytes[65536];
  int output[2], status;
  ssize_t n;
  if (pipe2(output, O_CLOEXEC) < 0)
    fail("pipe");
  int64_t began = now();
  pid_t pid = start(context, output[1]);
  close(output[1]);
  while ((n = read(output[0], bytes, sizeof bytes)) > 0) {
    if (sample->bytes == 0)
      sample->first_us = microseconds_since(began);
    sample->bytes += (uint64_t)n;
  }
  if (waitpid(pid, &status, 0) != pid)
    fail("waitpid");
  sample->whole_us = microseconds_since(began);
  close(output[0]);
  if (status != 0 || sample->bytes == 0)
    refuse("the command failed, or said nothing", ((struct entering *)context)->command[0]);
}

int main(int argc, char **argv) {
  struct counts counts = {1, 1};
  struct entering entering = {.target = -1};
  int pid = 0, i = 2;
  for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
    if (!strcmp(argv[i], "--pid"))
      pid = (int)number(argv[i + 1], 1);
    else if (!strcmp(argv[i], "--count"))
      counts.count = (unsigned)number(argv[i + 1], 1);
    else if (!strcmp(argv[i], "--parallel"))
      counts.parallel = (unsigned)number(argv[i + 1], 1);
    else
      refuse("unknown flag", argv[i]);
  }
  int floor = argc > 1 && !strcmp(argv[1], "floor");
  if (i + 1 >= argc || (!floor && strcmp(argv[1], "spawn") != 0) || floor != (pid > 0)) {
    fprintf(stderr, "usage: enter floor --pid PID|spawn [--count N] [--parallel P] -- COMMAND [ARGUMENT...]\n");
    return 2;
  }
  entering.command = argv + i + 1;
  if (floor) {
    entering.target = (int)syscall(SYS_pidfd_open, pid, 0);
    if (entering.target < 0)
      fail("pidfd_open");
  }
  return run_lanes(counts, run, &entering);
}
