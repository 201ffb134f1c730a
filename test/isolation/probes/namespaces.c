/* New namespaces, by each call that makes them. */
#include "probe.h"

#include <linux/sched.h>
#include <signal.h>

static const struct {
  const char *name;
  unsigned long flag;
} types[] = {
  {"mnt", CLONE_NEWNS}, {"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC}, {"net", CLONE_NEWNET},
  {"pid", CLONE_NEWPID}, {"user", CLONE_NEWUSER}, {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME},
};

static long by_unshare(const void *flag) {
  return syscall(SYS_unshare, *(const unsigned long *)flag);
}

static long by_clone(const void *flag) {
  long pid = syscall(SYS_clone, *(const unsigned long *)flag | SIGCHLD, NULL, NULL, NULL, 0);
  if (pid == 0)
    _exit(0);
  return pid;
}

static long by_clone3(const void *flag) {
  struct clone_args arguments = {.flags = *(const unsigned long *)flag, .exit_signal = SIGCHLD};
  long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0)
    _exit(0);
  return pid;
}

int main(void) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    say(outcome(in_child(by_unshare, &types[i].flag)), "unshare %s", types[i].name);
    if (types[i].flag != CLONE_NEWTIME) /* clone(2) has its bit for the exit signal */
      say(outcome(in_child(by_clone, &types[i].flag)), "clone %s", types[i].name);
    say(outcome(in_child(by_clone3, &types[i].flag)), "clone3 %s", types[i].name);
  }
  /* Each with a new user namespace, which would give the capabilities that the other needs. */
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].flag != CLONE_NEWUSER) {
      unsigned long both = types[i].flag | CLONE_NEWUSER;
      say(outcome(in_child(by_unshare, &both)), "unshare user+%s", types[i].name);
    }
}
