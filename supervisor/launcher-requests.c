/* What the daemon asks of the launcher, by PROTOCOL.md, "Launcher: requests". */
#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct rule no_rules[] = {{0}};
static const struct rule clean_rules[] = {{"id", RULE_ID, 0, 0, false, false}, {"slot", RULE_NUMBER, 0, SLOT_LIMIT - 1, false, false},
                                           {"force", RULE_NUMBER, 0, 1, true, false}, {0}};
static const struct rule peer_rules[] = {{"descriptor", RULE_NUMBER, 0, INT_MAX, false, false}, {0}};
static const struct rule remove_rules[] = {{"id", RULE_ID, 0, 0, false, false}, {0}};

/* A state directory that was deleted and made anew is another one. What is ready has the old one in hand, and goes. */
static void look_at_state(struct launcher *launcher) {
  struct stat status;
  struct host *host = launcher->host;
  char path[PATH_MAX];
  if (fstat(host->sandboxes, &status) < 0 || status.st_nlink > 0)
    return;
  snprintf(path, sizeof path, "%s/sandboxes", host->state_dir);
  int anew = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (anew < 0 || dup3(anew, host->sandboxes, O_CLOEXEC) < 0)
    log_line(50, "%s was deleted: %s", path, strerror(errno));
  fd_close(&anew);
  for (struct child *child = launcher->children; child; child = child->next)
    if (child->state == READY || child->state == PREPARING)
      child_let_go(child);
}

static void welcome(struct launcher *launcher, struct peer *peer, uint32_t request) {
  struct frame frame;
  const struct host *host = launcher->host;
  look_at_state(launcher);
  frame_begin(&frame, WELCOME, request);
  frame_put(&frame, "pid", "%d", (int)getpid());
  frame_put(&frame, "start-ticks", "%llu", (unsigned long long)process_start_ticks(getpid()));
  frame_put(&frame, "version", "%s", PROGRAM_VERSION);
  frame_put(&frame, "detached", "%d", host->detached);
  frame_put(&frame, "ready", "%u", launcher_count(launcher, READY));
  frame_put(&frame, "ready-target", "%u", host->ready_target);
  frame_put(&frame, "supervisors", "%u", launcher_count(launcher, SUPERVISING));
  frame_put(&frame, "cgroup-layout", "%s", host->cgroups.layout);
  frame_put(&frame, "cgroup-parent", "%s", host->cgroup_parent);
  frame_put(&frame, "uid-base", "%u", host->id_base);
  for (int i = 0; i < NS_COUNT; i++) {
    char key[16];
    snprintf(key, sizeof key, "ns-%s", ns_table[i].name);
    frame_put(&frame, key, "%llu", (unsigned long long)host->ns_inode[i]);
  }
  if (launcher->problem.message[0])
    frame_put(&frame, "problem", "%s %d %s", layer_name(launcher->problem.layer), launcher->problem.error, launcher->problem.message);
  frame_end(&frame);
  peer_send(peer, &frame);
}

static struct child *take_ready(struct launcher *launcher, unsigned isolate) {
  for (struct child *child = launcher->children; isolate == NS_DEFAULT && child; child = child->next)
    if (child->state == READY && child->control.fd >= 0)
      return child;
  return NULL;
}

static void fill_order(struct order *order, const struct fields *fields) {
  order->length = (uint32_t)(fields->end - fields->start);
  memcpy(order->body, fields->start, order->length);
}

static struct child *begin_launch(struct launcher *launcher, const struct definition *definition, const struct fields *fields) {
  struct child *child = take_ready(launcher, definition->isolate);
  if (child) {
    fill_order(child->order, fields);
    if (send(child->control.fd, "g", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
      return child;
    loop_close(&launcher->loop, &child->control); /* it died just now, and is cleaned after when it is reaped: a fresh one then */
  }
  struct order *order = child_new_order();
  if (!order)
    return NULL;
  fill_order(order, fields);
  child = child_start_supervisor(launcher, order, definition->isolate, false);
  if (!child)
    munmap(order, sizeof *order);
  return child;
}

static void launch(struct launcher *launcher, struct peer *peer, uint32_t request, const struct fields *fields) {
  static struct definition definition;
  char error[128];
  if (!definition_read(&definition, fields, error)) {
    peer_refuse(peer, request, "invalid", error);
    return;
  }
  struct child *child = launcher->host->cgroups.v2[0] ? begin_launch(launcher, &definition, fields) : NULL;
  if (child) {
    child->state = LAUNCHING;
    child->asker = peer;
    child->request = request;
    snprintf(child->id, sizeof child->id, "%s", definition.id);
    return;
  }
  struct failure failure = launcher->problem;
  struct frame frame;
  if (!failure.message[0])
    fail(&failure, LAYER_SUPERVISOR, "fork");
  frame_begin(&frame, ERROR, request);
  frame_put(&frame, "code", "launch-failed");
  frame_put(&frame, "message", "%s: %s", failure.message, strerror(failure.error));
  frame_put(&frame, "layer", "%s", layer_name(failure.layer));
  frame_put(&frame, "errno", "%d", failure.error);
  frame_put(&frame, "guest", "0");
  frame_end(&frame);
  peer_send(peer, &frame);
}

/* The supervisor of a sandbox, ours by its slot or an adopted one by its socket; -1: there is none. Not reaped, or held by a
 * descriptor, so that the kill goes to nobody else. */
static int open_supervisor(const struct launcher *launcher, unsigned slot, const char *id) {
  char name[80];
  for (const struct child *child = launcher->children; child; child = child->next)
    if (child->state != WORKING && child_slot(child) == (long)slot)
      return (int)syscall(SYS_pidfd_open, child->pid, 0);
  snprintf(name, sizeof name, "%s.sock", id);
  pid_t pid = server_pid(launcher->host->sockets, name);
  int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
  if (pidfd >= 0 && server_pid(launcher->host->sockets, name) != pid) /* it ended meanwhile, and its number may be another's */
    fd_close(&pidfd);
  return pidfd;
}

/* Cgroups go last, and only then does their slot become another's: nothing is left of whoever had it before. */
static bool is_anothers(const struct launcher *launcher, unsigned slot, const char *id) {
  for (const struct child *child = launcher->children; child; child = child->next)
    if (child->state != WORKING && child_slot(child) == (long)slot)
      return strcmp(child->id, id) != 0;
  return false;
}

static void tell_gone(struct peer *peer, uint32_t request) {
  struct frame frame;
  frame_begin(&frame, CLEANED, request);
  frame_put(&frame, "complete", "1");
  frame_end(&frame);
  peer_send(peer, &frame);
}

static void ask_worker(struct launcher *launcher, struct peer *peer, uint32_t request, long slot, const char *id) {
  if (!child_start_worker(launcher, peer, request, slot, id))
    peer_refuse(peer, request, "failed", strerror(errno));
}

/* Whether a sandbox has its files in use, or is being cleaned up after. A socket that nobody holds was left by a supervisor that was killed when no
 * launcher minded it, and goes: its slot may be unknown to whoever would have it cleaned. */
static bool files_are_held(const struct launcher *launcher, const char *id) {
  char name[80];
  snprintf(name, sizeof name, "%s.sock", id);
  if (faccessat(launcher->host->sockets, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
    return false;
  for (const struct child *child = launcher->children; child; child = child->next)
    if (strcmp(child->id, id) == 0)
      return true;
  return !server_is_stale(launcher->host->sockets, name) || unlinkat(launcher->host->sockets, name, 0) < 0;
}

void launcher_handle(struct server *server, struct peer *peer, const struct wire_header *header, const struct fields *fields) {
  struct launcher *launcher = server->owner;
  char error[128] = "no such request here";
  const char *id = fields_get(fields, "id");
  unsigned slot = (unsigned)fields_number(fields, "slot", 0);
  if (header->type == LAUNCH)
    launch(launcher, peer, header->request, fields);
  else if (header->type == HELLO && fields_check(fields, no_rules, error))
    welcome(launcher, peer, header->request);
  else if (header->type == PEER && fields_check(fields, peer_rules, error))
    launcher_tell_peer(peer, header->request, (int)fields_number(fields, "descriptor", 0));
  else if (header->type == END && fields_check(fields, no_rules, error)) {
    peer_done(peer, header->request);
    launcher->ending = true;
  } else if (header->type == CLEAN && fields_check(fields, clean_rules, error) && is_anothers(launcher, slot, id)) {
    tell_gone(peer, header->request);
  } else if (header->type == CLEAN && fields_check(fields, clean_rules, error)) {
    int supervisor = open_supervisor(launcher, slot, id);
    if (supervisor >= 0 && fields_number(fields, "force", 0))
      syscall(SYS_pidfd_send_signal, supervisor, SIGKILL, NULL, 0);
    else if (supervisor >= 0)
      peer_refuse(peer, header->request, "running", "a supervisor holds this slot");
    if (supervisor < 0 || fields_number(fields, "force", 0))
      ask_worker(launcher, peer, header->request, slot, id);
    fd_close(&supervisor);
  } else if (header->type == REMOVE && fields_check(fields, remove_rules, error)) {
    if (files_are_held(launcher, id))
      peer_refuse(peer, header->request, "running", "a supervisor holds these files");
    else
      ask_worker(launcher, peer, header->request, -1, id);
  } else
    peer_refuse(peer, header->request, "invalid", error);
}

void launcher_peer_closed(struct server *server, struct peer *peer) {
  struct launcher *launcher = server->owner;
  for (struct child *child = launcher->children; child; child = child->next)
    if (child->asker == peer)
      child->asker = NULL;
}
