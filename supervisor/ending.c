#include "ending.h"

#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

uint64_t wall_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t wall_ms(void) {
  return wall_us() / 1000;
}

static uint64_t microseconds(struct timeval time) {
  return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

struct usage usage_of(const struct rusage *usage) {
  return (struct usage){microseconds(usage->ru_utime), microseconds(usage->ru_stime), (uint64_t)usage->ru_maxrss * 1024};
}

struct ending ending_of(int status, const struct usage *usage) {
  struct ending ending = {.reason = "exited", .code = -1, .signal_number = -1, .at_ms = wall_ms(), .usage = *usage};
  if (WIFSIGNALED(status)) {
    ending.reason = "signaled";
    ending.signal_number = WTERMSIG(status);
  } else {
    ending.code = WEXITSTATUS(status);
  }
  return ending;
}

struct ending_text ending_text(const struct ending *ending) {
  struct ending_text text;
  char code[16] = "-", signal_number[16] = "-";
  if (ending->code >= 0)
    snprintf(code, sizeof code, "%d", ending->code);
  if (ending->signal_number >= 0)
    snprintf(signal_number, sizeof signal_number, "%d", ending->signal_number);
  snprintf(text.text, sizeof text.text, "%s %s %s", ending->reason, code, signal_number);
  return text;
}

void ending_put(struct frame *frame, const struct ending *ending) {
  frame_put(frame, "reason", "%s", ending->reason);
  if (ending->code >= 0)
    frame_put(frame, "code", "%d", ending->code);
  if (ending->signal_number >= 0)
    frame_put(frame, "signal", "%d", ending->signal_number);
  frame_put(frame, "exited-at", "%llu", (unsigned long long)ending->at_ms);
  frame_put(frame, "user-us", "%llu", (unsigned long long)ending->usage.user_us);
  frame_put(frame, "system-us", "%llu", (unsigned long long)ending->usage.system_us);
  frame_put(frame, "max-rss-bytes", "%llu", (unsigned long long)ending->usage.max_rss_bytes);
}
