/* Looking at files: STAT, LIST, READ. */
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- STAT ---- */

void agent_send_entry(struct agent *agent, const char *path, bool follow) {
  struct stat status;
  int fd = path_open(agent, path, O_PATH | (follow ? 0 : O_NOFOLLOW), 0);
  if (fd < 0 || fstat(fd, &status) < 0)
    agent_error(agent, "look at", path);
  else
    agent_entry(agent, fd, "", path, &status);
  if (fd >= 0)
    close(fd);
}

void agent_stat(struct agent *agent) {
  agent_send_entry(agent, fields_get(&agent->fields, "path"), fields_number(&agent->fields, "follow", 0));
}

/* ---- LIST: the smallest names after `after`, kept in order in a bounded array ---- */

struct names {
  char (*name)[NAME_MAX + 1];
  size_t count, limit;
  bool more;
};

static void keep_name(struct names *names, const char *name) {
  size_t low = 0, high = names->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (strcmp(names->name[middle], name) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  if (names->count == names->limit) {
    names->more = true;
    if (low == names->limit)
      return;
    names->count--;
  }
  memmove(names->name[low + 1], names->name[low], (names->count - low) * sizeof *names->name);
  snprintf(names->name[low], sizeof *names->name, "%s", name);
  names->count++;
}

static int read_names(DIR *directory, const char *after, struct names *names) {
  for (struct dirent *entry; (errno = 0, entry = readdir(directory));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, after) > 0)
      keep_name(names, entry->d_name);
  return errno ? -1 : 0;
}

void agent_list(struct agent *agent) {
  const char *path = fields_get(&agent->fields, "path"), *after = fields_get(&agent->fields, "after");
  struct names names = {.limit = fields_number(&agent->fields, "limit", 1)};
  int fd = path_open(agent, path, O_RDONLY | O_DIRECTORY, 0);
  DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  names.name = calloc(names.limit + 1, sizeof *names.name);
  if (!directory || !names.name || read_names(directory, after ? after : "", &names) < 0) {
    agent_error(agent, "list", path);
  } else {
    struct frame frame;
    for (size_t i = 0; i < names.count; i++) {
      struct stat status;
      if (fstatat(fd, names.name[i], &status, AT_SYMLINK_NOFOLLOW) == 0)
        agent_entry(agent, fd, names.name[i], names.name[i], &status);
    }
    frame_begin(&frame, DONE, agent->request);
    frame_put(&frame, "more", "%d", names.more);
    frame_end(&frame);
    agent_send(agent, &frame);
  }
  free(names.name);
  if (directory)
    closedir(directory);
  else if (fd >= 0)
    close(fd);
}

/* ---- READ ---- */

int send_bytes(struct agent *agent, int fd, uint64_t offset, uint64_t end) {
  static char bytes[DATA_LIMIT];
  while (offset < end) {
    size_t wanted = end - offset < sizeof bytes ? (size_t)(end - offset) : sizeof bytes;
    ssize_t n = pread(fd, bytes, wanted, (off_t)offset);
    if (n < 0)
      return -1;
    if (n == 0) { /* it was cut short beside us: what was promised cannot be kept */
      errno = ESTALE;
      return -1;
    }
    agent_data(agent, bytes, (size_t)n);
    offset += (uint64_t)n;
  }
  return 0;
}

/* Opened without waiting: a FIFO would wait for a writer. Only what is a regular file is read. */
int agent_open_regular(struct agent *agent, const char *path, struct stat *status) {
  int fd = path_open(agent, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
  if (fd >= 0 && fstat(fd, status) == 0 && S_ISREG(status->st_mode))
    return fd;
  int error = fd < 0 ? errno : S_ISDIR(status->st_mode) ? EISDIR : EINVAL;
  if (fd >= 0)
    close(fd);
  errno = error;
  return -1;
}

void agent_read(struct agent *agent) {
  const char *path = fields_get(&agent->fields, "path");
  struct stat status;
  int fd = agent_open_regular(agent, path, &status);
  if (fd < 0) {
    agent_error(agent, "read", path);
    return;
  }
  uint64_t size = (uint64_t)status.st_size, offset = fields_number(&agent->fields, "offset", 0), length = fields_number(&agent->fields, "length", 0);
  agent_entry(agent, fd, "", path, &status);
  if (send_bytes(agent, fd, offset, length && offset < size && length < size - offset ? offset + length : size) < 0)
    agent_error(agent, "read", path);
  else
    agent_done(agent);
  close(fd);
}
