/* How a step that could not be done is told: the layer, the errno, and whose fault it is. */
#ifndef FAILURE_H
#define FAILURE_H

#include <stdbool.h>

enum layer {
  LAYER_CGROUP, LAYER_LIMITS, LAYER_NAMESPACES, LAYER_IDS, LAYER_MOUNTS, LAYER_PROC, LAYER_SYS, LAYER_DEV,
  LAYER_DEVPTS, LAYER_ROOT, LAYER_DISK, LAYER_OVERLAY, LAYER_PIVOT, LAYER_HOSTNAME, LAYER_LOOPBACK, LAYER_RLIMITS,
  LAYER_TERMINAL, LAYER_USER, LAYER_CAPABILITIES, LAYER_NO_NEW_PRIVS, LAYER_SECCOMP, LAYER_CWD, LAYER_COMMAND,
  LAYER_SUPERVISOR, LAYER_COUNT
};

struct failure {
  enum layer layer;
  int error;          /* errno(3) */
  int guest;          /* 1: the definition is at fault, not the host; 0. No bool, as it may come from a process that is not trusted */
  char message[232];
};

const char *layer_name(enum layer layer);

/* Both note the present errno and answer -1, so that a step can `return fail(...)`. Of `fail_guest` the definition is at fault, unless the
 * errno is one of the host's. */
int fail(struct failure *failure, enum layer layer, const char *format, ...) __attribute__((format(printf, 3, 4)));
int fail_guest(struct failure *failure, enum layer layer, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* One JSON line on standard error, in pino's form. `level` is 30 for information, 40 for a warning, 50 for an error. */
void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
