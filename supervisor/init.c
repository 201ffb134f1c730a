/* PID 1 of a sandbox: reaps whatever is orphaned, forwards signals to the command, and tells once how the command ended. It then
 * stays until the supervisor kills the sandbox as a whole, so that what is left over can be counted. It grows nothing else. */
#include "instance.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t microseconds(struct timeval time) {
  return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static void reap(int last, pid_t command) {
  int status;
  struct rusage usage;
  for (pid_t pid; (pid = wait4(-1, &status, WNOHANG, &usage)) > 0;) {
    if (pid != command)
      continue;
    struct last_word word = {
      .status = status,
      .user_us = microseconds(usage.ru_utime),
      .system_us = microseconds(usage.ru_stime),
      .max_rss_bytes = (uint64_t)usage.ru_maxrss * 1024,
    };
    if (write(last, &word, sizeof word) < 0)
      _exit(0); /* the supervisor is gone, and the sandbox ends with it */
  }
}

void init_run(int last, pid_t command) {
  sigset_t all;
  process_title("init", "");
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  for (;;) {
    reap(last, command);
    siginfo_t information;
    int signal_number = sigwaitinfo(&all, &information);
    if (signal_number > 0 && signal_number != SIGCHLD && command > 0)
      kill(command, signal_number);
  }
}
