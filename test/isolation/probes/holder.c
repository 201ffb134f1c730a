/* Traces a process of the same user (PTRACE_SEIZE, ptrace(2)) and does not wait for its end: until the tracer goes, nobody can. */
#include "probe.h"

#include <stdlib.h>
#include <sys/ptrace.h>

int main(int count, char **arguments) {
  TRY(ptrace(PTRACE_SEIZE, count > 1 ? atoi(arguments[1]) : 0, NULL, NULL), "seize");
  for (;;)
    pause();
}
