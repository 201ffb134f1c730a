/* One sandbox's running instance, as its supervisor holds it, and the two halves of its launch. */
#ifndef INSTANCE_H
#define INSTANCE_H

#include "channel.h"
#include "definition.h"
#include "disk.h"

struct phase {
  const char *name;
  uint64_t microseconds;
};
#define PHASE_LIMIT 16

struct instance {
  const struct host *host;
  struct order *order;       /* shared with the launcher and the shell until the launch is over */
  unsigned isolate;          /* what the shell was made with */
  struct cgroup cgroup;
  uint32_t uid_base;         /* 0 where the user namespace is the host's */

  pid_t shell;               /* PID 1 inside: the init, or the command itself without one */
  int shell_pidfd;
  struct channel channel;
  int user_ns;
  struct sock_fprog filter;  /* that the definition asks for; length 0: one of the host's own */
  int terminal;              /* master; -1 without */
  struct disk disk;

  pid_t main;
  int main_pidfd;
  pid_t main_inside;
  uint64_t main_start_ticks;
  uint64_t ns_inode[NS_COUNT];
  bool made_files;           /* STATE_DIR/sandboxes/ID is new with this launch */

  uint64_t begun_us;
  struct phase phases[PHASE_LIMIT];
  unsigned phase_count;
};

/* Writes /proc/PID/NAME. */
int process_write(pid_t pid, const char *name, const char *text);
/* The number behind a pidfd, by its fdinfo (pidfd_open(2)); -1 when the process is no more. */
pid_t pidfd_number(int pidfd);

/* Prepare: all that needs no definition but the namespaces wanted. On failure everything is undone. */
int instance_prepare(struct instance *instance, const struct host *host, unsigned slot, unsigned isolate, struct failure *failure);
/* Commit: root, limits, command. On failure the caller undoes by instance_undo. */
int instance_commit(struct instance *instance, struct definition *definition, struct failure *failure);
/* Kills, waits, removes the cgroups and what instance_commit made on disk for `id` (NULL: nothing). */
void instance_undo(struct instance *instance, const char *id);

/* ---- instance-files.c, for instance.c ---- */
/* A detached copy of the mount that `path` lies on, seen through the instance's ids; -1 with errno. */
int instance_open_tree(const struct instance *instance, int directory, const char *path);
/* The sandbox's files, likewise: on its own disk, or as a directory of the host's, bounded by a quota or not at all. One that has a disk
 * is never shown without it. */
int instance_open_files(struct instance *instance, const struct definition *definition, struct failure *failure);
/* Those that this launch made. */
void instance_remove_files(const struct instance *instance, const char *id);

/* What the shell runs; the descriptors are its own. Neither returns. */
struct shell {
  const struct host *host;
  struct order *order;
  unsigned isolate;
  const struct cgroup *cgroup;
  int pids; /* of its cgroup, as cgroup_open_pids; for shell_enter */
  struct channel channel;
};
/* Closes all descriptors but those named; sorts them. */
int keep_only(int *kept, size_t count);
_Noreturn void shell_run(struct shell *shell);
/* Enters the running sandbox whose PID 1 `target` (a pidfd) names, and runs a command there. `input` -1: /dev/null. */
_Noreturn void shell_enter(struct shell *shell, const struct definition *definition, int target);
/* Enters its mount and user namespaces only, unseen by its processes, and serves as file agent on `connection`. */
_Noreturn void shell_serve_files(struct shell *shell, int target, int connection, uint32_t request);
/* ---- shell.c, for shell-enter.c ---- */
/* Tells the supervisor why, and ends. */
_Noreturn void shell_give_up(const struct shell *shell, const struct failure *failure);
int shell_set_limits(const struct definition *definition, struct failure *failure);
int shell_open_terminal(struct shell *shell, const struct definition *definition, struct failure *failure);
_Noreturn void shell_become_command(struct shell *shell, const struct definition *definition);

/* PID 1: reaps, forwards signals to the command, tells when it ended. */
_Noreturn void init_run(int last, pid_t command);

/* Steps of the shell, in mounts.c and credentials.c. */
int mounts_prepare(unsigned isolate, struct failure *failure);
int mounts_commit(int lower, int sandbox, struct failure *failure);
int mounts_pivot(struct failure *failure);
int credentials_drop(const struct host *host, const struct definition *definition, struct failure *failure);

/* proc(5): fields 22, in clock ticks, and 9 of /proc/PID/stat, 0 when it cannot be read; the pid in its innermost namespace; namespace inodes. */
uint64_t process_start_ticks(pid_t pid);
/* Now, on the same scale. */
uint64_t boot_ticks(void);
uint64_t process_flags(pid_t pid);
pid_t process_pid_inside(pid_t pid);
int process_namespaces(pid_t pid, uint64_t inodes[NS_COUNT]);

#endif
