/* The last bytes of a process's output, kept as numbered records up to a bound; the oldest whole records go first. */
#ifndef RING_H
#define RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_RECORD_LIMIT 65536u

struct record {
  uint64_t time_us; /* since 1970 */
  uint32_t length;
  uint32_t stream; /* 1 stdout, 2 stderr */
};

struct ring {
  char *data;
  size_t capacity, limit; /* bytes held now and at most, record headers included */
  size_t head, used;      /* offset of the oldest record, bytes in use */
  uint64_t first, next;   /* number of the oldest record held, and of the next to come; the first of all is 1 */
  uint64_t dropped_bytes;
  uint64_t seek_number;   /* where the last reader stopped, so that the next need not walk from the head */
  size_t seek_offset;
};

void ring_init(struct ring *ring, size_t limit);
void ring_free(struct ring *ring);
/* Drops all records and their memory; numbers go on. */
void ring_clear(struct ring *ring);
/* Adds one record of at most RING_RECORD_LIMIT bytes. Answers false when memory could not be had: the bytes then count as dropped. */
bool ring_add(struct ring *ring, uint32_t stream, uint64_t time_us, const void *bytes, size_t length);
/* Calls `take` for the records after number `after`, oldest first, until it answers false. The bytes come in one or two pieces. */
typedef bool ring_take(void *context, uint64_t number, const struct record *record, const char *piece, size_t piece_length, const char *rest);
void ring_read(struct ring *ring, uint64_t after, ring_take *take, void *context);

#endif
