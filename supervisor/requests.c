/* What the daemon asks of a supervisor, by PROTOCOL.md, "Supervisor: requests". */
#include "quota.h"
#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

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

static void handle_signal(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields) {
  if (process_signal(process, (int)fields_number(fields, "signal", 0), fields_number(fields, "group", 0)) == 0)
    peer_done(peer, request);
  else
    peer_refuse(peer, request, errno == ESRCH ? "ended" : "failed", strerror(errno));
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
    supervisor_kill(supervisor);
  }
  peer_done(peer, request);
}

static void handle_freeze(struct supervisor *supervisor, struct peer *peer, uint32_t request, bool frozen) {
  if (supervisor->state != RUNNING || supervisor->retry_us || supervisor->kill_at_us) {
    peer_refuse(peer, request, "ended", "the sandbox is ending");
  } else if (cgroup_freeze(&supervisor->instance.cgroup, supervisor->cgroup_events.fd, frozen) < 0) {
    supervisor->frozen = false;
    peer_refuse(peer, request, "failed", strerror(errno));
  } else {
    supervisor->frozen = frozen;
    peer_done(peer, request);
  }
}

/* An image is made larger by the daemon, when nothing runs on it. */
static int change_quota(const struct supervisor *supervisor, uint64_t bytes) {
  const struct disk *disk = &supervisor->instance.disk;
  return !disk_is_quota(disk) || bytes == supervisor->definition.disk_bytes ? 0 : quota_change(disk, bytes);
}

/* What runs keeps its RLIMIT_NOFILE; processes that are started from now on get the new one. */
static void handle_limit(struct supervisor *supervisor, struct peer *peer, uint32_t request, const struct fields *fields) {
  struct definition wanted = {0};
  struct failure failure;
  struct frame frame;
  definition_read_limits(&wanted, fields);
  if (supervisor->state != RUNNING || supervisor->retry_us) {
    peer_refuse(peer, request, "ended", "the sandbox is ending");
  } else if (change_quota(supervisor, wanted.disk_bytes) < 0) {
    peer_refuse(peer, request, "failed", strerror(errno));
  } else if (cgroup_change_limits(&supervisor->instance.cgroup, &supervisor->definition.limits, &wanted.limits, &failure) < 0) {
    frame_begin(&frame, ERROR, request);
    frame_put(&frame, "code", "failed");
    frame_put(&frame, "errno", "%d", failure.error);
    frame_put(&frame, "message", "%s: %s", failure.message, strerror(failure.error));
    frame_end(&frame);
    change_quota(supervisor, supervisor->definition.disk_bytes);
    peer_send(peer, &frame);
  } else {
    supervisor->definition.limits = wanted.limits;
    supervisor->definition.open_files = wanted.open_files;
    supervisor->definition.disk_bytes = wanted.disk_bytes;
    peer_done(peer, request);
  }
}

static void handle_usage(struct supervisor *supervisor, struct peer *peer, uint32_t request) {
  struct disk_use use;
  struct frame frame;
  bool has_disk = supervisor->instance.disk.top >= 0;
  if (supervisor->state != RUNNING || supervisor->retry_us) {
    peer_refuse(peer, request, "ended", "the sandbox is ending");
  } else if (has_disk && disk_measure(&supervisor->instance.disk, &use) < 0) {
    peer_refuse(peer, request, "failed", strerror(errno));
  } else {
    frame_begin(&frame, USED, request);
    if (has_disk) {
      frame_put(&frame, "disk-mechanism", "%s", disk_is_quota(&supervisor->instance.disk) ? "quota" : "image");
      frame_put(&frame, "disk-bytes", "%llu", (unsigned long long)use.size);
      frame_put(&frame, "disk-used-bytes", "%llu", (unsigned long long)use.used);
      frame_put(&frame, "disk-available-bytes", "%llu", (unsigned long long)use.available);
    }
    frame_end(&frame);
    peer_send(peer, &frame);
  }
}

static _Noreturn void release(struct supervisor *supervisor, struct peer *peer, uint32_t request, bool remove) {
  const struct host *host = supervisor->instance.host;
  struct removed removed = {0};
  struct frame frame;
  int result = remove ? quota_remove_tree(host->sandboxes, supervisor->id, &removed) : 0;
  int error = errno;
  unlinkat(host->sockets, supervisor->socket_name, 0);
  if (result < 0) {
    frame_error(&frame, request, "failed", "the files are not removed: %s: %s", removed.left, strerror(error));
  } else {
    frame_begin(&frame, DONE, request);
    frame_put(&frame, "files", "%llu", (unsigned long long)removed.files);
    frame_put(&frame, "bytes", "%llu", (unsigned long long)removed.bytes);
    frame_end(&frame);
  }
  peer_send(peer, &frame);
  _exit(0);
}

static void attach(struct supervisor *supervisor, struct peer *peer, uint32_t request) {
  struct frame frame;
  peer->attached = true;
  frame_begin(&frame, REPORT, request);
  report_all(&frame, supervisor);
  frame_end(&frame);
  peer_send(peer, &frame);
}

static const struct rule *rules_of(uint16_t type) {
  switch (type) {
  case ATTACH:
  case FILES:
  case USAGE:
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
    peer_refuse(peer, header->request, "not-found", "no such process");
  else if (header->type == SIGNAL)
    handle_signal(process, peer, header->request, fields);
  else if (header->type == OUTPUT)
    process_output(process, peer, header->request, fields);
  else if (header->type == INPUT)
    process_input(process, peer, header->request, fields);
  else if (header->type == RESIZE)
    process_resize(process, peer, header->request, fields);
  else
    processes_forget(supervisor, peer, header->request, process);
}

void requests_handle(struct server *server, struct peer *peer, const struct wire_header *header, const struct fields *fields) {
  struct supervisor *supervisor = server->owner;
  char error[128] = "no such request here";
  const struct rule *rules = rules_of(header->type);
  if (supervisor->frozen && (header->type == EXEC || header->type == FILES)) /* what is started would stand still at once */
    peer_refuse(peer, header->request, "busy", "the sandbox is paused");
  else if (header->type == EXEC)
    exec_begin(supervisor, peer, header->request, fields);
  else if (!rules || !fields_check(fields, rules, error))
    peer_refuse(peer, header->request, "invalid", error);
  else if (header->type == ATTACH)
    attach(supervisor, peer, header->request);
  else if (header->type == FILES)
    file_agents_start(supervisor, peer, header->request);
  else if (header->type == USAGE)
    handle_usage(supervisor, peer, header->request);
  else if (header->type == STOP)
    handle_stop(supervisor, peer, header->request, fields);
  else if (header->type == LIMIT)
    handle_limit(supervisor, peer, header->request, fields);
  else if (header->type == FREEZE)
    handle_freeze(supervisor, peer, header->request, fields_number(fields, "frozen", 0));
  else if (header->type != RELEASE)
    handle_process(supervisor, peer, header, fields);
  else if (supervisor->state != GONE_STATE)
    peer_refuse(peer, header->request, "running", "the instance is not gone yet");
  else
    release(supervisor, peer, header->request, fields_number(fields, "remove", 0));
}

void requests_peer_closed(struct server *server, struct peer *peer) {
  struct supervisor *supervisor = server->owner;
  exec_forget_peer(supervisor, peer);
}

void requests_peer_drained(struct server *server, struct peer *peer) {
  struct supervisor *supervisor = server->owner;
  (void)peer;
  for (struct process *process = &supervisor->main; process; process = process->next)
    process_peer_drained(process);
}
