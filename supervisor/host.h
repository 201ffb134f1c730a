/* What is decided once, at the launcher's start, and inherited by every supervisor it forks. */
#ifndef HOST_H
#define HOST_H

#include <limits.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROGRAM_VERSION "0.1.0"
#define ID_RANGE 65536u   /* uids and gids of one instance */
#define SLOT_LIMIT 4096u /* instances at once; a slot names a cgroup and an id range */

/* In the order of `ns_table`; a set of namespaces is a mask of 1 << NS_x. */
enum ns { NS_MNT, NS_UTS, NS_IPC, NS_NET, NS_PID, NS_USER, NS_CGROUP, NS_TIME, NS_COUNT };
#define NS_BIT(ns) (1u << (ns))
#define NS_DEFAULT (NS_BIT(NS_COUNT) - 1 - NS_BIT(NS_TIME))

struct ns_type {
  const char *name;
  unsigned long flag;
};
extern const struct ns_type ns_table[NS_COUNT];

/* The host's cgroup hierarchies that instances get a child in. Empty paths: not there. */
struct cgroup_host {
  char v2[PATH_MAX];        /* directory of ours in the v2 tree */
  char v1[3][PATH_MAX];     /* ours in the v1 trees of memory, cpu and pids, where v2 has not the controller */
  const char *layout;       /* "v2", "hybrid" or "none" */
};

struct host {
  const char *run_dir, *state_dir, *cgroup_parent;
  const char *notify_socket; /* of the service manager; NULL: none */
  uint32_t id_base;
  unsigned ready_target;
  bool detached; /* started by a daemon, not as a unit of its own */
  int last_capability;
  uint64_t ns_inode[NS_COUNT];
  struct cgroup_host cgroups;
  struct sock_fprog filters[2]; /* of the profiles default and strict, see seccomp-filter.h */
  int sandboxes;                /* STATE_DIR/sandboxes, a directory */
  int sockets;                  /* RUN_DIR/sandboxes, a directory */
};

/* What ps(1) shows of this process and of those forked from it: the arguments, which name the host's paths, are overwritten
 * (proc(5), /proc/PID/cmdline; anybody inside can read that of PID 1), and the short name is set. */
void process_title(const char *name, const char *detail);

/* The launcher, at its start: gives up what no process of the program ever needs of the host. -1 when that is refused. */
int privileges_give_up(int last_capability);
/* A session keyring of its own, empty (session-keyring(7)). -1 when the kernel has keyrings and gives none: it counts for the quota of
 * who asks (keyrings(7)), which has room for a million of root's, and for 200 of any other id's. */
int keyring_join(void);

#endif
