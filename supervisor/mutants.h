/* Layers that the isolation tests take away, to show that each check can fail (test/isolation/README.md). Only in a build with
 * -DUNSHARED_MUTANTS (make MUTANTS=1), by the names in the launcher's UNSHARED_MUTANTS; in the product each is a constant, and no
 * name of one is in it: a test looks. */
#ifndef MUTANTS_H
#define MUTANTS_H

#include "host.h"

#define FDS_CLOSED_ALWAYS 99u /* with fds-kept those of the program itself; what it was started with has greater numbers */

#ifdef UNSHARED_MUTANTS

#include <stdlib.h>
#include <string.h>

/* Names are separated by commas. None begins with another one. */
static inline bool mutant(const char *name) {
  const char *chosen = getenv("UNSHARED_MUTANTS");
  return chosen && strstr(chosen, name) != NULL;
}

/* The mount namespace is not among them: the mounts of a launch would be the host's. */
static inline unsigned mutant_isolation(unsigned isolate) {
  static const char *const names[NS_COUNT] = {
    [NS_UTS] = "no-uts", [NS_IPC] = "no-ipc", [NS_NET] = "no-net", [NS_PID] = "no-pid", [NS_USER] = "no-user", [NS_CGROUP] = "no-cgroup-namespace",
  };
  for (int i = 0; i < NS_COUNT; i++)
    if (names[i] && mutant(names[i]))
      isolate &= ~NS_BIT(i);
  return isolate;
}

#else

#define mutant(name) false
#define mutant_isolation(isolate) (isolate)

#endif
#endif
