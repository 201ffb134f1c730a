/* WALK: sends a whole tree, parents first. */
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
  char *kept = strdup(path);
  if (!kept)
    return NULL;
  *found = (struct sent){.device = status->st_dev, .inode = status->st_ino, .path = kept};
  walk->count++;
  return "";
}

static bool walk_directory(struct walk *walk, int directory, const char *prefix, int depth);

#define SEGMENT_LIMIT 1000

/* Where the bytes of a file with holes lie, as "OFFSET+LENGTH,...", the last segment to the end where there are more than so many; NULL: it
 * has none. */
static const char *segments_of(int fd, const struct stat *status, uint64_t segments[SEGMENT_LIMIT][2], size_t *count) {
  static char text[SEGMENT_LIMIT * 42];
  size_t length = 0;
  if ((uint64_t)status->st_blocks * 512 >= (uint64_t)status->st_size)
    return NULL;
  *count = 0;
  *text = 0;
  for (off_t at = 0; at < status->st_size && *count < SEGMENT_LIMIT;) {
    off_t data = lseek(fd, at, SEEK_DATA);
    if (data >= status->st_size || (data < 0 && errno == ENXIO))
      break;
    off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    if (hole < 0)
      return NULL;
    at = hole > status->st_size || *count + 1 == SEGMENT_LIMIT ? status->st_size : hole;
    segments[*count][0] = (uint64_t)data;
    segments[(*count)++][1] = (uint64_t)at;
    length += (size_t)snprintf(text + length, sizeof text - length, "%s%lld+%lld", length ? "," : "", (long long)data, (long long)(at - data));
  }
  return *count == 1 && segments[0][0] == 0 && segments[0][1] == (uint64_t)status->st_size ? NULL : text;
}

static bool walk_file(struct walk *walk, int fd, const char *path, const struct stat *status) {
  const char *before = status->st_nlink > 1 ? sent_before(walk, status, path) : "";
  if (!before)
    return false;
  if (*before) {
    agent_second_name(walk->agent, path, status, before);
    return true;
  }
  static uint64_t segments[SEGMENT_LIMIT][2];
  size_t count = 1;
  const char *sparse = segments_of(fd, status, segments, &count);
  if (sparse)
    agent_sparse_entry(walk->agent, path, status, sparse);
  else {
    agent_entry(walk->agent, fd, "", path, status);
    segments[0][0] = 0;
    segments[0][1] = (uint64_t)status->st_size;
    count = 1;
  }
  for (size_t i = 0; i < count; i++)
    if (send_bytes(walk->agent, fd, segments[i][0], segments[i][1]) < 0)
      return false;
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
