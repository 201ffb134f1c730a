/* Takes all the processor time that it gets. usage: busy HOGS TIMERS: so many processes that count, each in a session of its own (the
 * kernel shares out by sessions, sched(7)), and so many with timers that fire as often as they can; ends with them. */
#include "probe.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>

static void count_up(void) {
  for (volatile unsigned long i = 0;; i++)
    ;
}

static void fired(int signal) {
  (void)signal;
}

static void storm(void) {
  struct itimerval often = {{0, 1}, {0, 1}};
  signal(SIGALRM, fired);
  for (int i = 0; i < 50; i++) {
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec nanoseconds = {{0, 1000}, {0, 1000}};
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
      timer_settime(timer, 0, &nanoseconds, NULL);
  }
  setitimer(ITIMER_REAL, &often, NULL);
  count_up();
}

int main(int count, char **arguments) {
  int hogs = count > 1 ? atoi(arguments[1]) : 1, timers = count > 2 ? atoi(arguments[2]) : 0;
  for (int i = 0; i < hogs + timers; i++)
    if (fork() == 0) {
      setsid();
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (i < hogs)
        count_up();
      storm();
    }
  say("yes", "busy");
  while (wait(NULL) > 0)
    ;
}
