/* One child cgroup per instance in each hierarchy of the host (cgroups(7), Documentation/admin-guide/cgroup-v2.rst).
 * The v2 tree tracks, kills and tells when all is over; limits sit in v2 where it has the controller, else in v1.
 * Making the v2 directory is also what takes a slot: mkdir(2) is atomic, across launchers and crashes. */
#ifndef CGROUP_H
#define CGROUP_H

#include "failure.h"
#include "host.h"

struct cgroup_limits {
  uint64_t memory_bytes, cpu_quota_us, pids; /* 0: no limit; the quota is for each 100,000 us */
  uint64_t cpu_weight;                       /* 1 to 10,000; 0: the kernel's usual one, 100 */
};

struct cgroup {
  const struct cgroup_host *host;
  unsigned slot;
  int v2;         /* the directory; -1: not made */
  bool v1[3];     /* made */
  int tasks[3];   /* their `tasks` files, of cgroup_make only; -1: not open */
  int removed;    /* directories, by a removal that has more to do */
  char held[128]; /* the end of the path of the directory that could not be removed at last */
};

/* Finds the hierarchies, makes the parent directories named `parent` and hands controllers down to them. */
int cgroup_host_open(struct cgroup_host *host, const char *parent, struct failure *failure);

/* Removes the parents that are empty. */
void cgroup_host_close(const struct cgroup_host *host, const char *parent);

/* Takes the first free slot at or after `slot` and makes its cgroups. On failure nothing is left. */
int cgroup_make(struct cgroup *cgroup, const struct cgroup_host *host, unsigned slot, struct failure *failure);
/* Opens the cgroups of a slot that somebody else made. Answers -1 with ENOENT when there are none. */
int cgroup_open(struct cgroup *cgroup, const struct cgroup_host *host, unsigned slot);
/* Moves the calling thread into the v1 cgroups, by files that the supervisor opened (in v2 a process is born inside, by
 * CLONE_INTO_CGROUP). A thread that moves itself, as "0" in `tasks`, takes no lock that forks and exits of the whole machine wait for;
 * moving another, or a whole process, does, and after a quiet time waits for an RCU grace period first: 5 to 10 ms (Linux 5.5,
 * "cgroup: Optimize single thread migration"). */
int cgroup_join(const struct cgroup *cgroup, struct failure *failure);
/* Sets the limits of a new cgroup. */
int cgroup_limit(const struct cgroup *cgroup, const struct cgroup_limits *limits, struct failure *failure);
/* Changes the limits of one in use from `old`. On failure they are as they were. EBUSY: more memory is in use than the new limit allows,
 * and it cannot be taken back. */
int cgroup_change_limits(const struct cgroup *cgroup, const struct cgroup_limits *old, const struct cgroup_limits *limits, struct failure *failure);
/* Opens the count of its processes and threads; -1 with errno. */
int cgroup_open_pids(const struct cgroup *cgroup);
/* What clone(2) means by EAGAIN, when it has answered so `tries` times before: 1: there are as many as `limit` allows (0: any number), by the count `pids`;
 * 0: the host has no more to give; -1: to be tried again, since somebody may have ended meanwhile. Leaves errno as it is. */
int cgroup_refused(int pids, uint64_t limit, unsigned tries);
/* Number of processes in it; -1 on error. */
int cgroup_count(const struct cgroup *cgroup);
/* Sends SIGKILL to all that is in it, forks in flight included (cgroup.kill, Linux 5.14). */
int cgroup_kill(const struct cgroup *cgroup);
/* Stops all that is in it where it stands, or lets it go on, and waits until that is so. Killing needs no thaw. ETIMEDOUT: some of it did not
 * stop in time, as a process in an uninterruptible wait does not; all of it goes on then. */
int cgroup_freeze(const struct cgroup *cgroup, int events, bool frozen);
/* Opens cgroup.events, on which EPOLLPRI tells a change. */
int cgroup_events(const struct cgroup *cgroup);
/* 1 when a process lives in it, 0 when none does, -1 on error. */
int cgroup_populated(int events);
/* Processes that the out-of-memory killer took since the cgroup was made. */
uint64_t cgroup_oom_kills(const struct cgroup *cgroup);
/* Removes the cgroups. Answers how many directories went in all; -1 with EBUSY while something is left inside: to be called again then. */
int cgroup_remove(struct cgroup *cgroup);
/* Removes those of `host` that have neither processes nor an owner: whoever made one holds its v2 directory locked (flock(2)). Answers how many slots that freed. */
int cgroup_sweep(const struct cgroup_host *host);
void cgroup_close(struct cgroup *cgroup);

#endif
