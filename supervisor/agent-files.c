/* One file at a time: STAT, LIST, READ, WRITE, DELETE, CHANGE. */
#include "agent.h"
#include "channel.h"
#include "remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- STAT ---- */

static void send_entry_of(struct agent *agent, const char *path, bool follow) {
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
  send_entry_of(agent, fields_get(&agent->fields, "path"), fields_number(&agent->fields, "follow", 0));
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

int send_bytes(struct agent *agent, int fd, uint64_t offset, uint64_t length) {
  static char bytes[DATA_LIMIT];
  struct stat status;
  if (fstat(fd, &status) < 0)
    return -1;
  uint64_t size = (uint64_t)status.st_size, end = length && length < size - (offset < size ? offset : size) ? offset + length : size;
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
static int open_regular(struct agent *agent, const char *path, struct stat *status) {
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
  int fd = open_regular(agent, path, &status);
  if (fd < 0) {
    agent_error(agent, "read", path);
    return;
  }
  agent_entry(agent, fd, "", path, &status);
  if (send_bytes(agent, fd, fields_number(&agent->fields, "offset", 0), fields_number(&agent->fields, "length", 0)) < 0)
    _exit(1); /* in the middle of the bytes only the end of the connection can say so */
  agent_done(agent);
  close(fd);
}

/* ---- WRITE ---- */

int write_all(int fd, const void *bytes, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t n = write(fd, (const char *)bytes + at, length - at);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    at += (size_t)n;
  }
  return 0;
}

bool temporary_name(const struct agent *agent, char name[32]) {
  const char *asked = fields_get(&agent->fields, "temporary");
  if (!asked || strncmp(asked, TEMPORARY, strlen(TEMPORARY)) != 0 || strchr(asked, '/')) {
    errno = EINVAL;
    return false;
  }
  snprintf(name, 32, "%s", asked);
  return true;
}

/* The file that grows beside its place, or -1. */
static int temporary_open(struct agent *agent, int directory) {
  char name[32];
  int fd = temporary_name(agent, name) ? openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
  if (fd >= 0) {
    agent->unfinished.directory = directory;
    memcpy(agent->unfinished.name, name, sizeof name);
  }
  return fd;
}

int bytes_take(struct agent *agent, int fd, uint64_t *total) {
  for (;;) {
    agent_receive(agent);
    if (agent->header.type != DATA)
      return 0;
    if (fd >= 0 && write_all(fd, agent->fields.payload, agent->fields.payload_length) < 0)
      return -1;
    *total += agent->fields.payload_length;
  }
}

static int settle(struct agent *agent, int fd, uid_t uid, gid_t gid, mode_t mode, bool exclusive, const char *name) {
  struct unfinished *unfinished = &agent->unfinished;
  if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode & 01777) < 0 || fsync(fd) < 0)
    return -1;
  if (exclusive ? renameat2(unfinished->directory, unfinished->name, unfinished->directory, name, RENAME_NOREPLACE)
                : renameat(unfinished->directory, unfinished->name, unfinished->directory, name))
    return -1;
  unfinished->name[0] = 0;
  return 0;
}

/* The fields are gone with the next frame, so they are copied first. */
void agent_write(struct agent *agent) {
  const struct fields *fields = &agent->fields;
  char path[PATH_LIMIT];
  uid_t uid = (uid_t)fields_number(fields, "uid", 0);
  gid_t gid = (gid_t)fields_number(fields, "gid", 0);
  mode_t mode = (mode_t)fields_number(fields, "mode", 0644);
  bool exclusive = fields_number(fields, "exclusive", 0);
  const char *name;
  struct stat status;
  uint64_t total = 0;
  snprintf(path, sizeof path, "%s", fields_get(fields, "path"));
  int directory = path_parent(agent, path, fields_number(fields, "parents", 0), &name);
  bool there = directory >= 0 && fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
  int fd = -1;
  if (there && (exclusive || S_ISDIR(status.st_mode)))
    errno = exclusive ? EEXIST : EISDIR;
  else if (directory >= 0)
    fd = temporary_open(agent, directory);
  if (fd < 0) {
    agent_error(agent, "write", path);
    fd_close(&directory);
    return;
  }
  agent_done(agent);
  int result = bytes_take(agent, fd, &total);
  if (result == 0 && agent->header.type == END_OF_DATA)
    result = settle(agent, fd, uid, gid, mode, exclusive, name);
  else if (result == 0)
    agent_end(agent);
  if (result < 0)
    agent_fail(agent, "write", path, NULL);
  close(fd);
  if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
    agent_error(agent, "look at", path);
  else
    agent_entry(agent, directory, name, path, &status);
  fd_close(&directory);
}

/* ---- DELETE ---- */

void agent_delete(struct agent *agent) {
  const char *path = fields_get(&agent->fields, "path"), *name;
  bool recursive = fields_number(&agent->fields, "recursive", 0);
  struct removed removed;
  struct stat status;
  int directory = path_parent(agent, path, false, &name);
  int result = directory < 0 ? -1 : fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW);
  if (result == 0 && S_ISDIR(status.st_mode) && recursive) {
    int itself = path_enter(directory, name, O_PATH | O_DIRECTORY); /* what is mounted on it is not emptied */
    result = itself < 0 ? -1 : remove_tree(directory, name, &removed);
    fd_close(&itself);
  } else if (result == 0 && S_ISDIR(status.st_mode))
    result = unlinkat(directory, name, AT_REMOVEDIR);
  else if (result == 0)
    result = unlinkat(directory, name, 0);
  if (result < 0)
    agent_error(agent, "delete", path);
  else
    agent_done(agent);
  fd_close(&directory);
}

/* ---- CHANGE ---- */

static int make_directory(struct agent *agent, const char *path, const struct fields *fields) {
  const char *name;
  mode_t mode = (mode_t)fields_number(fields, "mode", 0755) & 01777;
  bool parents = fields_number(fields, "parents", 0);
  int directory = path_parent(agent, path, parents, &name);
  int result = directory < 0 ? -1 : mkdirat(directory, name, mode);
  struct stat status;
  if (result < 0 && errno == EEXIST && parents && fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode))
    result = 0; /* as mkdir -p */
  fd_close(&directory);
  return result;
}

int copy_bytes(int from, int to) {
  struct stat status;
  if (fstat(from, &status) < 0)
    return -1;
  for (off_t at = 0; at < status.st_size;) {
    off_t data = lseek(from, at, SEEK_DATA); /* holes stay holes */
    if (data < 0 && errno == ENXIO)
      break;
    off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);
    if (hole < 0)
      return -1;
    for (at = data; at < hole;) {
      off_t there = at;
      ssize_t n = copy_file_range(from, &at, to, &there, (size_t)(hole - at), 0);
      if (n <= 0)
        return -1;
    }
  }
  return ftruncate(to, status.st_size);
}

static int copy_file(struct agent *agent, const char *path, const char *to) {
  const char *name;
  struct stat status;
  int from = open_regular(agent, path, &status);
  int directory = from < 0 ? -1 : path_parent(agent, to, false, &name);
  int fd = directory < 0 ? -1 : temporary_open(agent, directory);
  int result = -1;
  if (fd >= 0) {
    result = copy_bytes(from, fd);
    if (result == 0)
      result = settle(agent, fd, status.st_uid, status.st_gid, status.st_mode, false, name);
  }
  int error = errno;
  agent_drop_unfinished(agent);
  fd_close(&fd);
  fd_close(&from);
  fd_close(&directory);
  errno = error;
  return result;
}

static int two_names(struct agent *agent, const char *path, const char *to, bool move) {
  const char *name, *to_name;
  int directory = path_parent(agent, path, false, &name);
  int to_directory = directory < 0 ? -1 : path_parent(agent, to, false, &to_name);
  int result = -1;
  if (to_directory >= 0)
    result = move ? renameat(directory, name, to_directory, to_name) : linkat(directory, name, to_directory, to_name, 0);
  int error = errno;
  fd_close(&directory);
  fd_close(&to_directory);
  errno = error;
  return result;
}

static int make_link(struct agent *agent, const char *path, const char *target) {
  const char *name;
  int directory = path_parent(agent, path, false, &name);
  int result = directory < 0 ? -1 : symlinkat(target, directory, name);
  int error = errno;
  fd_close(&directory);
  errno = error;
  return result;
}

/* fchmod(2) takes no O_PATH descriptor, so what is changed is opened without waiting, and never through a link at the end. */
static int change_attributes(struct agent *agent, const char *path, const struct fields *fields, bool owner) {
  const char *name;
  struct stat status;
  int directory = path_parent(agent, path, false, &name);
  int result = -1;
  int fd = directory < 0 ? -1 : path_enter(directory, name, owner ? O_PATH : O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0 && owner) {
    result = fchownat(fd, "", (uid_t)fields_number(fields, "uid", 0), (gid_t)fields_number(fields, "gid", 0), AT_EMPTY_PATH);
  } else if (fd >= 0) {
    errno = EINVAL;
    if (fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
      result = fchmod(fd, (mode_t)fields_number(fields, "mode", 0) & 01777);
  }
  int error = errno;
  fd_close(&fd);
  fd_close(&directory);
  errno = error;
  return result;
}

static int change(struct agent *agent, const char *op, const char *path, const struct fields *fields) {
  const char *to = fields_get(fields, "to"), *target = fields_get(fields, "target");
  if (strcmp(op, "mkdir") == 0)
    return make_directory(agent, path, fields);
  if (strcmp(op, "chmod") == 0 && fields_get(fields, "mode"))
    return change_attributes(agent, path, fields, false);
  if (strcmp(op, "chown") == 0 && fields_get(fields, "uid") && fields_get(fields, "gid"))
    return change_attributes(agent, path, fields, true);
  if (strcmp(op, "symlink") == 0 && target)
    return make_link(agent, path, target);
  if (to && to[0] == '/' && strcmp(op, "copy") == 0)
    return copy_file(agent, path, to);
  if (to && to[0] == '/' && (strcmp(op, "move") == 0 || strcmp(op, "link") == 0))
    return two_names(agent, path, to, op[0] == 'm');
  errno = ENOSYS;
  return -1;
}

void agent_change(struct agent *agent) {
  const char *path = fields_get(&agent->fields, "path"), *op = fields_get(&agent->fields, "op");
  bool moved = strcmp(op, "copy") == 0 || strcmp(op, "move") == 0 || strcmp(op, "link") == 0;
  if (change(agent, op, path, &agent->fields) < 0)
    agent_error(agent, op, path);
  else
    send_entry_of(agent, moved ? fields_get(&agent->fields, "to") : path, false);
}
