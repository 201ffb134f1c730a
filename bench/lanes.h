/* A job done again and again, in one process or in several side by side; what enter.c and client.c share. */
#ifndef LANES_H
#define LANES_H

#include <stdint.h>

/* One doing of the job; microseconds since it began, and bytes that it moved. */
struct sample {
  uint32_t first_us, whole_us;
  uint64_t bytes;
};

struct counts {
  unsigned count, parallel;
};

/* Nanoseconds of CLOCK_MONOTONIC; an end with the reason. */
int64_t now(void);
uint32_t microseconds_since(int64_t began);
_Noreturn void fail(const char *what);
/* As fail, where errno says nothing. */
_Noreturn void refuse(const char *what, const char *seen);

/* A whole number of an argument, from `least` to 2^40. */
uint64_t number(const char *text, uint64_t least);

/* Does the job `count` times in `parallel` processes and prints one JSON object; answers the exit code. A failure ends all. */
typedef void lane_job(void *context, struct sample *sample);
int run_lanes(struct counts counts, lane_job *job, void *context);

#endif
