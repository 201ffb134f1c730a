/* Theory of operation.
 *
 * The launcher forks one supervisor per sandbox. It is the root-privileged, host-side half: it makes the namespaces and the shell in
 * them (instance.c), holds the command's stdio (process.c), and answers the daemon on its own socket. It is single-threaded, executes
 * nothing, parses nothing but frames, and needs neither daemon nor launcher to live on.
 *
 *   running   the command lives. It ends by itself (the init tells), or PID 1 dies, or STOP's grace is over.
 *   ended     the exit is known and told. Whatever else lives in the cgroup is being killed.
 *   gone      nothing of the instance is left: processes, mounts, cgroups, id range. RELEASE ends the supervisor.
 *
 * What comes from inside is the note of the init (a fixed-size packet) and output bytes; both are taken as data only. */
#include "supervisor.h"
#include "remove.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RETRY_FIRST_US 1000
#define RETRY_LAST_US 1000000
#define REPORT_AFTER_US 5000000 /* what cannot be removed for so long is told */

/* ---- what is told ---- */

static void put_ending(struct frame *frame, const struct supervisor *supervisor) {
  ending_put(frame, &supervisor->main.ending);
}

static void put_receipt(struct frame *frame, const struct supervisor *supervisor) {
  bool complete = supervisor->state == GONE_STATE;
  uint64_t until = complete ? supervisor->gone_us : now_us();
  frame_put(frame, "killed", "%d", supervisor->killed);
  frame_put(frame, "cgroups", "%d", supervisor->cgroups);
  frame_put(frame, "mounts", "%d", supervisor->mounts);
  frame_put(frame, "milliseconds", "%llu", (unsigned long long)(until - supervisor->ordered_us + 500) / 1000);
  frame_put(frame, "complete", "%d", complete);
  if (!complete)
    frame_put(frame, "remaining", "cgroup %u: %d processes", supervisor->instance.cgroup.slot, cgroup_count(&supervisor->instance.cgroup));
}

static void put_limits(struct frame *frame, const struct definition *definition) {
  const struct cgroup_limits *limits = &definition->limits;
  frame_put(frame, "memory-bytes", "%llu", (unsigned long long)limits->memory_bytes);
  frame_put(frame, "cpu-quota-us", "%llu", (unsigned long long)limits->cpu_quota_us);
  frame_put(frame, "cpu-weight", "%llu", (unsigned long long)limits->cpu_weight);
  frame_put(frame, "pids", "%llu", (unsigned long long)limits->pids);
  frame_put(frame, "open-files", "%llu", (unsigned long long)definition->open_files);
}

static void put_report(struct frame *frame, const struct supervisor *supervisor) {
  static const char *const states[] = {"running", "ended", "gone"};
  const struct instance *instance = &supervisor->instance;
  frame_put(frame, "id", "%s", supervisor->id);
  frame_put(frame, "hold", "%d", supervisor->definition.hold);
  frame_put(frame, "slot", "%u", instance->cgroup.slot);
  frame_put(frame, "state", "%s", states[supervisor->state]);
  frame_put(frame, "pid", "%d", (int)instance->main);
  frame_put(frame, "pid-inside", "%d", (int)instance->main_inside);
  frame_put(frame, "start-ticks", "%llu", (unsigned long long)instance->main_start_ticks);
  frame_put(frame, "started-at", "%llu", (unsigned long long)supervisor->main.started_ms);
  frame_put(frame, "init-pid", "%d", (int)instance->shell);
  frame_put(frame, "uid-base", "%u", instance->uid_base);
  frame_put(frame, "uid-size", "%u", instance->isolate & NS_BIT(NS_USER) ? ID_RANGE : 0);
  for (int i = 0; i < NS_COUNT; i++) {
    char key[16];
    snprintf(key, sizeof key, "ns-%s", ns_table[i].name);
    frame_put(frame, key, "%llu", (unsigned long long)instance->ns_inode[i]);
    if (instance->isolate & NS_BIT(i))
      frame_put(frame, "isolated", "%s", ns_table[i].name);
  }
  frame_put(frame, "log-lost-records", "%llu", (unsigned long long)supervisor->log.lost_records);
  frame_put(frame, "log-lost-bytes", "%llu", (unsigned long long)supervisor->log.lost_bytes);
  frame_put(frame, "frozen", "%d", supervisor->frozen);
  put_limits(frame, &supervisor->definition);
  frame_put(frame, "cgroup", "%s/%u", instance->host->cgroup_parent, instance->cgroup.slot);
  for (const struct process *process = &supervisor->main; process; process = process->next)
    if (process->state != PROCESS_STARTING)
      process_put(frame, process);
  if (supervisor->state >= ENDED)
    put_ending(frame, supervisor);
  if (supervisor->state == GONE_STATE)
    put_receipt(frame, supervisor);
}

static void tell_event(struct supervisor *supervisor, enum message type, void (*put)(struct frame *, const struct supervisor *)) {
  struct frame frame;
  frame_begin(&frame, type, 0);
  put(&frame, supervisor);
  frame_end(&frame);
  server_broadcast(&supervisor->server, &frame);
}

/* ---- the end ---- */

static int count_mounts(pid_t pid) {
  char path[40], text[4096];
  int count = 0;
  snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  for (ssize_t length; (length = read(fd, text, sizeof text)) > 0;)
    for (ssize_t i = 0; i < length; i++)
      count += text[i] == '\n';
  close(fd);
  return count;
}

/* Kills all of it at once. Counting comes first: afterwards there is nothing to count. */
static void kill_all(struct supervisor *supervisor) {
  struct instance *instance = &supervisor->instance;
  supervisor->kill_at_us = 0;
  if (supervisor->retry_us)
    return; /* under way */
  if (!supervisor->ordered_us)
    supervisor->ordered_us = now_us();
  int killed = cgroup_count(&instance->cgroup);
  supervisor->killed = killed > 0 ? killed : 0;
  supervisor->mounts = supervisor->instance.isolate & NS_BIT(NS_MNT) ? count_mounts(instance->shell) : 0;
  supervisor->retry_us = RETRY_FIRST_US;
  supervisor->retry_at_us = now_us() + supervisor->retry_us;
  if (cgroup_kill(&instance->cgroup) < 0)
    log_line(50, "sandbox %s: cgroup.kill: %s", supervisor->id, strerror(errno));
}

/* The counters tell whose SIGKILL it was, unless it was ours. */
bool supervisor_out_of_memory(struct supervisor *supervisor, const struct process *process, const struct ending *ending) {
  if (ending->signal_number != SIGKILL || supervisor->retry_us || process->kill_sent)
    return false;
  uint64_t kills = cgroup_oom_kills(&supervisor->instance.cgroup);
  bool told = kills > supervisor->oom_kills_told;
  supervisor->oom_kills_told = kills;
  return told;
}

static void main_ended(struct supervisor *supervisor, int status, const struct usage *usage) {
  struct ending ending = ending_of(status, usage);
  if (supervisor->state != RUNNING)
    return;
  if (supervisor_out_of_memory(supervisor, &supervisor->main, &ending))
    ending.reason = "out-of-memory";
  supervisor->state = ENDED;
  process_end(&supervisor->main, &ending);
  tell_event(supervisor, EXITED, put_ending);
  kill_all(supervisor);
}

/* All processes are gone: what is left are the cgroups. An rmdir may have to wait for the last zombie's accounting. */
static void finish(struct supervisor *supervisor) {
  struct instance *instance = &supervisor->instance;
  bool empty = supervisor->shell.fd < 0 && cgroup_populated(supervisor->cgroup_events.fd) == 0;
  int removed = empty ? cgroup_remove(&instance->cgroup) : -1;
  if (removed >= 0) {
    supervisor->cgroups = removed;
    supervisor->retry_at_us = 0;
    supervisor->gone_us = now_us();
    supervisor->state = GONE_STATE;
    loop_close(&supervisor->loop, &supervisor->cgroup_events);
    exec_end_all(supervisor);
    process_close(&supervisor->main);
    output_log_close(&supervisor->log);
    tell_event(supervisor, GONE, put_receipt);
    return;
  }
  if (now_us() < supervisor->retry_at_us)
    return;
  if (!empty) {
    cgroup_kill(&instance->cgroup);
    exec_reap_strays(supervisor);
  }
  supervisor->retry_us = supervisor->retry_us * 2 < RETRY_LAST_US ? supervisor->retry_us * 2 : RETRY_LAST_US;
  supervisor->retry_at_us = now_us() + supervisor->retry_us;
  if (!supervisor->told_incomplete && now_us() - supervisor->ordered_us > REPORT_AFTER_US) {
    supervisor->told_incomplete = true;
    tell_event(supervisor, GONE, put_receipt);
  }
}

/* ---- what is watched ---- */

static void notes_ready(struct watch *watch, uint32_t events) {
  struct supervisor *supervisor = watch->owner;
  struct note note;
  int fd;
  int received = note_receive(watch->fd, &note, &fd, MSG_DONTWAIT);
  fd_close(&fd);
  if (received == 1 && note.kind == NOTE_ENDED) {
    struct usage usage = {note.user_us, note.system_us, note.max_rss_bytes};
    main_ended(supervisor, note.status, &usage);
  } else if (received == 0 || (received < 0 && errno != EAGAIN) || (events & EPOLLHUP)) {
    loop_close(&supervisor->loop, watch);
  }
}

/* PID 1 ended: without an init that is the command; with one it was killed, and everything in its pid namespace with it. */
static void shell_ready(struct watch *watch, uint32_t events) {
  struct supervisor *supervisor = watch->owner;
  int status;
  struct rusage usage;
  (void)events;
  if (wait4(supervisor->instance.shell, &status, WNOHANG, &usage) <= 0)
    return;
  while (supervisor->notes.fd >= 0 && supervisor->state == RUNNING) /* its last word may still lie there */
    notes_ready(&supervisor->notes, EPOLLHUP);
  struct usage used = usage_of(&usage);
  loop_close(&supervisor->loop, watch);
  main_ended(supervisor, supervisor->init ? SIGKILL : status, &used);
  finish(supervisor);
}

static void cgroup_ready(struct watch *watch, uint32_t events) {
  struct supervisor *supervisor = watch->owner;
  (void)events;
  if (cgroup_populated(watch->fd) == 0 && supervisor->state == ENDED)
    finish(supervisor);
}

/* ---- requests ---- */

static const struct rule no_rules[] = {{0}};
static const struct rule release_rules[] = {{"remove", RULE_NUMBER, 0, 1, true, false}, {0}};
static const struct rule signal_rules[] = {{"process", RULE_TEXT, 1, 64, false, false}, {"signal", RULE_NUMBER, 1, 64, false, false}, {"group", RULE_NUMBER, 0, 1, true, false}, {0}};
static const struct rule freeze_rules[] = {{"frozen", RULE_NUMBER, 0, 1, false, false}, {0}};
static const struct rule forget_rules[] = {{"process", RULE_TEXT, 1, 64, false, false}, {0}};
static const struct rule stop_rules[] = {{"grace-ms", RULE_NUMBER, 0, 3600000, false, false}, {0}};
static const struct rule output_rules[] = {
  {"process", RULE_TEXT, 1, 64, false, false}, {"after", RULE_NUMBER, 0, INT64_MAX - 1, false, false},
  {"max-bytes", RULE_NUMBER, RING_RECORD_LIMIT, 786432, false, false}, {"held", RULE_NUMBER, 0, 1, true, false}, {"wait", RULE_NUMBER, 0, 1, true, false}, {0},
};
static const struct rule input_rules[] = {{"process", RULE_TEXT, 1, 64, false, false}, {"close", RULE_NUMBER, 0, 1, true, false}, {0}};
static const struct rule resize_rules[] = {
  {"process", RULE_TEXT, 1, 64, false, false}, {"rows", RULE_NUMBER, 1, 4096, false, false}, {"columns", RULE_NUMBER, 1, 4096, false, false}, {0},
};

static void reply_done(struct peer *peer, uint32_t request) {
  struct frame frame;
  frame_begin(&frame, DONE, request);
  frame_end(&frame);
  peer_send(peer, &frame);
}

static void reply_error(struct peer *peer, uint32_t request, const char *code, const char *message) {
  struct frame frame;
  frame_error(&frame, request, code, "%s", message);
  peer_send(peer, &frame);
}

static void handle_signal(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields) {
  if (process_signal(process, (int)fields_number(fields, "signal", 0), fields_number(fields, "group", 0)) == 0)
    reply_done(peer, request);
  else
    reply_error(peer, request, errno == ESRCH ? "ended" : "failed", strerror(errno));
}

static void handle_stop(struct supervisor *supervisor, struct peer *peer, uint32_t request, const struct fields *fields) {
  uint64_t now = now_us(), until = now + fields_number(fields, "grace-ms", 0) * 1000;
  if (!supervisor->ordered_us)
    supervisor->ordered_us = now;
  if (supervisor->frozen && supervisor->state == RUNNING && until > now) { /* so that TERM can be answered */
    cgroup_freeze(&supervisor->instance.cgroup, supervisor->cgroup_events.fd, false);
    supervisor->frozen = false;
  }
  if (supervisor->state == RUNNING && until > now && !supervisor->retry_us) {
    if (!supervisor->kill_at_us)
      process_signal(&supervisor->main, SIGTERM, false);
    if (!supervisor->kill_at_us || until < supervisor->kill_at_us)
      supervisor->kill_at_us = until;
  } else if (supervisor->state == RUNNING) {
    kill_all(supervisor);
  }
  reply_done(peer, request);
}

static void handle_freeze(struct supervisor *supervisor, struct peer *peer, uint32_t request, bool frozen) {
  if (supervisor->state != RUNNING || supervisor->retry_us || supervisor->kill_at_us) {
    reply_error(peer, request, "ended", "the sandbox is ending");
  } else if (cgroup_freeze(&supervisor->instance.cgroup, supervisor->cgroup_events.fd, frozen) < 0) {
    supervisor->frozen = false;
    reply_error(peer, request, "failed", strerror(errno));
  } else {
    supervisor->frozen = frozen;
    reply_done(peer, request);
  }
}

/* What runs keeps its RLIMIT_NOFILE; processes that are started from now on get the new one. */
static void handle_limit(struct supervisor *supervisor, struct peer *peer, uint32_t request, const struct fields *fields) {
  struct definition wanted = {0};
  struct failure failure;
  struct frame frame;
  definition_read_limits(&wanted, fields);
  if (supervisor->state != RUNNING || supervisor->retry_us) {
    reply_error(peer, request, "ended", "the sandbox is ending");
  } else if (cgroup_change_limits(&supervisor->instance.cgroup, &supervisor->definition.limits, &wanted.limits, &failure) < 0) {
    frame_begin(&frame, ERROR, request);
    frame_put(&frame, "code", "failed");
    frame_put(&frame, "errno", "%d", failure.error);
    frame_put(&frame, "message", "%s: %s", failure.message, strerror(failure.error));
    frame_end(&frame);
    peer_send(peer, &frame);
  } else {
    supervisor->definition.limits = wanted.limits;
    supervisor->definition.open_files = wanted.open_files;
    reply_done(peer, request);
  }
}

static _Noreturn void release(struct supervisor *supervisor, struct peer *peer, uint32_t request, bool remove) {
  const struct host *host = supervisor->instance.host;
  struct removed removed = {0};
  struct frame frame;
  int result = remove ? remove_tree(host->sandboxes, supervisor->id, &removed) : 0;
  int error = errno;
  unlinkat(host->sockets, supervisor->socket_name, 0);
  if (result < 0) {
    frame_error(&frame, request, "failed", "the files are not removed: %s", strerror(error));
  } else {
    frame_begin(&frame, DONE, request);
    frame_put(&frame, "files", "%llu", (unsigned long long)removed.files);
    frame_put(&frame, "bytes", "%llu", (unsigned long long)removed.bytes);
    frame_end(&frame);
  }
  peer_send(peer, &frame);
  server_close(&supervisor->server);
  _exit(0);
}

static void attach(struct supervisor *supervisor, struct peer *peer, uint32_t request) {
  struct frame frame;
  peer->attached = true;
  frame_begin(&frame, REPORT, request);
  put_report(&frame, supervisor);
  frame_end(&frame);
  peer_send(peer, &frame);
}

static const struct rule *rules_of(uint16_t type) {
  switch (type) {
  case ATTACH:
  case FILES:
    return no_rules;
  case RELEASE:
    return release_rules;
  case SIGNAL:
    return signal_rules;
  case STOP:
    return stop_rules;
  case FREEZE:
    return freeze_rules;
  case LIMIT:
    return limit_rules;
  case OUTPUT:
    return output_rules;
  case INPUT:
    return input_rules;
  case RESIZE:
    return resize_rules;
  case FORGET:
    return forget_rules;
  default:
    return NULL;
  }
}

static void handle_process(struct supervisor *supervisor, struct peer *peer, const struct wire_header *header, const struct fields *fields) {
  struct process *process = process_find(supervisor, fields_get(fields, "process"));
  if (!process)
    reply_error(peer, header->request, "not-found", "no such process");
  else if (header->type == SIGNAL)
    handle_signal(process, peer, header->request, fields);
  else if (header->type == OUTPUT)
    process_output(process, peer, header->request, fields);
  else if (header->type == INPUT)
    process_input(process, peer, header->request, fields);
  else if (header->type == RESIZE)
    process_resize(process, peer, header->request, fields);
  else
    exec_forget(supervisor, peer, header->request, process);
}

static void handle(struct server *server, struct peer *peer, const struct wire_header *header, const struct fields *fields) {
  struct supervisor *supervisor = server->owner;
  char error[128] = "no such request here";
  const struct rule *rules = rules_of(header->type);
  if (supervisor->frozen && (header->type == EXEC || header->type == FILES)) /* what is started would stand still at once */
    reply_error(peer, header->request, "busy", "the sandbox is paused");
  else if (header->type == EXEC)
    exec_begin(supervisor, peer, header->request, fields);
  else if (!rules || !fields_check(fields, rules, error))
    reply_error(peer, header->request, "invalid", error);
  else if (header->type == ATTACH)
    attach(supervisor, peer, header->request);
  else if (header->type == FILES)
    exec_files(supervisor, peer, header->request);
  else if (header->type == STOP)
    handle_stop(supervisor, peer, header->request, fields);
  else if (header->type == LIMIT)
    handle_limit(supervisor, peer, header->request, fields);
  else if (header->type == FREEZE)
    handle_freeze(supervisor, peer, header->request, fields_number(fields, "frozen", 0));
  else if (header->type != RELEASE)
    handle_process(supervisor, peer, header, fields);
  else if (supervisor->state != GONE_STATE)
    reply_error(peer, header->request, "running", "the instance is not gone yet");
  else
    release(supervisor, peer, header->request, fields_number(fields, "remove", 0));
}

static void peer_closed(struct server *server, struct peer *peer) {
  struct supervisor *supervisor = server->owner;
  exec_forget_peer(supervisor, peer);
}

static void peer_drained(struct server *server, struct peer *peer) {
  struct supervisor *supervisor = server->owner;
  (void)peer;
  for (struct process *process = &supervisor->main; process; process = process->next)
    process_peer_drained(process);
}

/* ---- the launch ---- */

void control_send(int control, enum control_kind kind, unsigned slot, struct frame *frame) {
  struct {
    uint32_t kind, slot;
  } head = {(uint32_t)kind, slot};
  struct iovec parts[] = {{&head, sizeof head}, {frame ? frame->data : NULL, frame ? frame->length : 0}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  if (sendmsg(control, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE)
    log_line(50, "a reply to the launcher is lost: %s", strerror(errno));
  if (frame)
    frame_free(frame);
}

static _Noreturn void launch_failed(int control, unsigned slot, const char *code, const struct failure *failure) {
  struct frame frame;
  frame_begin(&frame, ERROR, 1);
  frame_put(&frame, "code", "%s", code);
  frame_put(&frame, "message", "%s: %s", failure->message, strerror(failure->error));
  frame_put(&frame, "layer", "%s", layer_name(failure->layer));
  frame_put(&frame, "errno", "%d", failure->error);
  frame_put(&frame, "guest", "%d", failure->guest);
  frame_end(&frame);
  control_send(control, CONTROL_REPLY, slot, &frame);
  _exit(0);
}

/* A prepared shell waits for its order. It goes when the launcher goes, and the supervisor goes when the shell dies. */
static void await_order(struct supervisor *supervisor, int control) {
  struct pollfd watched[] = {{.fd = control, .events = POLLIN}, {.fd = supervisor->instance.shell_pidfd, .events = POLLIN}};
  char go;
  control_send(control, CONTROL_READY, supervisor->instance.cgroup.slot, NULL);
  while (poll(watched, 2, -1) < 0 && errno == EINTR)
    ;
  if (!(watched[0].revents & POLLIN) || recv(control, &go, 1, 0) <= 0) {
    instance_undo(&supervisor->instance, NULL);
    _exit(0);
  }
  supervisor->instance.begun_us = now_us();
  supervisor->instance.phase_count = 0;
}

static int watch_all(struct supervisor *supervisor) {
  struct instance *instance = &supervisor->instance;
  struct channel *channel = &instance->channel;
  struct process *command = &supervisor->main;
  struct watch *watches[] = {&supervisor->notes, &supervisor->shell, &supervisor->cgroup_events};
  bool terminal = instance->terminal >= 0;
  supervisor->notes = (struct watch){.fd = channel->notes, .ready = notes_ready, .owner = supervisor};
  supervisor->shell = (struct watch){.fd = instance->shell_pidfd, .ready = shell_ready, .owner = supervisor};
  supervisor->cgroup_events = (struct watch){.fd = cgroup_events(&instance->cgroup), .ready = cgroup_ready, .owner = supervisor};
  for (int i = 0; i < 3; i++)
    if (watches[i]->fd < 0 || loop_add(&supervisor->loop, watches[i], i == 2 ? EPOLLPRI : EPOLLIN) < 0)
      return -1;
  if (terminal) {
    fd_close(&channel->input);
    fd_close(&channel->output);
    fd_close(&channel->errors);
  }
  /* A sandbox that only holds namespaces for others to use has nothing of its own to say. */
  output_log_init(&supervisor->log, instance->host->sandboxes, supervisor->id, supervisor->definition.hold ? 0 : supervisor->definition.output_bytes);
  *command = (struct process){
    .name = "main", .state = PROCESS_RUNNING, .pid = instance->main, .pid_inside = instance->main_inside, .start_ticks = instance->main_start_ticks,
    .started_ms = wall_ms(), .pidfd.fd = instance->main_pidfd,
  };
  return process_open(command, &supervisor->loop, channel->input, terminal ? instance->terminal : channel->output, channel->errors, terminal,
                      supervisor->definition.output_bytes, &supervisor->log);
}

static void launch(struct supervisor *supervisor, int control) {
  struct definition *definition = &supervisor->definition;
  struct instance *instance = &supervisor->instance;
  struct failure failure;
  struct fields fields;
  char error[128];
  if (!fields_open(&fields, instance->order->body, instance->order->length) || !definition_read(definition, &fields, error))
    _exit(1); /* the launcher has read it before */
  supervisor->init = definition->init;
  snprintf(supervisor->id, sizeof supervisor->id, "%s", definition->id);
  snprintf(supervisor->socket_name, sizeof supervisor->socket_name, "%s.sock", definition->id);
  process_title("supervisor", definition->id);
  supervisor->server = (struct server){.handle = handle, .closed = peer_closed, .drained = peer_drained, .owner = supervisor};
  if (loop_open(&supervisor->loop) < 0 || server_listen(&supervisor->server, &supervisor->loop, instance->host->sockets, supervisor->socket_name) < 0) {
    const char *code = errno == EADDRINUSE ? "exists" : "launch-failed";
    fail(&failure, LAYER_SUPERVISOR, "listen on %s", supervisor->socket_name);
    instance_undo(instance, NULL);
    launch_failed(control, instance->cgroup.slot, code, &failure);
  }
  int result = instance_commit(instance, definition, &failure);
  if (result == 0 && watch_all(supervisor) < 0)
    result = fail(&failure, LAYER_SUPERVISOR, "watch the sandbox");
  if (result == 0)
    return;
  instance_undo(instance, supervisor->id);
  unlinkat(instance->host->sockets, supervisor->socket_name, 0);
  launch_failed(control, instance->cgroup.slot, "launch-failed", &failure);
}

static void reply_launched(struct supervisor *supervisor, int control) {
  struct frame frame;
  frame_begin(&frame, LAUNCHED, 1);
  frame_put(&frame, "supervisor-pid", "%d", (int)getpid());
  frame_put(&frame, "supervisor-start-ticks", "%llu", (unsigned long long)process_start_ticks(getpid()));
  put_report(&frame, supervisor);
  for (unsigned i = 0; i < supervisor->instance.phase_count; i++)
    frame_put(&frame, "phase", "%s=%llu", supervisor->instance.phases[i].name, (unsigned long long)supervisor->instance.phases[i].microseconds);
  frame_end(&frame);
  control_send(control, CONTROL_REPLY, supervisor->instance.cgroup.slot, &frame);
}

/* ---- the loop ---- */

static void mind_the_clock(struct supervisor *supervisor) {
  uint64_t now = now_us();
  if (supervisor->kill_at_us && now >= supervisor->kill_at_us)
    kill_all(supervisor);
  if (supervisor->log.behind && now >= supervisor->log.behind_until_us)
    process_catch_up(supervisor->log.behind);
  if (supervisor->retry_at_us && now >= supervisor->retry_at_us)
    finish(supervisor);
}

/* Milliseconds until something is due; -1: nothing is. */
static int time_left(struct supervisor *supervisor) {
  uint64_t now = now_us();
  uint64_t due[] = {supervisor->kill_at_us, supervisor->retry_at_us, supervisor->log.behind_until_us, exec_mind_the_clock(supervisor, now)}, next = 0;
  for (int i = 0; i < 4; i++)
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
    await_order(&supervisor, order->control);
  launch(&supervisor, order->control);
  reply_launched(&supervisor, order->control);
  close(order->control);
  munmap(order->order, sizeof *order->order);
  for (;;) {
    bool waits = output_log_waits(&supervisor.log), idle = loop_once(&supervisor.loop, waits ? 0 : time_left(&supervisor)) == 0;
    if ((waits && idle) || output_log_due(&supervisor.log, now_us()))
      output_log_flush(&supervisor.log);
    mind_the_clock(&supervisor);
  }
}
