/* The launcher's children: how they are forked, what they answer, how they are freed. */
#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define REFILL_IDLE_US 1000   /* after the last launch: what is asked for comes before what may be */

static void drop_order(struct child *child) {
  if (child->order)
    munmap(child->order, sizeof *child->order);
  child->order = NULL;
}

void child_free(struct child *child) {
  struct child **at = &child->launcher->children;
  while (*at != child)
    at = &(*at)->next;
  *at = child->next;
  loop_close(&child->launcher->loop, &child->control);
  drop_order(child);
  frame_free(&child->answer);
  free(child);
}

void child_let_go(struct child *child) {
  loop_close(&child->launcher->loop, &child->control);
  child->state = WORKING;
}

long child_slot(const struct child *child) {
  return child->order ? (long)child->order->slot_taken - 1 : (long)child->slot;
}

void child_reply(struct child *child, struct frame *frame) {
  if (child->asker)
    peer_send(child->asker, frame);
  else
    frame_free(frame);
  child->asker = NULL;
}

static void note_problem(struct launcher *launcher, const char *frame, size_t length) {
  struct fields fields;
  if (length < sizeof(struct wire_header) || !fields_open(&fields, frame + sizeof(struct wire_header), length - sizeof(struct wire_header)))
    return;
  const char *message = fields_get(&fields, "message"), *layer = fields_get(&fields, "layer");
  launcher->problem.error = (int)fields_number(&fields, "errno", 0);
  for (int i = 0; layer && i < LAYER_COUNT; i++)
    if (strcmp(layer, layer_name((enum layer)i)) == 0)
      launcher->problem.layer = (enum layer)i;
  snprintf(launcher->problem.message, sizeof launcher->problem.message, "%s", message ? message : "a shell cannot be prepared");
  launcher->refill_after_us = now_us() + REFILL_PAUSE_US;
  log_line(50, "a shell cannot be prepared: %s", launcher->problem.message);
}

void child_control_ready(struct watch *watch, uint32_t events) {
  static struct control control;
  struct child *child = watch->owner;
  ssize_t length = recv(watch->fd, &control, sizeof control, MSG_DONTWAIT);
  size_t head = offsetof(struct control, frame);
  (void)events;
  if (length < 0 && errno == EAGAIN)
    return;
  if (length < (ssize_t)head) { /* its end: what it leaves is minded when it is reaped */
    loop_close(&child->launcher->loop, watch);
    return;
  }
  child->slot = control.slot;
  size_t size = (size_t)length - head;
  if (control.kind == CONTROL_READY) {
    child->state = READY;
    child->launcher->problem.message[0] = 0;
  } else if (child->state == PREPARING) {
    note_problem(child->launcher, control.frame, size);
  } else if (size >= sizeof(struct wire_header)) {
    struct frame frame = {.data = malloc(size), .length = size, .capacity = size};
    frame.failed = !frame.data;
    if (frame.data) {
      memcpy(frame.data, control.frame, size);
      struct wire_header *header = (struct wire_header *)(void *)frame.data;
      header->request = child->request;
      if (child->state == LAUNCHING && header->type == LAUNCHED)
        child->state = SUPERVISING;
    }
    if (child->undoing)
      frame_free(&frame), frame_error(&frame, child->request, "launch-failed", "the supervisor ended during the launch");
    if (child->state == SUPERVISING)
      child_reply(child, &frame);
    else
      frame_free(&child->answer), child->answer = frame;
    drop_order(child);
    if (child->launcher->refill_after_us < now_us() + REFILL_IDLE_US)
      child->launcher->refill_after_us = now_us() + REFILL_IDLE_US;
  }
}

/* In the child: nothing of the launcher's stays open but the log, the directories and the control socket. */
static void leave_launcher(const struct launcher *launcher, int control) {
  int null = open("/dev/null", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (null >= 0)
    dup2(null, 0), dup2(null, 1);
  int kept[] = {0, 1, 2, control, launcher->host->sandboxes, launcher->host->sockets};
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (keep_only(kept, sizeof kept / sizeof *kept) < 0)
    _exit(71);
}

/* Forks; in the child answers with `*control` set and child NULL. On failure NULL with `*control` -1. */
static struct child *fork_child(struct launcher *launcher, struct order *order, int *control) {
  int pair[2] = {-1, -1};
  struct child *child = calloc(1, sizeof *child);
  *control = -1;
  if (!child || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    free(child);
    return NULL;
  }
  *child = (struct child){.next = launcher->children, .launcher = launcher, .order = order};
  child->control = (struct watch){.fd = pair[0], .ready = child_control_ready, .owner = child};
  /* Once it is forked nothing may fail: nobody would know of it. */
  bool watched = loop_add(&launcher->loop, &child->control, EPOLLIN) == 0;
  child->pid = watched ? fork() : -1;
  if (child->pid == 0) {
    *control = pair[1];
    leave_launcher(launcher, pair[1]);
    return NULL;
  }
  int error = errno;
  close(pair[1]);
  if (child->pid < 0) {
    if (watched)
      loop_close(&launcher->loop, &child->control);
    else
      close(pair[0]);
    free(child);
    errno = error;
    return NULL;
  }
  launcher->children = child;
  return child;
}

struct child *child_start_supervisor(struct launcher *launcher, struct order *order, unsigned isolate, bool ready) {
  int control;
  unsigned slot = launcher->next_slot;
  launcher->next_slot = (slot + 1) % SLOT_LIMIT;
  struct child *child = fork_child(launcher, order, &control);
  if (child)
    child->slot = slot;
  if (child || control < 0)
    return child;
  struct supervisor_order supervisor_order = {.host = launcher->host, .order = order, .control = control, .slot = slot, .isolate = isolate, .ready = ready};
  supervisor_run(&supervisor_order);
}

struct order *child_new_order(void) {
  void *order = mmap(NULL, sizeof(struct order), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return order == MAP_FAILED ? NULL : order;
}

struct child *child_start_worker(struct launcher *launcher, struct peer *peer, uint32_t request, long slot, const char *id) {
  int control;
  struct child *child = fork_child(launcher, NULL, &control);
  if (child) {
    child->state = WORKING;
    child->asker = peer;
    child->request = request;
    snprintf(child->id, sizeof child->id, "%s", id);
    return child;
  }
  if (control < 0)
    return NULL;
  process_title("worker", id);
  if (slot >= 0)
    worker_clean(launcher->host, control, (unsigned)slot, id);
  worker_remove(launcher->host, control, id);
}
