/* The processes of a sandbox that were started by a request, from their start to when they are forgotten. */
#include "supervisor.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define KEPT_LIMIT 256
#define HELD_LIMIT (64u << 20) /* bytes of output of all that ended: as much as one of them may have */

struct process *process_find(struct supervisor *supervisor, const char *name) {
  for (struct process *process = &supervisor->main; process; process = process->next)
    if (strcmp(process->name, name) == 0)
      return process;
  return NULL;
}

unsigned processes_count(const struct supervisor *supervisor, bool ended) {
  unsigned counted = 0;
  for (const struct process *process = supervisor->main.next; process; process = process->next)
    counted += (process->state == PROCESS_ENDED) == ended;
  return counted;
}

void processes_drop(struct supervisor *supervisor, struct process *process) {
  struct process *before = &supervisor->main;
  while (before->next != process)
    before = before->next;
  before->next = process->next;
  process_close(process);
  ring_free(&process->ring);
  free(process);
}

static void tell(struct supervisor *supervisor, enum message type, const struct process *process) {
  struct frame frame;
  frame_begin(&frame, type, 0);
  frame_put(&frame, "process", "%s", process->name);
  if (type == PROCESS_EXITED)
    ending_put(&frame, &process->ending);
  frame_end(&frame);
  server_broadcast(&supervisor->server, &frame);
}

static bool holds_output(const struct process *process) {
  return process->ring.capacity > 0;
}

static bool is_any(const struct process *process) {
  (void)process;
  return true;
}

static struct process *oldest_ended(struct supervisor *supervisor, bool (*wanted)(const struct process *process)) {
  struct process *oldest = NULL;
  for (struct process *process = supervisor->main.next; process; process = process->next)
    if (process->state == PROCESS_ENDED && wanted(process) && (!oldest || process->ending.at_ms < oldest->ending.at_ms))
      oldest = process;
  return oldest;
}

/* Memory is the host's, and whoever is inside says how much is written: of what ended long ago first the output goes, then all else. */
static void drop_oldest(struct supervisor *supervisor) {
  size_t held = 0;
  for (struct process *process = supervisor->main.next; process; process = process->next)
    held += process->state == PROCESS_ENDED ? process->ring.capacity : 0;
  for (struct process *oldest; held > HELD_LIMIT && (oldest = oldest_ended(supervisor, holds_output));) {
    held -= oldest->ring.capacity;
    ring_clear(&oldest->ring);
  }
  struct process *oldest = processes_count(supervisor, true) > KEPT_LIMIT ? oldest_ended(supervisor, is_any) : NULL;
  if (!oldest)
    return;
  tell(supervisor, FORGOTTEN, oldest);
  processes_drop(supervisor, oldest);
}

static void reaped(struct supervisor *supervisor, struct process *process, int status, const struct rusage *usage) {
  struct usage used = usage_of(usage);
  struct ending ending = ending_of(status, &used);
  if (process->timed_out)
    ending.reason = "timed-out";
  else if (supervisor_out_of_memory(supervisor, process, &ending))
    ending.reason = "out-of-memory";
  process_end(process, &ending);
  loop_close(process->loop, &process->pidfd);
  tell(supervisor, PROCESS_EXITED, process);
  drop_oldest(supervisor);
}

void processes_pidfd_ready(struct watch *watch, uint32_t events) {
  struct process *process = watch->owner;
  struct supervisor *supervisor = watch->context;
  int status;
  struct rusage usage;
  (void)events;
  if (wait4(process->pid, &status, WNOHANG | __WALL, &usage) == process->pid)
    reaped(supervisor, process, status, &usage);
  else
    loop_change(&supervisor->loop, watch, 0); /* a debugger inside holds it, and SIGCHLD comes when it lets go: see strays.c */
}

void processes_forget(struct supervisor *supervisor, struct peer *peer, uint32_t request, struct process *process) {
  if (process == &supervisor->main || process->state != PROCESS_ENDED) {
    peer_refuse(peer, request, "running", "only a process of EXEC that ended can be forgotten");
    return;
  }
  processes_drop(supervisor, process);
  peer_done(peer, request);
}

/* What ends may be forgotten at once, so the walk begins anew each time. */
static struct process *first_alive(const struct supervisor *supervisor) {
  struct process *process = supervisor->main.next;
  while (process && process->state == PROCESS_ENDED)
    process = process->next;
  return process;
}

void processes_end_all(struct supervisor *supervisor) {
  for (struct process *process; (process = first_alive(supervisor));) {
    int status = SIGKILL;
    struct rusage usage = {0};
    wait4(process->pid, &status, __WALL, &usage); /* it is dead: its cgroup is empty */
    reaped(supervisor, process, status, &usage);
  }
}

uint64_t processes_mind_the_clock(struct supervisor *supervisor, uint64_t now) {
  uint64_t next = 0;
  for (struct process *process = supervisor->main.next; process; process = process->next) {
    if (process->state != PROCESS_RUNNING || !process->kill_at_us)
      continue;
    if (process->kill_at_us <= now) {
      process->timed_out = true;
      process->kill_at_us = 0;
      process_signal(process, SIGKILL, true);
    } else if (!next || process->kill_at_us < next) {
      next = process->kill_at_us;
    }
  }
  return next;
}
