/* Makes processes whose parent is its own parent (CLONE_PARENT, clone(2)): of a command that was started in a running sandbox, the supervisor.
 *   siblings COUNT   COUNT of them end at once, with 7; then it says how many there were and why there are no more, and stays
 *   siblings -COUNT  the same, and they stay too
 *   siblings 0       makes some thousand in a second, until it is killed
 * It begins when it can read from stdin, or is at the end of it. */
#include "probe.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>

static int make_one(int stays) {
  long sibling = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
  if (sibling == 0 && stays)
    pause();
  if (sibling == 0)
    _exit(7);
  return sibling < 0 ? errno : 0;
}

int main(int count, char **arguments) {
  int wanted = count > 1 ? atoi(arguments[1]) : 0, made = 0, error = 0;
  char go;
  if (read(0, &go, 1) < 0)
    return 1;
  for (; wanted == 0; usleep(5000))
    for (int i = 0; i < 10; i++)
      make_one(0);
  while (made < abs(wanted) && (error = make_one(wanted < 0)) == 0)
    made++;
  say(outcome(error), "siblings %d", made);
  for (;;)
    pause();
}
