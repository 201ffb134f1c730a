/* The cgroups of an instance: a directory in the v2 tree, into which PID 1 is cloned and by which it is killed, and one in each
 * v1 hierarchy of memory, cpu and pids where the v2 tree has not got that controller (cgroups(7)). */
#define _GNU_SOURCE
#include "floor.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CGROUP2_MAGIC 0x63677270
#define REMOVE_TRIES 2000
#define PIDS_MAX "512"

static int write_file(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0)
    return -1;
  ssize_t n = write(file, text, strlen(text));
  close(file);
  return n < 0 ? -1 : 0;
}

static int is_v2(const char *path) {
  struct statfs s;
  return statfs(path, &s) == 0 && s.f_type == CGROUP2_MAGIC;
}

static void add_tree(struct floor *floor, const char *mount, int v2) {
  struct tree *tree = &floor->trees[floor->tree_count++];
  tree->v2 = v2;
  int length = snprintf(tree->path, sizeof tree->path, "%s/%s", mount, floor->name);
  if (length >= (int)sizeof tree->path || mkdir(tree->path, 0755) < 0)
    floor_fail(tree->path);
}

/* Asks the v2 tree for a controller, at its top and in the floor's own parent. */
static int enable(const struct floor *floor, const char *unified, const char *controller) {
  char path[256], order[32];
  snprintf(order, sizeof order, "+%s", controller);
  snprintf(path, sizeof path, "%s/cgroup.subtree_control", unified);
  if (write_file(path, order) < 0)
    return -1;
  snprintf(path, sizeof path, "%.200s/cgroup.subtree_control", floor->trees[0].path);
  return write_file(path, order);
}

/* Finds the hierarchies and makes the floor's own parent in each; the v2 tree is the first. */
void floor_trees_open(struct floor *floor) {
  static const char *const wanted[] = {"memory", "cpu", "pids"};
  const char *unified = is_v2("/sys/fs/cgroup") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
  char path[64];
  if (!is_v2(unified))
    floor_fail("no cgroup v2 tree");
  add_tree(floor, unified, 1);
  for (unsigned i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s", wanted[i]);
    if (enable(floor, unified, wanted[i]) < 0 && access(path, F_OK) == 0)
      add_tree(floor, path, 0);
  }
}

/* A directory of cgroupfs may be busy for a moment after its last process was reaped. */
static int remove_directory(const char *path) {
  for (int i = 0; i < REMOVE_TRIES; i++) {
    if (rmdir(path) == 0 || errno == ENOENT)
      return 0;
    if (errno != EBUSY)
      return -1;
    usleep(100);
  }
  return -1;
}

/* Removes the parents, and below them what a worker that died has left. */
void floor_trees_close(struct floor *floor) {
  char path[512];
  for (int i = 0; i < floor->tree_count; i++) {
    DIR *directory = opendir(floor->trees[i].path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
      if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
        continue;
      snprintf(path, sizeof path, "%.160s/%s/cgroup.kill", floor->trees[i].path, entry->d_name);
      if (floor->trees[i].v2)
        write_file(path, "1");
      *strrchr(path, '/') = 0;
      if (remove_directory(path) < 0)
        perror(path);
    }
    if (directory)
      closedir(directory);
    if (remove_directory(floor->trees[i].path) < 0)
      perror(floor->trees[i].path);
  }
}

static void instance_path(const struct instance *instance, int tree, const char *file, char path[256]) {
  snprintf(path, 256, "%s/%s%s", instance->floor->trees[tree].path, instance->label, file);
}

void floor_cgroups_make(struct instance *instance) {
  char path[256];
  for (int i = 0; i < instance->floor->tree_count; i++) {
    instance_path(instance, i, "", path);
    if (mkdir(path, 0755) < 0)
      floor_fail(path);
    if (instance->floor->trees[i].v2) {
      instance->cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (instance->cgroup < 0)
        floor_fail(path);
    }
    instance_path(instance, i, "/pids.max", path);
    if (write_file(path, PIDS_MAX) < 0 && errno != ENOENT)
      floor_fail(path);
  }
}

void floor_cgroups_join(struct instance *instance) {
  char path[256], pid[24];
  snprintf(pid, sizeof pid, "%d", instance->init);
  for (int i = 0; i < instance->floor->tree_count; i++) {
    if (instance->floor->trees[i].v2)
      continue;
    instance_path(instance, i, "/cgroup.procs", path);
    if (write_file(path, pid) < 0)
      floor_fail(path);
  }
}

void floor_cgroups_kill(struct instance *instance) {
  int file = openat(instance->cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC);
  if (file < 0 || write(file, "1", 1) != 1)
    floor_fail("cgroup.kill");
  close(file);
}

void floor_cgroups_remove(struct instance *instance) {
  char path[256];
  close(instance->cgroup);
  for (int i = 0; i < instance->floor->tree_count; i++) {
    instance_path(instance, i, "", path);
    if (remove_directory(path) < 0)
      floor_fail(path);
  }
}
