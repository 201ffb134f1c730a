#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE RING_RECORD_LIMIT
#define RECORDS_LIMIT 4000 /* in one reply, which has a bound on its fields */

static uint64_t wall_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static bool output_over(const struct process *process) {
  return process->output.fd < 0 && process->errors.fd < 0;
}

/* ---- output ---- */

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

/* Answers with what there is after `after`; false when there is nothing yet and something may still come. */
static bool answer(struct process *process, struct peer *peer, uint32_t request, uint64_t after, uint64_t max_bytes, bool wait) {
  struct ring *ring = &process->ring;
  struct frame frame;
  if (after + 1 < ring->first) {
    frame_begin(&frame, ERROR, request);
    frame_put(&frame, "code", "dropped");
    frame_put(&frame, "message", "record %llu is held no more", (unsigned long long)after + 1);
    frame_put(&frame, "first", "%llu", (unsigned long long)ring->first);
    frame_end(&frame);
    peer_send(peer, &frame);
    return true;
  }
  if (wait && after + 1 >= ring->next && !output_over(process))
    return false;
  struct collected collected = {.frame = &frame, .left = max_bytes};
  frame_begin(&frame, RECORDS, request);
  frame_put(&frame, "first", "%llu", (unsigned long long)ring->first);
  frame_put(&frame, "next", "%llu", (unsigned long long)ring->next);
  frame_put(&frame, "ended", "%d", output_over(process));
  frame_put(&frame, "dropped-bytes", "%llu", (unsigned long long)ring->dropped_bytes);
  ring_read(ring, after, collect, &collected);
  frame_payload(&frame, collected.bytes.data, collected.bytes.length);
  frame.failed |= collected.bytes.failed;
  frame_free(&collected.bytes);
  frame_end(&frame);
  peer_send(peer, &frame);
  return true;
}

static void answer_waiters(struct process *process) {
  for (struct waiter **at = &process->waiters; *at;) {
    struct waiter *waiter = *at;
    if (!answer(process, waiter->peer, waiter->request, waiter->after, waiter->max_bytes, true)) {
      at = &waiter->next;
      continue;
    }
    *at = waiter->next;
    free(waiter);
  }
}

void process_output(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields) {
  uint64_t after = fields_number(fields, "after", 0), max_bytes = fields_number(fields, "max-bytes", 0);
  if (answer(process, peer, request, after, max_bytes, fields_number(fields, "wait", 0)))
    return;
  struct waiter *waiter = malloc(sizeof *waiter);
  if (!waiter) {
    struct frame frame;
    frame_error(&frame, request, "failed", "out of memory");
    peer_send(peer, &frame);
    return;
  }
  *waiter = (struct waiter){.next = process->waiters, .peer = peer, .request = request, .after = after, .max_bytes = max_bytes};
  process->waiters = waiter;
}

/* One read into the ring; false at the end of the stream. */
static bool take_output(struct process *process, struct watch *watch) {
  static char bytes[READ_SIZE];
  ssize_t length = read(watch->fd, bytes, sizeof bytes);
  if (length < 0 && (errno == EAGAIN || errno == EINTR))
    return true;
  if (length <= 0)
    return false; /* a terminal whose other ends are all closed answers EIO */
  ring_add(&process->ring, watch == &process->errors ? 2 : 1, wall_us(), bytes, (size_t)length);
  return true;
}

static void output_ready(struct watch *watch, uint32_t events) {
  struct process *process = watch->owner;
  (void)events;
  if (!take_output(process, watch))
    loop_close(process->loop, watch);
  answer_waiters(process);
}

/* ---- input ---- */

static void input_done(struct process *process, const char *code) {
  struct input input = process->input;
  process->input = (struct input){0};
  free(input.bytes);
  if (!code && input.then_close && !process->terminal)
    loop_close(process->loop, &process->input_end);
  if (!input.peer)
    return;
  struct frame frame;
  if (code) {
    frame_error(&frame, input.request, code, "stdin is closed");
  } else {
    frame_begin(&frame, DONE, input.request);
    frame_end(&frame);
  }
  peer_send(input.peer, &frame);
}

static void write_input(struct process *process) {
  struct input *input = &process->input;
  while (input->written < input->length) {
    ssize_t n = write(process->input_end.fd, input->bytes + input->written, input->length - input->written);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN) {
      loop_change(process->loop, &process->input_end, EPOLLOUT);
      return;
    }
    if (n < 0) {
      loop_close(process->loop, &process->input_end);
      input_done(process, "closed");
      return;
    }
    input->written += (size_t)n;
  }
  loop_change(process->loop, &process->input_end, 0);
  input_done(process, NULL);
}

static void input_ready(struct watch *watch, uint32_t events) {
  struct process *process = watch->owner;
  if (process->input.active) {
    write_input(process);
  } else if (events & (EPOLLERR | EPOLLHUP)) { /* no reader is left */
    loop_close(process->loop, watch);
  }
}

void process_input(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields) {
  struct frame frame;
  const char *code = process->input_end.fd < 0 ? "closed" : process->input.active ? "busy" : NULL;
  char *bytes = code ? NULL : malloc(fields->payload_length + 1);
  if (!bytes) {
    frame_error(&frame, request, code ? code : "failed", code ? "stdin takes nothing now" : "out of memory");
    peer_send(peer, &frame);
    return;
  }
  memcpy(bytes, fields->payload, fields->payload_length);
  process->input = (struct input){
    .peer = peer, .request = request, .bytes = bytes, .length = fields->payload_length, .active = true, .then_close = fields_number(fields, "close", 0),
  };
  write_input(process);
}

void process_resize(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields) {
  struct winsize size = {.ws_row = (unsigned short)fields_number(fields, "rows", 0), .ws_col = (unsigned short)fields_number(fields, "columns", 0)};
  struct frame frame;
  if (process->terminal && process->output.fd >= 0 && ioctl(process->output.fd, TIOCSWINSZ, &size) == 0) {
    frame_begin(&frame, DONE, request);
    frame_end(&frame);
  } else {
    frame_error(&frame, request, "no-terminal", "the process has no terminal");
  }
  peer_send(peer, &frame);
}

/* ---- life ---- */

static int watch_fd(struct process *process, struct watch *watch, int fd, uint32_t events, void (*ready)(struct watch *, uint32_t)) {
  *watch = (struct watch){.fd = fd, .ready = ready, .owner = process};
  if (fd < 0)
    return 0;
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -1 : loop_add(process->loop, watch, events);
}

int process_open(struct process *process, struct loop *loop, int input, int output, int errors, bool terminal, size_t output_bytes) {
  *process = (struct process){.loop = loop, .pidfd = -1, .terminal = terminal};
  ring_init(&process->ring, output_bytes);
  if (terminal)
    input = fcntl(output, F_DUPFD_CLOEXEC, 3);
  if (watch_fd(process, &process->input_end, input, 0, input_ready) < 0 || watch_fd(process, &process->output, output, EPOLLIN, output_ready) < 0 ||
      watch_fd(process, &process->errors, errors, EPOLLIN, output_ready) < 0)
    return -1;
  return 0;
}

void process_ended(struct process *process) {
  process->ended = true;
  loop_close(process->loop, &process->input_end);
  if (process->input.active)
    input_done(process, "closed");
}

static void drain(struct process *process, struct watch *watch) {
  /* Bounded: a pipe holds 1 MiB at most, and nobody writes any more. */
  for (int reads = 0; watch->fd >= 0 && reads < 64; reads++) {
    uint64_t before = process->ring.next;
    if (!take_output(process, watch) || process->ring.next == before)
      break;
  }
  loop_close(process->loop, watch);
}

void process_close(struct process *process) {
  process_ended(process);
  drain(process, &process->output);
  drain(process, &process->errors);
  answer_waiters(process);
}

void process_forget_peer(struct process *process, struct peer *peer) {
  for (struct waiter **at = &process->waiters; *at;) {
    struct waiter *waiter = *at;
    if (waiter->peer != peer) {
      at = &waiter->next;
      continue;
    }
    *at = waiter->next;
    free(waiter);
  }
  if (process->input.peer == peer)
    process->input.peer = NULL;
}
