/* Layers that the isolation tests take away, to show that each check can fail (test/isolation/README.md). Only in a build with
 * -DUNSHARED_MUTANTS (make MUTANTS=1), by the names in the launcher's UNSHARED_MUTANTS; in the product each is a constant, and no
 * name of one is in it: a test looks. */
#ifndef MUTANTS_H
#define MUTANTS_H

#include "host.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* What a loader in the sandbox's view does: the library that is named there is mapped, to be executed. */
static inline void mutant_load(const char *list) {
  char name[256];
  FILE *file = fopen(list, "re");
  int library = file && fscanf(file, "%255s", name) == 1 ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  if (library >= 0 && mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, library, 0) == MAP_FAILED)
    perror(name);
  if (library >= 0)
    close(library);
  if (file)
    fclose(file);
}

/* What asks a program of the sandbox does: it is executed with the rights of who serves there. */
static inline void mutant_execute(const char *program) {
  pid_t child = fork();
  if (child == 0) {
    execl(program, program, (char *)NULL);
    _exit(127);
  }
  if (child > 0)
    waitpid(child, NULL, 0);
}
#endif
