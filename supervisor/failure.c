#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const layer_names[LAYER_COUNT] = {
  "cgroup", "limits", "namespaces", "ids", "mounts", "proc", "sys", "dev", "devpts", "root", "disk", "overlay", "pivot",
  "hostname", "loopback", "rlimits", "terminal", "user", "capabilities", "no-new-privs", "seccomp", "cwd", "command",
  "supervisor",
};

const char *layer_name(enum layer layer) {
  return (unsigned)layer < LAYER_COUNT ? layer_names[layer] : "unknown";
}

static int note(struct failure *failure, enum layer layer, bool guest, const char *format, va_list arguments) {
  int error = errno;
  failure->layer = layer;
  failure->error = error;
  failure->guest = guest;
  vsnprintf(failure->message, sizeof failure->message, format, arguments);
  errno = error;
  return -1;
}

int fail(struct failure *failure, enum layer layer, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int result = note(failure, layer, false, format, arguments);
  va_end(arguments);
  return result;
}

/* What no definition can bring about: the host has no more to give, or its disk fails. */
static bool is_hosts(int error) {
  return error == ENOMEM || error == EIO || error == EMFILE || error == ENFILE || error == EAGAIN || error == ENOSPC || error == EROFS;
}

int fail_guest(struct failure *failure, enum layer layer, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int result = note(failure, layer, !is_hosts(errno), format, arguments);
  va_end(arguments);
  return result;
}

void log_line(int level, const char *format, ...) {
  char message[512], escaped[1100], line[1400];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  size_t used = 0;
  for (const char *c = message; *c && used + 8 < sizeof escaped; c++) {
    if (*c == '"' || *c == '\\')
      escaped[used++] = '\\';
    escaped[used++] = (unsigned char)*c < 0x20 ? '?' : *c;
  }
  escaped[used] = 0;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  int length = snprintf(line, sizeof line, "{\"level\":%d,\"time\":%lld,\"pid\":%d,\"name\":\"launcher\",\"msg\":\"%s\"}\n", level,
                        (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, (int)getpid(), escaped);
  if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
    return; /* nobody is left to tell */
}
