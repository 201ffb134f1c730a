/* What the processes of a sandbox write and how they end, kept on disk in STATE_DIR/sandboxes/ID/log; see PROTOCOL.md, "The log". */
#ifndef OUTPUT_LOG_H
#define OUTPUT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_SEGMENTS 256u      /* at most, whatever their sizes */
#define LOG_SEGMENT_LEAST 4096u /* bytes that a segment may always hold */
#define LOG_DATA_LIMIT 65536u
#define LOG_BATCH (4 * LOG_DATA_LIMIT) /* that may wait: few large writes cost the page cache half of what many small ones do */

enum log_kind { LOG_STDOUT = 1, LOG_STDERR, LOG_EXIT };

/* Before each record's name and data, without padding, little-endian as is every machine that this runs on. */
struct log_header {
  uint32_t length; /* of name and data */
  uint8_t kind, name_length;
  uint16_t zero;
  uint64_t time_us; /* since 1970 */
  uint64_t number;  /* of the record within its process */
};
_Static_assert(sizeof(struct log_header) == 24, "the header has no padding");

struct process;
struct log_segment {
  uint64_t number, size;
};

struct output_log {
  int sandboxes;                      /* STATE_DIR/sandboxes; not its own */
  const char *id;                     /* of the sandbox; not its own */
  uint64_t limit;                     /* bytes of all segments; 0: nothing is kept */
  int directory, segment;             /* -1: not open. The open segment is the newest */
  struct log_segment segments[LOG_SEGMENTS]; /* oldest first */
  unsigned count;
  uint64_t total;                     /* bytes of all segments */
  uint64_t next;                      /* number of the next segment; 0: nobody has looked yet */
  uint64_t lost_records, lost_bytes;  /* that could not be written; bytes of data */
  uint64_t waiting_since_us;          /* now_us() */
  uint64_t window_until_us, window_bytes; /* records added in the present stretch of time */
  struct process *behind;             /* whose newest records are in its ring alone; NULL: nobody's */
  uint64_t behind_until_us;           /* when they are to follow; 0: nothing is to */
  size_t waiting;                     /* bytes of whole records in `batch` that are to be written */
  char batch[LOG_BATCH];
};

/* Touches nothing: directory and first segment are made for the first record. */
void output_log_init(struct output_log *log, int sandboxes, const char *id, uint64_t limit);
/* The most data that one record may bring, so that several fit into the log. */
size_t output_log_part(const struct output_log *log);
/* Where the data of the next record of `name` is to be put, up to LOG_DATA_LIMIT bytes; holds until the next call of any of these. */
char *output_log_place(struct output_log *log, const char *name);
/* Adds the record whose data lies there. It is written by the next flush, or before when more come than can wait. */
void output_log_add(struct output_log *log, enum log_kind kind, const char *name, uint64_t time_us, uint64_t number, size_t length);
/* Whether so much comes at `now_us` that it is cheaper to let records pile up in `process`'s ring, and to write what is still held of them at
 * `behind_until_us`. The log is told here; the caller says when it is done. */
bool output_log_falls_behind(struct output_log *log, struct process *process, uint64_t now_us);
void output_log_caught_up(struct output_log *log);
/* Whether records wait, and whether they have waited long enough at `now_us`. */
bool output_log_waits(const struct output_log *log);
bool output_log_due(const struct output_log *log, uint64_t now_us);
/* Writes what waits. What cannot be written is counted as lost, and told once (log_line); later records are tried again. */
void output_log_flush(struct output_log *log);
void output_log_close(struct output_log *log);

#endif
