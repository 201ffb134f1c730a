/* The walk goes down by openat(2), and up to directories that it holds open or, where that would be too many, by "..". That is sound since
 * nothing that lives has the tree in its view any more, and it is checked: the directory above must be the one that was left. One that
 * stayed open is read on from where it was left, so that many directories in one cost no more than as many files. */
#include "mutants.h"
#include "remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_LEVELS 32

struct level {
  ino_t inode;
  char *name;     /* of the directory that was entered from here */
  DIR *directory; /* NULL where it was closed for those further down */
};

struct walk {
  DIR *directory;
  dev_t device;
  struct level *levels;
  size_t depth, capacity, open_from; /* levels from there on are open */
  struct removed *removed;
};

static DIR *open_directory(int parent, const char *name) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  if (fd >= 0 && !directory)
    close(fd);
  return directory;
}

static bool close_farthest(struct walk *walk) {
  if (walk->open_from == walk->depth)
    return false;
  struct level *level = &walk->levels[walk->open_from++];
  closedir(level->directory);
  level->directory = NULL;
  return true;
}

static int down(struct walk *walk, const char *name) {
  struct stat here, below;
  DIR *directory;
  if (walk->depth == walk->capacity) {
    size_t capacity = walk->capacity ? walk->capacity * 2 : 64;
    struct level *levels = reallocarray(walk->levels, capacity, sizeof *levels);
    if (!levels)
      return -1;
    walk->levels = levels;
    walk->capacity = capacity;
  }
  if (walk->depth - walk->open_from == OPEN_LEVELS)
    close_farthest(walk);
  do
    directory = open_directory(dirfd(walk->directory), name);
  while (!directory && errno == EMFILE && close_farthest(walk));
  if (!directory)
    return -1;
  char *kept = strdup(name);
  if (!kept || fstat(dirfd(walk->directory), &here) < 0 || fstat(dirfd(directory), &below) < 0 || below.st_dev != walk->device) {
    if (kept)
      errno = EXDEV;
    free(kept);
    closedir(directory);
    return -1;
  }
  walk->levels[walk->depth++] = (struct level){.inode = here.st_ino, .name = kept, .directory = walk->directory};
  walk->directory = directory;
  return 0;
}

static int up(struct walk *walk) {
  struct stat above;
  struct level level = walk->levels[--walk->depth];
  if (walk->open_from > walk->depth)
    walk->open_from = walk->depth;
  DIR *directory = level.directory ? level.directory : open_directory(dirfd(walk->directory), "..");
  int result = -1;
  if (directory && fstat(dirfd(directory), &above) == 0) {
    errno = EXDEV;
    if (above.st_ino == level.inode && above.st_dev == walk->device)
      result = unlinkat(dirfd(directory), level.name, AT_REMOVEDIR);
  }
  if (directory) {
    closedir(walk->directory);
    walk->directory = directory;
  }
  free(level.name);
  walk->removed->files += result == 0;
  return result;
}

/* For the mutant alone, which harms no more than what a test made to be harmed. */
static void remove_behind(int directory, const char *name) {
  char target[PATH_MAX] = "";
  int fd = readlinkat(directory, name, target, sizeof target - 1) > 0 && strstr(target, "/unshared-sentinel-") ? openat(directory, name, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  if (fd >= 0) {
    unlinkat(fd, "file", 0);
    close(fd);
  }
}

/* Removes what can be removed at once. Answers 1 with the name of a directory to go down into, 0 when it is empty, -1 on error, then with
 * the name of what is in the way. */
static int empty(struct walk *walk, char name[NAME_MAX + 1]) {
  int parent = dirfd(walk->directory);
  for (struct dirent *entry; (errno = 0, entry = readdir(walk->directory));) {
    struct stat status;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
      return -1;
    if (status.st_nlink <= 1 || S_ISDIR(status.st_mode))
      walk->removed->bytes += (uint64_t)status.st_blocks * 512;
    if (mutant("removal-follows") && S_ISLNK(status.st_mode))
      remove_behind(parent, name);
    if (unlinkat(parent, name, S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0) < 0)
      return S_ISDIR(status.st_mode) && (errno == ENOTEMPTY || errno == EEXIST) ? 1 : -1;
    walk->removed->files++;
  }
  return errno ? -1 : 0;
}

/* The names come from inside a sandbox. The end of a path tells more than its beginning. */
static void name_left(struct walk *walk, const char *top, const char *below) {
  char *left = walk->removed->left;
  size_t room = sizeof walk->removed->left, at = 0;
  const char *names[3] = {walk->depth > 1 ? "..." : top, walk->depth ? walk->levels[walk->depth - 1].name : NULL, below[0] ? below : NULL};
  for (int i = 0; i < 3; i++)
    if (names[i])
      at += (size_t)snprintf(left + at, at < room ? room - at : 0, "%s%.80s", i ? "/" : "", names[i]);
  for (char *c = left; *c; c++)
    if (*c < ' ' || *c > '~')
      *c = '?';
}

int remove_tree(int parent, const char *name, struct removed *removed) {
  struct stat status;
  char below[NAME_MAX + 1] = "";
  struct walk walk = {.removed = removed};
  *removed = (struct removed){0};
  walk.directory = open_directory(parent, name);
  if (!walk.directory)
    return errno == ENOENT ? 0 : -1;
  int result = fstat(dirfd(walk.directory), &status);
  walk.device = status.st_dev;
  while (result == 0) {
    int found = empty(&walk, below);
    if (found < 0)
      result = -1;
    else if (found > 0)
      result = down(&walk, below);
    else if (walk.depth > 0)
      result = up(&walk);
    else
      break;
  }
  int error = errno;
  if (result < 0)
    name_left(&walk, name, below);
  closedir(walk.directory);
  while (walk.depth > 0) {
    struct level *level = &walk.levels[--walk.depth];
    if (level->directory)
      closedir(level->directory);
    free(level->name);
  }
  free(walk.levels);
  errno = error;
  if (result == 0) {
    removed->bytes += (uint64_t)status.st_blocks * 512;
    result = unlinkat(parent, name, AT_REMOVEDIR);
    removed->files += result == 0;
  }
  return result;
}
