/* WATCH: what inotify(7) tells of a directory, and of those below it. Nothing is kept: an asker that does not read holds the
 * kernel's own bounded queue, whose overflow is told. */
#include "agent.h"
#include "channel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define WATCH_LIMIT 4096
#define WATCHED (IN_CREATE | IN_DELETE | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW)

struct watched {
  int number;
  char *path; /* absolute, inside */
};

struct watches {
  int inotify;
  bool recursive;
  struct watched list[WATCH_LIMIT];
  size_t count;
};

static void tell_change(struct agent *agent, const char *path, const char *name, const char *kind) {
  struct frame frame;
  frame_begin(&frame, CHANGED, agent->request);
  frame_put(&frame, "path", "%s%s%s", path, *name && strcmp(path, "/") != 0 ? "/" : "", name);
  frame_put(&frame, "kind", "%s", kind);
  frame_end(&frame);
  agent_send(agent, &frame);
}

static const char *kind_of(uint32_t mask) {
  static const struct {
    uint32_t bit;
    const char *kind;
  } kinds[] = {
    {IN_CREATE, "created"}, {IN_DELETE, "deleted"}, {IN_CLOSE_WRITE, "modified"}, {IN_ATTRIB, "attributes"}, {IN_MOVED_FROM, "moved-from"}, {IN_MOVED_TO, "moved-to"},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (mask & kinds[i].bit)
      return kinds[i].kind;
  return NULL;
}

/* inotify_add_watch(2) takes a path only, so the walk goes by chdir: the working directory is the one that was opened safely. */
static int add(struct watches *watches, int directory, const char *path) {
  if (watches->count == WATCH_LIMIT) {
    errno = ENOSPC;
    return -1;
  }
  int number = fchdir(directory) < 0 ? -1 : inotify_add_watch(watches->inotify, ".", WATCHED);
  char *kept = number < 0 ? NULL : strdup(path);
  if (!kept)
    return -1;
  watches->list[watches->count++] = (struct watched){number, kept};
  if (!watches->recursive)
    return 0;
  int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *names = copy < 0 ? NULL : fdopendir(copy);
  int result = names ? 0 : -1;
  for (struct dirent *entry; result == 0 && (entry = readdir(names));) {
    char below[PATH_LIMIT];
    if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    int fd = path_enter(directory, entry->d_name, O_RDONLY | O_DIRECTORY);
    if (fd >= 0 && snprintf(below, sizeof below, "%s/%s", strcmp(path, "/") == 0 ? "" : path, entry->d_name) < (int)sizeof below)
      result = add(watches, fd, below);
    fd_close(&fd);
  }
  if (names)
    closedir(names);
  return result;
}

static const char *path_of(const struct watches *watches, int number) {
  for (size_t i = 0; i < watches->count; i++)
    if (watches->list[i].number == number)
      return watches->list[i].path;
  return NULL;
}

static void forget(struct watches *watches, int number) {
  for (size_t i = 0; i < watches->count; i++)
    if (watches->list[i].number == number) {
      free(watches->list[i].path);
      watches->list[i] = watches->list[--watches->count];
      return;
    }
}

static void take_change(struct agent *agent, struct watches *watches, const struct inotify_event *event) {
  const char *path = path_of(watches, event->wd), *kind = kind_of(event->mask);
  char below[PATH_LIMIT];
  if (event->mask & IN_Q_OVERFLOW) {
    tell_change(agent, "/", "", "overflow");
    return;
  }
  if (event->mask & IN_IGNORED) {
    forget(watches, event->wd);
    return;
  }
  if (!path || !kind)
    return;
  const char *name = event->len ? event->name : "";
  if (strncmp(name, TEMPORARY, strlen(TEMPORARY)) == 0) /* a file on its way to its place, which is told */
    return;
  tell_change(agent, path, name, kind);
  if (!watches->recursive || !(event->mask & IN_ISDIR) || !(event->mask & (IN_CREATE | IN_MOVED_TO)) ||
      snprintf(below, sizeof below, "%s/%s", strcmp(path, "/") == 0 ? "" : path, name) >= (int)sizeof below)
    return;
  int fd = path_open(agent, below, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
  if (fd >= 0 && add(watches, fd, below) < 0)
    tell_change(agent, below, "", "overflow"); /* it cannot be watched: what happens there is not told */
  fd_close(&fd);
}

static _Noreturn void follow(struct agent *agent, struct watches *watches) {
  static char buffer[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
  struct pollfd watched[] = {{.fd = watches->inotify, .events = POLLIN}, {.fd = agent->socket, .events = POLLIN | POLLRDHUP}};
  for (;;) {
    if (poll(watched, 2, -1) < 0 && errno != EINTR)
      agent_end(agent);
    if (watched[1].revents) /* nothing more is asked on such a connection: it ended */
      agent_end(agent);
    ssize_t length = watched[0].revents ? read(watches->inotify, buffer, sizeof buffer) : 0;
    for (ssize_t at = 0; at < length;) {
      const struct inotify_event *event = (const void *)(buffer + at);
      take_change(agent, watches, event);
      at += (ssize_t)(sizeof *event + event->len);
    }
  }
}

void agent_watch(struct agent *agent) {
  static struct watches watches;
  const char *path = fields_get(&agent->fields, "path");
  watches.count = 0;
  watches.inotify = inotify_init1(IN_CLOEXEC);
  watches.recursive = fields_number(&agent->fields, "recursive", 0);
  int directory = path_open(agent, path, O_RDONLY | O_DIRECTORY, 0);
  if (watches.inotify < 0 || directory < 0 || add(&watches, directory, path) < 0) {
    agent_error(agent, "watch", path);
    agent_end(agent);
  }
  fd_close(&directory);
  agent_done(agent);
  follow(agent, &watches);
}
