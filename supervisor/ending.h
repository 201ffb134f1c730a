/* How a process ended, and how that is told. */
#ifndef ENDING_H
#define ENDING_H

#include "wire.h"

#include <sys/resource.h>

struct usage {
  uint64_t user_us, system_us, max_rss_bytes;
};

struct ending {
  const char *reason;
  int code, signal_number; /* -1: does not apply */
  uint64_t at_ms;          /* since 1970 */
  struct usage usage;
};

struct usage usage_of(const struct rusage *usage);
/* From a status of wait4(2); `reason` is `exited` or `signaled`. */
struct ending ending_of(int status, const struct usage *usage);
/* `REASON CODE SIGNAL`, with `-` for what does not apply. */
struct ending_text {
  char text[64];
};
struct ending_text ending_text(const struct ending *ending);
void ending_put(struct frame *frame, const struct ending *ending);

/* Milliseconds and microseconds since 1970. */
uint64_t wall_ms(void);
uint64_t wall_us(void);

#endif
