/* A launcher and a prepared supervisor that are killed together leave the cgroups of the slot: no process in them, and nobody who minds them. */
#include "cgroup-files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int cgroup_take(int directory, const char *path) {
  struct stat held, named;
  if (flock(directory, LOCK_EX) < 0 || fstat(directory, &held) < 0)
    return -1;
  return stat(path, &named) == 0 && named.st_ino == held.st_ino;
}

static bool is_empty(const struct cgroup *cgroup) {
  int events = cgroup_events(cgroup);
  bool empty = events >= 0 && cgroup_populated(events) == 0;
  if (events >= 0)
    close(events);
  return empty;
}

/* The number of a slot as this program writes it; -1: the name is another's. */
static long slot_of(const char *name) {
  char same[16], *end;
  long slot = strtol(name, &end, 10);
  if (*end || slot < 0 || slot >= SLOT_LIMIT)
    return -1;
  snprintf(same, sizeof same, "%ld", slot);
  return strcmp(same, name) == 0 ? slot : -1;
}

int cgroup_sweep(const struct cgroup_host *host) {
  DIR *directory = host->v2[0] ? opendir(host->v2) : NULL;
  int removed = 0;
  for (struct dirent *entry; directory && (entry = readdir(directory));) {
    long slot = slot_of(entry->d_name);
    struct cgroup cgroup;
    if (slot < 0 || cgroup_open(&cgroup, host, (unsigned)slot) < 0)
      continue;
    if (flock(cgroup.v2, LOCK_EX | LOCK_NB) == 0 && is_empty(&cgroup) && cgroup_remove(&cgroup) >= 0)
      removed++;
    cgroup_close(&cgroup);
  }
  if (directory)
    closedir(directory);
  return removed;
}
