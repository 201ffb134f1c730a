/* What all probes share: one line "NAME: OUTCOME" for each thing tried. */
#ifndef PROBE_H
#define PROBE_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The name of an errno, "ok" for 0. */
static inline const char *outcome(int error) {
  const char *name = error ? strerrorname_np(error) : "ok";
  return name ? name : "?";
}

static inline void say(const char *value, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf(": %s\n", value);
  fflush(stdout);
}

/* Says how a call ended that answers -1 with errno. */
#define TRY(call, ...) \
  do { \
    errno = 0; \
    long result_ = (long)(call); \
    say(outcome(result_ == -1 ? errno : 0), __VA_ARGS__); \
  } while (0)

/* Runs `attempt` in a child, so that nothing of it stays; gives its errno, or ECANCELED when a signal ended it. */
static inline int in_child(long (*attempt)(const void *), const void *argument) {
  int *error = mmap(NULL, sizeof *error, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (error == MAP_FAILED)
    return errno;
  *error = ECANCELED;
  pid_t child = fork();
  if (child == 0) {
    errno = 0;
    long result = attempt(argument);
    *error = result == -1 ? errno : 0;
    _exit(0);
  }
  if (child < 0)
    return errno;
  while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
    ;
  int result = *error;
  munmap(error, sizeof *error);
  return result;
}

#endif
