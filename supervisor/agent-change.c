/* CHANGE: directories, names, copies, attributes. */
#include "agent.h"
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
  int from = agent_open_regular(agent, path, &status);
  int directory = from < 0 ? -1 : path_parent(agent, to, false, &name);
  int fd = directory < 0 ? -1 : temporary_open(agent, directory);
  int result = -1;
  if (fd >= 0) {
    result = copy_bytes(from, fd);
    if (result == 0)
      result = temporary_settle(agent, fd, status.st_uid, status.st_gid, status.st_mode, false, name);
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
    agent_send_entry(agent, moved ? fields_get(&agent->fields, "to") : path, false);
}
