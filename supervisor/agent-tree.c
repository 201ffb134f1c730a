/* Whole trees: WALK sends one, PLANT makes one. What is planted grows in a temporary directory beside its place, and is moved into it
 * only when all has come, so that a broken-off transfer leaves nothing. */
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

#define DEPTH_LIMIT 1000 /* each level holds a descriptor */

/* ---- WALK ---- */

/* Files with several links that were sent: a table by device and inode, grown by doubling, so that each one's bytes come once. */
struct sent {
  dev_t device;
  ino_t inode;
  char *path; /* NULL: free */
};

struct walk {
  struct agent *agent;
  struct sent *sent;
  size_t count, capacity;
};

static struct sent *sent_find(struct sent *sent, size_t capacity, dev_t device, ino_t inode) {
  size_t at = (size_t)(inode * 0x9e3779b97f4a7c15u ^ device) & (capacity - 1);
  while (sent[at].path && (sent[at].device != device || sent[at].inode != inode))
    at = (at + 1) & (capacity - 1);
  return &sent[at];
}

static int sent_grow(struct walk *walk) {
  size_t capacity = walk->capacity ? walk->capacity * 2 : 256;
  struct sent *grown = calloc(capacity, sizeof *grown);
  if (!grown)
    return -1;
  for (size_t i = 0; i < walk->capacity; i++)
    if (walk->sent[i].path)
      *sent_find(grown, capacity, walk->sent[i].device, walk->sent[i].inode) = walk->sent[i];
  free(walk->sent);
  walk->sent = grown;
  walk->capacity = capacity;
  return 0;
}

/* The path it was sent under before; "" when this is the first time, which is remembered; NULL when that cannot be. */
static const char *sent_before(struct walk *walk, const struct stat *status, const char *path) {
  if (walk->count * 2 >= walk->capacity && sent_grow(walk) < 0)
    return NULL;
  struct sent *found = sent_find(walk->sent, walk->capacity, status->st_dev, status->st_ino);
  if (found->path)
    return found->path;
  *found = (struct sent){.device = status->st_dev, .inode = status->st_ino, .path = strdup(path)};
  walk->count++;
  return found->path ? "" : NULL;
}

static bool walk_directory(struct walk *walk, int directory, const char *prefix, int depth);

static bool walk_file(struct walk *walk, int fd, const char *path, const struct stat *status) {
  const char *before = status->st_nlink > 1 ? sent_before(walk, status, path) : "";
  if (!before)
    return false;
  if (*before) {
    agent_second_name(walk->agent, path, status, before);
    return true;
  }
  agent_entry(walk->agent, fd, "", path, status);
  if (send_bytes(walk->agent, fd, 0, 0) < 0)
    agent_end(walk->agent);
  return true;
}

/* A name that vanished meanwhile is passed over, and what is mounted on a directory is not entered; anything else that fails ends the walk. */
static bool walk_entry(struct walk *walk, int directory, const char *name, const char *prefix, int depth) {
  char path[PATH_LIMIT];
  struct stat status;
  if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT;
  if (snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "/" : "", name) >= (int)sizeof path) {
    errno = ENAMETOOLONG;
    return false;
  }
  bool opened = S_ISREG(status.st_mode) || S_ISDIR(status.st_mode);
  int fd = opened ? path_enter(directory, name, O_RDONLY | O_NONBLOCK | O_NOCTTY) : -1;
  if (!opened || (fd < 0 && errno == EXDEV && S_ISDIR(status.st_mode))) {
    agent_entry(walk->agent, directory, name, path, &status);
    return true;
  }
  if (fd < 0) /* a link put in its place meanwhile is ELOOP */
    return errno == ENOENT || errno == ELOOP || errno == EXDEV;
  bool sound = fstat(fd, &status) == 0; /* of what was opened: its size is what is sent */
  if (sound && S_ISREG(status.st_mode)) {
    sound = walk_file(walk, fd, path, &status);
  } else if (sound && S_ISDIR(status.st_mode)) {
    agent_entry(walk->agent, fd, "", path, &status);
    sound = walk_directory(walk, fd, path, depth + 1);
  }
  int error = errno;
  close(fd);
  errno = error;
  return sound;
}

static bool walk_directory(struct walk *walk, int directory, const char *prefix, int depth) {
  struct dirent **names = NULL;
  bool sound = true;
  if (depth > DEPTH_LIMIT) {
    errno = ELOOP;
    return false;
  }
  int count = scandirat(directory, ".", &names, NULL, alphasort);
  if (count < 0)
    return false;
  for (int i = 0; i < count; i++) {
    const char *name = names[i]->d_name;
    if (sound && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
      sound = walk_entry(walk, directory, name, prefix, depth);
    free(names[i]);
  }
  int error = errno;
  free(names);
  errno = error;
  return sound;
}

static void sent_free(struct walk *walk) {
  for (size_t i = 0; i < walk->capacity; i++)
    free(walk->sent[i].path);
  free(walk->sent);
}

void agent_walk(struct agent *agent) {
  const char *path = fields_get(&agent->fields, "path"), *name;
  struct stat status;
  struct walk walk = {.agent = agent};
  int fd = path_open(agent, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
  bool sound = fd >= 0 && fstat(fd, &status) == 0;
  if (sound && S_ISDIR(status.st_mode)) {
    sound = walk_directory(&walk, fd, "", 0);
  } else if (sound) {
    int directory = path_parent(agent, path, false, &name);
    sound = directory >= 0 && walk_entry(&walk, directory, name, "", 0);
    int error = errno;
    fd_close(&directory);
    errno = error;
  }
  int error = errno;
  sent_free(&walk);
  errno = error;
  if (sound)
    agent_done(agent);
  else
    agent_error(agent, "walk", path);
  fd_close(&fd);
}

/* ---- PLANT ---- */

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

/* Makes one entry, and takes its bytes. Afterwards the agent's present frame is the next one. */
static int plant_entry(struct agent *agent, struct planting *planting) {
  /* The fields are those of a frame that the first DATA replaces, so its memory is held until the entry is done. */
  struct fields fields = agent->fields;
  char *held = agent->in;
  const char *path = fields_get(&fields, "path"), *type = fields_get(&fields, "type"), *name;
  const char *target = fields_get(&fields, "target"), *hardlink = fields_get(&fields, "hardlink");
  uint64_t before = planting->bytes;
  bool regular = strcmp(type, "file") == 0 && !hardlink;
  int directory = place(planting, path, &name), fd = -1, result = -1;
  agent->in = NULL;
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
  int error = errno;
  free(held);
  fd_close(&fd);
  fd_close(&directory);
  planting->files++;
  errno = error;
  return result;
}

/* Moves what is in `from` into `to`: directories are merged, everything else is replaced. */
static int merge(int from, int to, int depth) {
  struct dirent **names = NULL;
  int result = 0, count = depth > DEPTH_LIMIT ? -1 : scandirat(from, ".", &names, NULL, alphasort);
  for (int i = 0; i < count; i++) {
    const char *name = names[i]->d_name;
    bool itself = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    if (result == 0 && !itself && renameat(from, name, to, name) < 0) {
      int lower = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      int upper = lower < 0 ? -1 : path_enter(to, name, O_RDONLY | O_DIRECTORY);
      result = upper < 0 ? -1 : merge(lower, upper, depth + 1);
      int error = errno;
      fd_close(&lower);
      fd_close(&upper);
      errno = error;
    }
    free(names[i]);
  }
  free(names);
  return count < 0 ? -1 : result;
}

static void plant_all(struct agent *agent, int directory, const char *path) {
  char error[128];
  struct planting planting = {.ground = *agent};
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
