/* System calls by number: usage: calls NUMBER... Each with arguments that do nothing, in a process of its own. */
#include "probe.h"

#include <stdlib.h>

static long call(const void *number) {
  return syscall(*(const long *)number, -1l, -1l, -1l, -1l, -1l, -1l);
}

int main(int count, char **arguments) {
  for (int i = 1; i < count; i++) {
    long number = atol(arguments[i]);
    say(outcome(in_child(call, &number)), "%ld", number);
  }
}
