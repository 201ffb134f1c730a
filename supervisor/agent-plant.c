/* PLANT: makes a whole tree. It grows in a temporary directory below its place, and is moved into that only when all has come and nothing
 * is in its way, so that a transfer that is broken off or refused leaves nothing. */
#include "agent.h"
#include "channel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct rule entry_rules[] = {
  {"path", RULE_TEXT, 1, PATH_LIMIT - 1, false, false}, {"type", RULE_TEXT, 1, 16, false, false}, {"mode", RULE_NUMBER, 0, 07777, false, false},
  {"uid", RULE_NUMBER, 0, 65535, false, false}, {"gid", RULE_NUMBER, 0, 65535, false, false}, {"mtime-us", RULE_NUMBER, 0, INT64_MAX, false, false},
  {"target", RULE_TEXT, 1, PATH_LIMIT - 1, true, false}, {"hardlink", RULE_TEXT, 1, PATH_LIMIT - 1, true, false},
  {"size", RULE_NUMBER, 0, INT64_MAX, true, false}, {0},
};

struct planting {
  struct agent ground; /* the same agent with the temporary directory as its root: no entry's path leads out of it */
  uint64_t files, bytes;
};

static int place(const struct planting *planting, const char *path, const char **name) {
  char absolute[PATH_LIMIT + 1];
  snprintf(absolute, sizeof absolute, "/%s", path);
  int directory = path_parent(&planting->ground, absolute, true, name);
  *name = path + (*name - absolute) - 1;
  return directory;
}

static int make_again(const struct planting *planting, const char *path, int directory, const char *name) {
  const char *first;
  int from = place(planting, path, &first);
  int result = from < 0 ? -1 : linkat(from, first, directory, name, 0);
  int error = errno;
  fd_close(&from);
  errno = error;
  return result;
}

/* Owner and mode of what was made; -1 as `fd` for a link, which has no mode of its own. */
static int dress(const struct fields *fields, int directory, const char *name, int fd) {
  uint64_t mtime = fields_number(fields, "mtime-us", 0);
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)(mtime / 1000000), .tv_nsec = (long)(mtime % 1000000) * 1000}};
  if (fchownat(directory, name, (uid_t)fields_number(fields, "uid", 0), (gid_t)fields_number(fields, "gid", 0), AT_SYMLINK_NOFOLLOW) < 0)
    return -1;
  if (fd >= 0 && fchmod(fd, (mode_t)fields_number(fields, "mode", 0) & 01777) < 0)
    return -1;
  return utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW);
}

/* What is made in a directory is no change of its own: it keeps the time that its entry gave it. */
static int restore_time(int directory, const struct stat *before) {
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, before->st_mtim};
  return utimensat(directory, ".", times, 0);
}

/* Makes one entry, and takes its bytes. Afterwards the agent's present frame is the next one. */
static int plant_entry(struct agent *agent, struct planting *planting) {
  /* The fields are those of a frame that the first DATA replaces, so its memory is held until the entry is done. */
  struct fields fields = agent->fields;
  char *held = agent->in;
  const char *path = fields_get(&fields, "path"), *type = fields_get(&fields, "type"), *name;
  const char *target = fields_get(&fields, "target"), *hardlink = fields_get(&fields, "hardlink");
  uint64_t before = planting->bytes;
  bool regular = strcmp(type, "file") == 0 && !hardlink;
  struct stat above;
  int directory = place(planting, path, &name), fd = -1, result = -1;
  agent->in = NULL;
  if (directory >= 0 && fstat(directory, &above) < 0)
    fd_close(&directory);
  errno = directory < 0 ? errno : EINVAL;
  if (directory >= 0 && hardlink)
    result = make_again(planting, hardlink, directory, name);
  else if (directory >= 0 && strcmp(type, "link") == 0 && target)
    result = symlinkat(target, directory, name);
  else if (directory >= 0 && strcmp(type, "directory") == 0)
    result = mkdirat(directory, name, 0700) == 0 || errno == EEXIST ? 0 : -1;
  else if (directory >= 0 && regular)
    result = (fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0 ? -1 : 0;
  if (result == 0 && strcmp(type, "directory") == 0)
    result = (fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0 ? -1 : 0;
  if (result == 0)
    result = bytes_take(agent, regular ? fd : -1, &planting->bytes);
  if (result == 0 && !regular && planting->bytes != before) {
    errno = EINVAL;
    result = -1;
  }
  if (result == 0 && !hardlink)
    result = dress(&fields, directory, name, fd);
  if (result == 0)
    result = restore_time(directory, &above);
  int error = errno;
  free(held);
  fd_close(&fd);
  fd_close(&directory);
  planting->files++;
  errno = error;
  return result;
}

/* ---- from the temporary directory into the place: directories are merged, everything else is replaced ---- */

static int merge_check(int from, int to, char path[PATH_LIMIT], size_t length, int depth);

/* Answers -1 with errno where what `to` has by that name is in the way: a directory and anything else never take each other's place. */
static int check_entry(int from, int to, const char *name, char path[PATH_LIMIT], size_t length, int depth) {
  struct stat lower, upper;
  int fd = path_enter(to, name, O_PATH), below = -1;
  if (fd < 0)
    return errno == ENOENT ? 0 : -1;
  int result = fstatat(from, name, &lower, AT_SYMLINK_NOFOLLOW) < 0 || fstat(fd, &upper) < 0 ? -1 : 0;
  if (result == 0 && S_ISDIR(lower.st_mode) != S_ISDIR(upper.st_mode)) {
    errno = S_ISDIR(upper.st_mode) ? EISDIR : ENOTDIR;
    result = -1;
  } else if (result == 0 && S_ISDIR(lower.st_mode)) {
    below = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    result = below < 0 ? -1 : merge_check(below, fd, path, length, depth + 1);
  }
  int error = errno;
  fd_close(&below);
  fd_close(&fd);
  errno = error;
  return result;
}

/* Whether all of `from` can go into `to`, so that nothing is moved where something is in the way. `path` then names that: its first `length` bytes are of `from`. */
static int merge_check(int from, int to, char path[PATH_LIMIT], size_t length, int depth) {
  struct dirent **names = NULL;
  int result = 0, count = depth > DEPTH_LIMIT ? -1 : scandirat(from, ".", &names, NULL, alphasort);
  for (int i = 0; i < count; i++) {
    const char *name = names[i]->d_name;
    if (result == 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
      int added = snprintf(path + length, PATH_LIMIT - length, "%s%s", length ? "/" : "", name);
      size_t whole = length + (size_t)added < PATH_LIMIT ? length + (size_t)added : PATH_LIMIT - 1;
      result = check_entry(from, to, name, path, whole, depth);
    }
    free(names[i]);
  }
  int error = errno;
  free(names);
  errno = error;
  return count < 0 ? -1 : result;
}

static int merge(int from, int to, int depth);

/* What is there as a directory keeps its owner, mode and what else it holds. */
static int merge_entry(int from, int to, const char *name, int depth) {
  int lower = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int upper = lower < 0 ? -1 : path_enter(to, name, O_RDONLY | O_DIRECTORY);
  int result = upper < 0 ? renameat(from, name, to, name) : merge(lower, upper, depth + 1);
  int error = errno;
  fd_close(&lower);
  fd_close(&upper);
  errno = error;
  return result;
}

static int merge(int from, int to, int depth) {
  struct dirent **names = NULL;
  int result = 0, count = depth > DEPTH_LIMIT ? -1 : scandirat(from, ".", &names, NULL, alphasort);
  for (int i = 0; i < count; i++) {
    const char *name = names[i]->d_name;
    if (result == 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
      result = merge_entry(from, to, name, depth);
    free(names[i]);
  }
  int error = errno;
  free(names);
  errno = error;
  return count < 0 ? -1 : result;
}

static void plant_all(struct agent *agent, int directory, const char *path) {
  char error[128];
  struct planting planting = {.ground = *agent};
  planting.ground.linkless = true; /* all links there came with the tree, whose own paths say where its files belong */
  planting.ground.root = openat(directory, agent->unfinished.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (planting.ground.root < 0)
    agent_end(agent);
  agent_done(agent);
  agent_receive(agent);
  int result = 0;
  char entry[PATH_LIMIT] = "";
  while (result == 0 && agent->header.type == ENTRY) {
    const char *named = fields_get(&agent->fields, "path");
    snprintf(entry, sizeof entry, "%s", named ? named : "");
    errno = EINVAL;
    result = fields_check(&agent->fields, entry_rules, error) ? plant_entry(agent, &planting) : -1;
  }
  if (result == 0 && agent->header.type != END_OF_DATA)
    agent_end(agent);
  if (result < 0)
    agent_fail(agent, "write below", path, *entry ? entry : NULL);
  *entry = 0;
  if (merge_check(planting.ground.root, directory, entry, 0, 0) < 0)
    agent_fail(agent, "move the tree below", path, *entry ? entry : NULL);
  if (merge(planting.ground.root, directory, 0) < 0)
    agent_fail(agent, "move the tree below", path, NULL);
  fd_close(&planting.ground.root);
  agent_drop_unfinished(agent);
  struct frame frame;
  frame_begin(&frame, DONE, agent->request);
  frame_put(&frame, "files", "%llu", (unsigned long long)planting.files);
  frame_put(&frame, "bytes", "%llu", (unsigned long long)planting.bytes);
  frame_end(&frame);
  agent_send(agent, &frame);
}

void agent_plant(struct agent *agent) {
  char path[PATH_LIMIT];
  snprintf(path, sizeof path, "%s", fields_get(&agent->fields, "path"));
  char name[32];
  int directory = path_open(agent, path, O_RDONLY | O_DIRECTORY, 0);
  if (directory < 0 || !temporary_name(agent, name) || mkdirat(directory, name, 0700) < 0)
    agent_error(agent, "write below", path);
  else {
    agent->unfinished.directory = directory;
    memcpy(agent->unfinished.name, name, sizeof name);
    plant_all(agent, directory, path);
  }
  fd_close(&directory);
}
