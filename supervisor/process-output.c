/* What a process writes: into the ring and the log of its sandbox, and from the ring to whoever asks. */
#include "process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(LOG_DATA_LIMIT <= RING_RECORD_LIMIT, "what is read at once is one record of the ring");
#define RECORDS_LIMIT 4000 /* in one reply, which has a bound on its fields */

struct collected {
  struct frame *frame;
  uint64_t left;
  unsigned records;
  struct frame bytes;
};

static bool collect(void *context, uint64_t number, const struct record *record, const char *piece, size_t piece_length, const char *rest) {
  struct collected *collected = context;
  if (record->length > collected->left || ++collected->records > RECORDS_LIMIT)
    return false;
  collected->left -= record->length;
  frame_put(collected->frame, "record", "%llu %u %llu %u", (unsigned long long)number, record->stream, (unsigned long long)record->time_us, record->length);
  frame_raw(&collected->bytes, piece, piece_length);
  frame_raw(&collected->bytes, rest, record->length - piece_length);
  return true;
}

/* Answers with what there is after `after`; false when there is nothing yet and something may still come, or the asker is to read first. */
static bool answer(struct process *process, const struct waiter *asked, bool at_once) {
  struct ring *ring = &process->ring;
  struct peer *peer = asked->peer;
  struct frame frame;
  uint32_t request = asked->request;
  uint64_t after = asked->held ? ring->first - 1 : asked->after;
  if (!at_once && peer_is_full(peer))
    return false;
  if (after + 1 < ring->first) {
    frame_begin(&frame, ERROR, request);
    frame_put(&frame, "code", "dropped");
    frame_put(&frame, "message", "record %llu is held no more", (unsigned long long)after + 1);
    frame_put(&frame, "first", "%llu", (unsigned long long)ring->first);
    frame_end(&frame);
    peer_send(peer, &frame);
    return true;
  }
  if (!at_once && asked->wait && after + 1 >= ring->next && !process->output_over)
    return false;
  struct collected collected = {.frame = &frame, .left = asked->max_bytes};
  frame_begin(&frame, RECORDS, request);
  frame_put(&frame, "first", "%llu", (unsigned long long)ring->first);
  frame_put(&frame, "next", "%llu", (unsigned long long)ring->next);
  frame_put(&frame, "ended", "%d", process->output_over);
  frame_put(&frame, "dropped-bytes", "%llu", (unsigned long long)ring->dropped_bytes);
  ring_read(ring, after, collect, &collected);
  frame_payload(&frame, collected.bytes.data, collected.bytes.length);
  frame.failed |= collected.bytes.failed;
  frame_free(&collected.bytes);
  frame_end(&frame);
  peer_send(peer, &frame);
  return true;
}

void process_answer(struct process *process, bool at_once) {
  for (struct waiter **at = &process->waiters; *at;) {
    struct waiter *waiter = *at;
    if (!answer(process, waiter, at_once)) {
      at = &waiter->next;
      continue;
    }
    *at = waiter->next;
    free(waiter);
  }
}

void process_output(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields) {
  struct waiter asked = {
    .next = process->waiters, .peer = peer, .request = request, .after = fields_number(fields, "after", 0),
    .max_bytes = fields_number(fields, "max-bytes", 0), .held = fields_number(fields, "held", 0), .wait = fields_number(fields, "wait", 0),
  };
  if (answer(process, &asked, false))
    return;
  struct waiter *waiter = malloc(sizeof *waiter);
  if (!waiter) {
    struct frame frame;
    frame_error(&frame, request, "failed", "out of memory");
    peer_send(peer, &frame);
    return;
  }
  *waiter = asked;
  process->waiters = waiter;
}

void process_peer_drained(struct process *process) {
  process_answer(process, false);
}

/* A ring holds at least what the log would: what has left it meanwhile would have left the log too. */
static bool log_held(void *context, uint64_t number, const struct record *record, const char *piece, size_t piece_length, const char *rest) {
  struct process *process = context;
  char *place = output_log_place(process->log, process->name);
  memcpy(place, piece, piece_length);
  memcpy(place + piece_length, rest, record->length - piece_length);
  output_log_add(process->log, record->stream, process->name, record->time_us, number, record->length);
  return true;
}

void process_catch_up(struct process *process) {
  output_log_caught_up(process->log);
  ring_read(&process->ring, process->logged, log_held, process);
  output_log_flush(process->log);
}

/* Into log and ring; the bytes lie where the log wants them. */
static void keep(struct process *process, uint32_t stream, const char *bytes, size_t length) {
  struct output_log *log = process->log;
  uint64_t time_us = wall_us(), number = process->ring.next;
  if (!log->behind && process->ring.limit >= log->limit && output_log_falls_behind(log, process, now_us()))
    process->logged = number - 1;
  if (log->behind != process)
    output_log_add(log, stream, process->name, time_us, number, length);
  ring_add(&process->ring, stream, time_us, bytes, length);
}

/* One read; false at the end of the stream. */
bool process_take_output(struct process *process, struct watch *watch) {
  if (process->log->behind && process->log->behind != process) /* records stand in the order in which they come */
    process_catch_up(process->log->behind);
  char *bytes = output_log_place(process->log, process->name);
  ssize_t length = read(watch->fd, bytes, process->read_size);
  if (length < 0 && (errno == EAGAIN || errno == EINTR))
    return true;
  if (length <= 0)
    return false; /* a terminal whose other ends are all closed answers EIO */
  if (process->output_over)
    process->ring.dropped_bytes += (uint64_t)length;
  else
    keep(process, watch == &process->errors ? LOG_STDERR : LOG_STDOUT, bytes, (size_t)length);
  return true;
}

void process_output_ready(struct watch *watch, uint32_t events) {
  struct process *process = watch->owner;
  (void)events;
  if (!process_take_output(process, watch))
    loop_close(process->loop, watch);
  process_answer(process, false);
}
