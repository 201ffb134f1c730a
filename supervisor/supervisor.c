/* Theory of operation.
 *
 * The launcher forks one supervisor per sandbox. It is the root-privileged, host-side half: it makes the namespaces and the shell in
 * them (instance.c), holds the stdio of commands (process.c), and answers the daemon on its own socket (requests.c). It is single-threaded, executes
 * nothing, parses nothing but frames, and needs neither daemon nor launcher to live on.
 *
 *   running   the command lives. It ends by itself (the init tells), or PID 1 dies, or STOP's grace is over.
 *   ended     the exit is known and told. Whatever else lives in the cgroup is being killed.
 *   gone      nothing of the instance is left: processes, mounts, cgroups, id range. RELEASE ends the supervisor.
 *
 * What comes from inside is the last word of the init (of a fixed size) and output bytes; both are taken as data only (PROTOCOL.md, "What comes from inside"). */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RETRY_FIRST_US 1000
#define RETRY_LAST_US 1000000
#define REPORT_AFTER_US 5000000 /* what cannot be removed for so long is told */

/* ---- the end ---- */

static void tell_event(struct supervisor *supervisor, enum message type, void (*put)(struct frame *, const struct supervisor *)) {
  struct frame frame;
  frame_begin(&frame, type, 0);
  put(&frame, supervisor);
  frame_end(&frame);
  server_broadcast(&supervisor->server, &frame);
}

static int count_mounts(pid_t pid) {
  char path[40], text[4096];
  int count = 0;
  snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)pid);
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return 0;
  for (ssize_t length; (length = read(fd, text, sizeof text)) > 0;)
    for (ssize_t i = 0; i < length; i++)
      count += text[i] == '\n';
  close(fd);
  return count;
}

/* Counting comes first: afterwards there is nothing to count. */
void supervisor_kill(struct supervisor *supervisor) {
  struct instance *instance = &supervisor->instance;
  supervisor->kill_at_us = 0;
  if (supervisor->retry_us)
    return; /* under way */
  if (!supervisor->ordered_us)
    supervisor->ordered_us = now_us();
  int killed = cgroup_count(&instance->cgroup);
  supervisor->killed = killed > 0 ? killed : 0;
  supervisor->mounts = supervisor->instance.isolate & NS_BIT(NS_MNT) ? count_mounts(instance->shell) : 0;
  supervisor->killed_us = now_us();
  loop_close(&supervisor->loop, &supervisor->oom.events);
  supervisor->retry_us = RETRY_FIRST_US;
  supervisor->retry_at_us = supervisor->killed_us + supervisor->retry_us;
  if (cgroup_kill(&instance->cgroup) < 0)
    log_line(50, "sandbox %s: cgroup.kill: %s", supervisor->id, strerror(errno));
  disk_close(&instance->disk); /* before the last process ends: who lets go last writes back what is dirty, and that takes its time */
}

static void main_ended(struct supervisor *supervisor, int status, const struct usage *usage) {
  struct ending ending = ending_of(status, usage);
  if (supervisor->state != RUNNING)
    return;
  if (supervisor_out_of_memory(supervisor, &supervisor->main, &ending))
    ending.reason = "out-of-memory";
  supervisor->state = ENDED;
  process_end(&supervisor->main, &ending);
  tell_event(supervisor, EXITED, report_ending);
  supervisor_kill(supervisor);
}

/* Once no process is left. While the kernel writes back, or somebody of the host is in the mount namespace, the image is held. */
static bool disk_is_free(struct supervisor *supervisor) {
  supervisor->disk_held = supervisor->definition.disk && !disk_released(supervisor->instance.host->sandboxes, supervisor->id);
  return !supervisor->disk_held;
}

/* All processes are gone: what is left are the disk and the cgroups. An rmdir may have to wait for the last zombie's accounting. */
static void finish(struct supervisor *supervisor) {
  struct instance *instance = &supervisor->instance;
  bool empty = supervisor->shell.fd < 0 && cgroup_populated(supervisor->cgroup_events.fd) == 0;
  int removed = empty && disk_is_free(supervisor) ? cgroup_remove(&instance->cgroup) : -1;
  if (removed >= 0) {
    supervisor->cgroups = removed;
    supervisor->retry_at_us = 0;
    supervisor->gone_us = now_us();
    supervisor->state = GONE_STATE;
    loop_close(&supervisor->loop, &supervisor->cgroup_events);
    exec_end_all(supervisor);
    process_close(&supervisor->main);
    output_log_close(&supervisor->log);
    tell_event(supervisor, GONE, report_receipt);
    return;
  }
  supervisor->held_errno = errno;
  if (now_us() < supervisor->retry_at_us)
    return;
  if (!empty) {
    cgroup_kill(&instance->cgroup);
    supervisor->strays.look_at_us = now_us(); /* a zombie that was missed keeps PID 1 inside from ending */
  }
  supervisor->retry_us = supervisor->retry_us * 2 < RETRY_LAST_US ? supervisor->retry_us * 2 : RETRY_LAST_US;
  supervisor->retry_at_us = now_us() + supervisor->retry_us;
  if (!supervisor->told_incomplete && now_us() - supervisor->killed_us > REPORT_AFTER_US) {
    supervisor->told_incomplete = true;
    tell_event(supervisor, GONE, report_receipt);
  }
}

/* ---- what is watched ---- */

/* One word is all that the init has to say: whatever comes, nothing is read after it, so that nobody who took the init over can keep us busy. */
void supervisor_last_word_ready(struct watch *watch, uint32_t events) {
  struct supervisor *supervisor = watch->owner;
  struct last_word word;
  int received = last_word_receive(watch->fd, &word);
  bool nothing = received < 0 && errno == EAGAIN;
  if (!nothing || (events & EPOLLHUP))
    loop_close(&supervisor->loop, watch);
  if (received == 1) {
    struct usage usage = {word.user_us, word.system_us, word.max_rss_bytes};
    main_ended(supervisor, word.status, &usage);
  }
}

/* PID 1 ended: without an init that is the command; with one it was killed, and everything in its pid namespace with it. */
void supervisor_shell_ready(struct watch *watch, uint32_t events) {
  struct supervisor *supervisor = watch->owner;
  int status;
  struct rusage usage;
  (void)events;
  if (wait4(supervisor->instance.shell, &status, WNOHANG, &usage) <= 0) {
    loop_change(&supervisor->loop, watch, 0); /* held by a debugger: see strays.c */
    return;
  }
  if (supervisor->last_word.fd >= 0) /* it may still lie there */
    supervisor_last_word_ready(&supervisor->last_word, EPOLLHUP);
  struct usage used = usage_of(&usage);
  loop_close(&supervisor->loop, watch);
  main_ended(supervisor, supervisor->init ? SIGKILL : status, &used);
  finish(supervisor);
}

void supervisor_cgroup_ready(struct watch *watch, uint32_t events) {
  struct supervisor *supervisor = watch->owner;
  (void)events;
  if (cgroup_populated(watch->fd) == 0 && supervisor->state == ENDED)
    finish(supervisor);
}

/* ---- the loop ---- */

static void mind_the_clock(struct supervisor *supervisor) {
  uint64_t now = now_us();
  if (supervisor->kill_at_us && now >= supervisor->kill_at_us)
    supervisor_kill(supervisor);
  if (supervisor->log.behind && now >= supervisor->log.behind_until_us)
    process_catch_up(supervisor->log.behind);
  if (supervisor->retry_at_us && now >= supervisor->retry_at_us)
    finish(supervisor);
}

/* Milliseconds until something is due; -1: nothing is. */
static int time_left(struct supervisor *supervisor) {
  uint64_t now = now_us();
  uint64_t due[] = {supervisor->kill_at_us, supervisor->retry_at_us, supervisor->log.behind_until_us, exec_mind_the_clock(supervisor, now), oom_mind_the_clock(supervisor, now),
                    strays_mind_the_clock(supervisor, now)}, next = 0;
  for (int i = 0; i < 6; i++)
    if (due[i] && (!next || due[i] < next))
      next = due[i];
  if (!next)
    return -1;
  uint64_t milliseconds = next <= now ? 0 : (next - now + 999) / 1000;
  return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}

void supervisor_run(const struct supervisor_order *order) {
  static struct supervisor supervisor;
  struct failure failure;
  process_title("supervisor", "ready");
  setsid();
  supervisor.instance.order = order->order;
  if (instance_prepare(&supervisor.instance, order->host, order->slot, order->isolate, &failure) < 0)
    launch_failed(order->control, order->slot, "launch-failed", &failure);
  if (order->ready)
    launch_await_order(&supervisor, order->control);
  launch_commit(&supervisor, order->control);
  launch_reply(&supervisor, order->control);
  oom_watch(&supervisor);
  close(order->control);
  munmap(order->order, sizeof *order->order);
  for (;;) {
    bool waits = output_log_waits(&supervisor.log), idle = loop_once(&supervisor.loop, waits ? 0 : time_left(&supervisor)) == 0;
    if ((waits && idle) || output_log_due(&supervisor.log, now_us()))
      output_log_flush(&supervisor.log);
    mind_the_clock(&supervisor);
  }
}
