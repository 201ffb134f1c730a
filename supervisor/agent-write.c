/* What writes and what deletes: WRITE, DELETE. */
#include "agent.h"
#include "channel.h"
#include "remove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
int temporary_open(struct agent *agent, int directory) {
  char name[32];
  int fd = temporary_name(agent, name) ? openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
  if (fd >= 0) {
    agent->unfinished.directory = directory;
    memcpy(agent->unfinished.name, name, sizeof name);
  }
  return fd;
}

static const struct rule hole_rules[] = {{"bytes", RULE_NUMBER, 1, INT64_MAX, false, false}, {0}};

int bytes_take(struct agent *agent, int fd, uint64_t *total) {
  char error[128];
  for (bool holes = false;;) {
    agent_receive(agent);
    if (agent->header.type == HOLE && fd >= 0) {
      errno = EINVAL;
      if (!fields_check(&agent->fields, hole_rules, error) || lseek(fd, (off_t)fields_number(&agent->fields, "bytes", 0), SEEK_CUR) < 0)
        return -1;
      holes = true;
      continue;
    }
    if (agent->header.type != DATA) /* a hole at the end has no byte behind it that makes the file so long */
      return holes ? ftruncate(fd, lseek(fd, 0, SEEK_CUR)) : 0;
    if (fd >= 0 && write_all(fd, agent->fields.payload, agent->fields.payload_length) < 0)
      return -1;
    *total += agent->fields.payload_length;
  }
}

int temporary_settle(struct agent *agent, int fd, uid_t uid, gid_t gid, mode_t mode, bool exclusive, const char *name) {
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
    result = temporary_settle(agent, fd, uid, gid, mode, exclusive, name);
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
