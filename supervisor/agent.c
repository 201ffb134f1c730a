/* Theory of operation. The supervisor forks this process with the asker's connection, it enters the sandbox (shell.c), drops to what
 * the sandbox's own uid 0 may do with files, and then serves one request after the other, in plain blocking calls: a slow reader holds
 * up this process and nobody else. Bytes come and go in frames of at most 256 KiB. */
#include "agent.h"
#include "remove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- frames ---- */

void agent_drop_unfinished(struct agent *agent) {
  struct removed removed;
  struct unfinished *unfinished = &agent->unfinished;
  if (unfinished->name[0] && unlinkat(unfinished->directory, unfinished->name, 0) < 0 && (errno == EISDIR || errno == EPERM))
    remove_tree(unfinished->directory, unfinished->name, &removed);
  unfinished->name[0] = 0;
}

void agent_end(struct agent *agent) {
  agent_drop_unfinished(agent);
  _exit(0);
}

static void read_fully(struct agent *agent, void *to, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t n = read(agent->socket, (char *)to + at, length - at);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      agent_end(agent);
    at += (size_t)n;
  }
}

void agent_receive(struct agent *agent) {
  struct wire_header *header = &agent->header;
  free(agent->in);
  agent->in = NULL;
  read_fully(agent, header, sizeof *header);
  if (header->version != WIRE_VERSION || header->length > WIRE_BODY_LIMIT || header->request == 0)
    agent_end(agent);
  agent->in = malloc(header->length + 1);
  if (!agent->in)
    agent_end(agent);
  read_fully(agent, agent->in, header->length);
  if (!fields_open(&agent->fields, agent->in, header->length))
    agent_end(agent);
}

static void send_fully(struct agent *agent, const char *data, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t n = send(agent->socket, data + at, length - at, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      agent_end(agent);
    at += (size_t)n;
  }
}

void agent_send(struct agent *agent, struct frame *frame) {
  if (frame->failed)
    agent_end(agent);
  send_fully(agent, frame->data, frame->length);
  frame_free(frame);
}

void agent_done(struct agent *agent) {
  struct frame frame;
  frame_begin(&frame, DONE, agent->request);
  frame_end(&frame);
  agent_send(agent, &frame);
}

void agent_data(struct agent *agent, const void *bytes, size_t length) {
  struct wire_header header = {.length = (uint32_t)length + 1, .type = DATA, .version = WIRE_VERSION, .request = agent->request};
  char head[sizeof header + 1];
  memcpy(head, &header, sizeof header);
  head[sizeof header] = 0;
  send_fully(agent, head, sizeof head);
  send_fully(agent, bytes, length);
}

static void send_error(struct agent *agent, const char *what, const char *path, const char *entry) {
  int error = errno;
  struct frame frame;
  frame_begin(&frame, ERROR, agent->request);
  frame_put(&frame, "code", "file");
  frame_put(&frame, "errno", "%d", error);
  if (entry)
    frame_put(&frame, "entry", "%s", entry);
  frame_put(&frame, "message", "%s %s: %s", what, path, strerror(error));
  frame_end(&frame);
  agent_send(agent, &frame);
}

void agent_error(struct agent *agent, const char *what, const char *path) {
  send_error(agent, what, path, NULL);
}

/* The asker may be in the middle of sending. To close with its bytes unread would break its connection before it has read why, so they
 * are read and thrown away until it closes. */
void agent_fail(struct agent *agent, const char *what, const char *path, const char *entry) {
  int error = errno;
  char bytes[4096];
  ssize_t n;
  agent_drop_unfinished(agent);
  errno = error;
  send_error(agent, what, path, entry);
  do
    n = read(agent->socket, bytes, sizeof bytes);
  while (n > 0 || (n < 0 && errno == EINTR));
  _exit(0);
}

static const char *type_name(mode_t mode) {
  switch (mode & S_IFMT) {
  case S_IFREG:
    return "file";
  case S_IFDIR:
    return "directory";
  case S_IFLNK:
    return "link";
  case S_IFIFO:
    return "fifo";
  case S_IFSOCK:
    return "socket";
  default:
    return "device";
  }
}

static void begin_entry(struct frame *frame, const struct agent *agent, const char *name, const struct stat *status) {
  frame_begin(frame, ENTRY, agent->request);
  frame_put(frame, "path", "%s", name);
  frame_put(frame, "type", "%s", type_name(status->st_mode));
  frame_put(frame, "size", "%lld", (long long)status->st_size);
  frame_put(frame, "mode", "%u", status->st_mode & 07777);
  frame_put(frame, "uid", "%u", status->st_uid);
  frame_put(frame, "gid", "%u", status->st_gid);
  frame_put(frame, "mtime-us", "%lld", (long long)status->st_mtim.tv_sec * 1000000 + status->st_mtim.tv_nsec / 1000);
  frame_put(frame, "links", "%llu", (unsigned long long)status->st_nlink);
  frame_put(frame, "inode", "%llu", (unsigned long long)status->st_ino);
}

void agent_second_name(struct agent *agent, const char *name, const struct stat *status, const char *first) {
  struct frame frame;
  begin_entry(&frame, agent, name, status);
  frame_put(&frame, "hardlink", "%s", first);
  frame_end(&frame);
  agent_send(agent, &frame);
}

void agent_sparse_entry(struct agent *agent, const char *name, const struct stat *status, const char *segments) {
  struct frame frame;
  begin_entry(&frame, agent, name, status);
  frame_put(&frame, "segments", "%s", segments);
  frame_end(&frame);
  agent_send(agent, &frame);
}

void agent_entry(struct agent *agent, int directory, const char *at, const char *name, const struct stat *status) {
  struct frame frame;
  char target[PATH_LIMIT];
  begin_entry(&frame, agent, name, status);
  ssize_t length = S_ISLNK(status->st_mode) ? readlinkat(directory, at, target, sizeof target - 1) : -1;
  if (length >= 0) {
    target[length] = 0;
    frame_put(&frame, "target", "%s", target);
  }
  frame_end(&frame);
  agent_send(agent, &frame);
}

/* ---- requests ---- */

#define PATH_RULE {"path", RULE_TEXT, 1, PATH_LIMIT - 1, false, false}
#define TEMPORARY_RULE(optional) {"temporary", RULE_TEXT, sizeof TEMPORARY, 31, optional, false}
static const struct rule stat_rules[] = {PATH_RULE, {"follow", RULE_NUMBER, 0, 1, false, false}, {0}};
static const struct rule list_rules[] = {PATH_RULE, {"after", RULE_TEXT, 0, 255, true, false}, {"limit", RULE_NUMBER, 1, 1000, false, false}, {0}};
static const struct rule read_rules[] = {
  PATH_RULE, {"offset", RULE_NUMBER, 0, INT64_MAX, false, false}, {"length", RULE_NUMBER, 0, INT64_MAX, false, false}, {0},
};
static const struct rule write_rules[] = {
  PATH_RULE, {"mode", RULE_NUMBER, 0, 07777, false, false}, {"uid", RULE_NUMBER, 0, 65535, false, false}, {"gid", RULE_NUMBER, 0, 65535, false, false},
  {"parents", RULE_NUMBER, 0, 1, false, false}, {"exclusive", RULE_NUMBER, 0, 1, false, false}, TEMPORARY_RULE(false), {0},
};
static const struct rule delete_rules[] = {PATH_RULE, {"recursive", RULE_NUMBER, 0, 1, false, false}, {0}};
static const struct rule change_rules[] = {
  PATH_RULE, {"op", RULE_TEXT, 1, 16, false, false}, {"to", RULE_TEXT, 1, PATH_LIMIT - 1, true, false}, {"target", RULE_TEXT, 1, PATH_LIMIT - 1, true, false},
  {"mode", RULE_NUMBER, 0, 07777, true, false}, {"uid", RULE_NUMBER, 0, 65535, true, false}, {"gid", RULE_NUMBER, 0, 65535, true, false},
  {"parents", RULE_NUMBER, 0, 1, true, false}, TEMPORARY_RULE(true), {0},
};
static const struct rule plant_rules[] = {PATH_RULE, TEMPORARY_RULE(false), {0}};
static const struct rule path_rules[] = {PATH_RULE, {0}};
static const struct rule watch_rules[] = {PATH_RULE, {"recursive", RULE_NUMBER, 0, 1, false, false}, {0}};

static const struct {
  enum message type;
  const struct rule *rules;
  void (*serve)(struct agent *agent);
} requests[] = {
  {STAT, stat_rules, agent_stat}, {LIST, list_rules, agent_list}, {READ, read_rules, agent_read}, {WRITE, write_rules, agent_write},
  {DELETE, delete_rules, agent_delete}, {CHANGE, change_rules, agent_change}, {WALK, path_rules, agent_walk}, {PLANT, plant_rules, agent_plant},
  {WATCH, watch_rules, agent_watch},
};

static void serve(struct agent *agent) {
  char error[128] = "no such request here";
  agent->request = agent->header.request;
  for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
    if (requests[i].type == agent->header.type && fields_check(&agent->fields, requests[i].rules, error)) {
      if (fields_get(&agent->fields, "path")[0] == '/') {
        requests[i].serve(agent);
        return;
      }
      snprintf(error, sizeof error, "path is not absolute");
    }
  struct frame frame;
  frame_error(&frame, agent->request, "invalid", "%s", error);
  agent_send(agent, &frame);
}

void agent_serve(struct agent *agent) {
  for (;;) {
    agent_receive(agent);
    serve(agent);
  }
}

void agent_run(int socket, uint32_t request, int root) {
  static struct agent agent;
  agent = (struct agent){.socket = socket, .request = request, .root = root};
  int flags = fcntl(socket, F_GETFL);
  if (agent.root < 0 || flags < 0 || fcntl(socket, F_SETFL, flags & ~O_NONBLOCK) < 0)
    _exit(1);
  umask(0);
  agent_done(&agent);
  agent_serve(&agent);
}
