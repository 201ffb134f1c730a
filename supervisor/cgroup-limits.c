/* Limits of one instance: in version 2 where it has the controller, else in version 1 (cgroups(7)). */
#include "cgroup-files.h"
#include "mutants.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORK_TRIES 16 /* a sandbox that is full and not, in turn, is not taken for a host that is */

static int set(const struct cgroup *cgroup, int controller, const char *name, const char *value, struct failure *failure) {
  char path[PATH_MAX + 24];
  if (cgroup->v1[controller]) {
    cgroup_v1_path(path, cgroup, controller);
    if (cgroup_write_path(path, name, value) == 0)
      return 0;
  } else if (cgroup_write(cgroup->v2, name, value) == 0) {
    return 0;
  }
  return fail(failure, LAYER_LIMITS, "%s = %s", name, value);
}

/* A number, or what stands for none: "max" in version 2, -1 in version 1. */
static int set_number(const struct cgroup *cgroup, int controller, const char *v1_name, const char *v2_name, uint64_t number, struct failure *failure) {
  char value[24];
  bool v1 = cgroup->v1[controller];
  snprintf(value, sizeof value, "%llu", (unsigned long long)number);
  return set(cgroup, controller, v1 ? v1_name : v2_name, number ? value : v1 ? "-1" : "max", failure);
}

/* Swap is off for a limited instance; ENOENT: the kernel does not account swap, so there is no file to set. */
static int set_swap(const struct cgroup *cgroup, uint64_t bytes, struct failure *failure) {
  int result = cgroup->v1[MEMORY] ? set_number(cgroup, MEMORY, "memory.memsw.limit_in_bytes", NULL, bytes, failure)
                                  : set(cgroup, MEMORY, "memory.swap.max", bytes ? "0" : "max", failure);
  return result < 0 && failure->error == ENOENT ? 0 : result;
}

static uint64_t read_number(const struct cgroup *cgroup, const char *name) {
  char text[32] = "";
  cgroup_read(cgroup->v2, name, text, sizeof text);
  return strtoull(text, NULL, 10);
}

/* Version 1 refuses a limit below what is in use; version 2 would take it and kill. */
static int make_room(const struct cgroup *cgroup, uint64_t bytes, struct failure *failure) {
  char value[24];
  uint64_t used = cgroup->v1[MEMORY] || !bytes ? 0 : read_number(cgroup, "memory.current");
  if (used <= bytes)
    return 0;
  snprintf(value, sizeof value, "%llu", (unsigned long long)(used - bytes));
  cgroup_write(cgroup->v2, "memory.reclaim", value); /* as much as can be, from Linux 5.19 */
  if (read_number(cgroup, "memory.current") <= bytes)
    return 0;
  errno = EBUSY;
  return fail(failure, LAYER_LIMITS, "memory.max = %llu", (unsigned long long)bytes);
}

/* In version 1 the limit with swap may never be the lower one, so it goes first where the limits go up. */
static int set_memory(const struct cgroup *cgroup, uint64_t bytes, bool up, struct failure *failure) {
  if (make_room(cgroup, bytes, failure) < 0 || (up && set_swap(cgroup, bytes, failure) < 0) ||
      set_number(cgroup, MEMORY, "memory.limit_in_bytes", "memory.max", bytes, failure) < 0)
    return -1;
  return up ? 0 : set_swap(cgroup, bytes, failure);
}

static int set_cpu(const struct cgroup *cgroup, uint64_t quota_us, struct failure *failure) {
  char value[48];
  if (cgroup->v1[CPU])
    return set_number(cgroup, CPU, "cpu.cfs_quota_us", NULL, quota_us, failure);
  snprintf(value, sizeof value, quota_us ? "%llu 100000" : "max 100000", (unsigned long long)quota_us);
  return set(cgroup, CPU, "cpu.max", value, failure);
}

/* Version 1 counts in shares: 1,024 of them are a weight of 100. */
static int set_weight(const struct cgroup *cgroup, uint64_t weight, struct failure *failure) {
  char value[24];
  weight = weight ? weight : 100;
  snprintf(value, sizeof value, "%llu", (unsigned long long)(cgroup->v1[CPU] ? weight * 1024 / 100 : weight));
  return set(cgroup, CPU, cgroup->v1[CPU] ? "cpu.shares" : "cpu.weight", value, failure);
}

static int set_pids(const struct cgroup *cgroup, uint64_t number, struct failure *failure) {
  char value[24] = "max";
  if (number)
    snprintf(value, sizeof value, "%llu", (unsigned long long)number);
  return set(cgroup, PIDS, "pids.max", value, failure);
}

int cgroup_open_pids(const struct cgroup *cgroup) {
  char path[PATH_MAX + 24];
  if (!cgroup->v1[PIDS])
    return openat(cgroup->v2, "pids.current", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  cgroup_v1_path(path, cgroup, PIDS);
  snprintf(path + strlen(path), sizeof path - strlen(path), "/pids.current");
  return open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

int cgroup_refused(int pids, uint64_t limit, unsigned tries) {
  char text[32] = "";
  int error = errno;
  bool full = limit && pread(pids, text, sizeof text - 1, 0) > 0 && strtoull(text, NULL, 10) >= limit;
  errno = error;
  return full ? 1 : limit && tries < FORK_TRIES ? -1 : 0;
}

int cgroup_limit(const struct cgroup *cgroup, const struct cgroup_limits *limits, struct failure *failure) {
  static const struct cgroup_limits none;
  if (mutant("no-limits"))
    return 0;
  return cgroup_change_limits(cgroup, &none, limits, failure);
}

static int change_limits(const struct cgroup *cgroup, const struct cgroup_limits *old, const struct cgroup_limits *limits, struct failure *failure) {
  bool up = old->memory_bytes && (!limits->memory_bytes || limits->memory_bytes > old->memory_bytes);
  if (limits->memory_bytes != old->memory_bytes && set_memory(cgroup, limits->memory_bytes, up, failure) < 0)
    return -1;
  if (limits->cpu_quota_us != old->cpu_quota_us && set_cpu(cgroup, limits->cpu_quota_us, failure) < 0)
    return -1;
  if (limits->cpu_weight != old->cpu_weight && set_weight(cgroup, limits->cpu_weight, failure) < 0)
    return -1;
  return limits->pids == old->pids ? 0 : set_pids(cgroup, limits->pids, failure);
}

int cgroup_change_limits(const struct cgroup *cgroup, const struct cgroup_limits *old, const struct cgroup_limits *limits, struct failure *failure) {
  struct failure undoing;
  if (change_limits(cgroup, old, limits, failure) == 0)
    return 0;
  change_limits(cgroup, limits, old, &undoing);
  return -1;
}
