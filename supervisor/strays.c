/* Dead children that no request knows of: a command may make siblings of its own (CLONE_PARENT, clone(2)), and one whose forker was killed before it could
 * name it is nobody's either. As zombies they would count against the sandbox's limit, and keep PID 1 inside from ending (pid_namespaces(7)). SIGCHLD says
 * that there may be some. How many there are is for the inside to say, so they are looked for at most so often, and for so long at a time. */
#include "exec.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TURN_US 1000
#define PAUSE_US 2000

enum found { NONE, HELD, REAPED };

/* Whether it may be the command of a start, which is not known until it is named (exec-start.c): then it was made after that start had begun. */
static bool may_be_named(const struct supervisor *supervisor, pid_t pid) {
  uint64_t ticks = 0;
  for (const struct exec *exec = supervisor->starting; exec; exec = exec->next) {
    if (exec->process->pid > 0 || exec->notes_over)
      continue;
    if (!ticks)
      ticks = process_start_ticks(pid);
    if (exec->begun_ticks <= ticks)
      return true;
  }
  return false;
}

/* The kernel shows the one first that was made first; while that one cannot be reaped, the others wait behind it. */
static enum found reap_one(struct supervisor *supervisor) {
  siginfo_t information = {0};
  if (waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || information.si_pid <= 0)
    return NONE;
  struct watch *known = exec_child(supervisor, information.si_pid);
  if (known && known->ready) { /* its turn has come, also where a debugger inside held it when it ended (ptrace(2)) */
    known->ready(known, EPOLLIN);
    return REAPED;
  }
  if (known || may_be_named(supervisor, information.si_pid))
    return HELD;
  waitpid(information.si_pid, NULL, __WALL);
  return REAPED;
}

/* Until they have been looked for, more signals say nothing more. */
static void signalled(struct watch *watch, uint32_t events) {
  struct supervisor *supervisor = watch->owner;
  (void)events;
  loop_change(&supervisor->loop, watch, 0);
  supervisor->strays.look_at_us = now_us() + (supervisor->retry_us ? 0 : PAUSE_US);
}

uint64_t strays_mind_the_clock(struct supervisor *supervisor, uint64_t now) {
  struct strays *strays = &supervisor->strays;
  struct signalfd_siginfo information;
  if (!strays->look_at_us || strays->look_at_us > now)
    return strays->look_at_us;
  if (read(strays->signals.fd, &information, sizeof information) > 0) /* who ends from here on signals anew */
    loop_change(&supervisor->loop, &strays->signals, EPOLLIN);
  enum found found;
  while ((found = reap_one(supervisor)) == REAPED && now_us() < now + TURN_US)
    ;
  bool at_once = found == REAPED && supervisor->retry_us; /* all that lives inside is being killed */
  strays->look_at_us = found == NONE ? 0 : now_us() + (at_once ? 0 : PAUSE_US);
  return strays->look_at_us;
}

int strays_watch(struct supervisor *supervisor) {
  struct strays *strays = &supervisor->strays;
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  if (sigprocmask(SIG_BLOCK, &wanted, NULL) < 0)
    return -1;
  strays->signals = (struct watch){.fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK), .ready = signalled, .owner = supervisor};
  strays->look_at_us = now_us(); /* who has ended before */
  return strays->signals.fd < 0 ? -1 : loop_add(&supervisor->loop, &strays->signals, EPOLLIN);
}
