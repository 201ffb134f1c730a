#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_PARTS 4       /* a ring that is smaller than a read still keeps most of its size */

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

int process_open(struct process *process, struct loop *loop, int input, int output, int errors, bool terminal, size_t output_bytes,
                 struct output_log *log) {
  process->loop = loop;
  process->terminal = terminal;
  process->log = log;
  ring_init(&process->ring, output_bytes);
  process->read_size = output_bytes / READ_PARTS < output_log_part(log) ? output_bytes / READ_PARTS : output_log_part(log);
  if (terminal)
    input = fcntl(output, F_DUPFD_CLOEXEC, 3);
  int failed = terminal && input < 0 ? -1 : 0;
  failed |= watch_fd(process, &process->input_end, input, 0, input_ready);
  failed |= watch_fd(process, &process->output, output, EPOLLIN, process_output_ready);
  failed |= watch_fd(process, &process->errors, errors, EPOLLIN, process_output_ready);
  return failed;
}

/* Bounded: a pipe holds at most 1 MiB (pipe(7)), and whoever goes on writing does so after the end. */
static void drain(struct process *process, struct watch *watch) {
  for (int reads = 0; watch->fd >= 0 && reads < 64; reads++) {
    uint64_t before = process->ring.next;
    if (!process_take_output(process, watch))
      loop_close(process->loop, watch);
    else if (process->ring.next == before)
      break;
  }
}

/* Whoever is told of the end finds all of the process in the log. */
static void log_ending(struct process *process) {
  struct ending_text text = ending_text(&process->ending);
  size_t length = strlen(text.text);
  if (process->log->behind)
    process_catch_up(process->log->behind);
  memcpy(output_log_place(process->log, process->name), text.text, length);
  output_log_add(process->log, LOG_EXIT, process->name, wall_us(), process->ring.next, length);
  output_log_flush(process->log);
}

void process_end(struct process *process, const struct ending *ending) {
  if (process->state == PROCESS_ENDED)
    return;
  process->state = PROCESS_ENDED;
  process->ending = *ending;
  process->kill_at_us = 0;
  loop_close(process->loop, &process->input_end);
  if (process->input.active)
    input_done(process, "closed");
  drain(process, &process->output);
  drain(process, &process->errors);
  process->output_over = true;
  log_ending(process);
  process_answer(process, false);
}

void process_close(struct process *process) {
  process_answer(process, true);
  loop_close(process->loop, &process->input_end);
  loop_close(process->loop, &process->output);
  loop_close(process->loop, &process->errors);
  loop_close(process->loop, &process->pidfd);
}

int process_signal(struct process *process, int number, bool group) {
  if (process->state != PROCESS_RUNNING || process->pidfd.fd < 0) {
    errno = ESRCH;
    return -1;
  }
  /* A group has no descriptor before Linux 6.9. */
  int result = (int)syscall(SYS_pidfd_send_signal, process->pidfd.fd, group ? 0 : number, NULL, 0);
  if (result == 0 && group)
    result = kill(-process->pid, number);
  process->kill_sent |= result == 0 && number == SIGKILL;
  return result;
}

void process_put(struct frame *frame, const struct process *process) {
  static const char *const states[] = {"starting", "running", "ended"};
  const struct ending *ending = &process->ending;
  char end[200] = "";
  if (process->state == PROCESS_ENDED)
    snprintf(end, sizeof end, " %s %llu %llu %llu %llu", ending_text(ending).text, (unsigned long long)ending->at_ms, (unsigned long long)ending->usage.user_us,
             (unsigned long long)ending->usage.system_us, (unsigned long long)ending->usage.max_rss_bytes);
  frame_put(frame, "process", "%s %d %d %llu %llu %d %s%s", process->name, (int)process->pid, (int)process->pid_inside, (unsigned long long)process->start_ticks,
            (unsigned long long)process->started_ms, process->terminal, states[process->state], end);
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
