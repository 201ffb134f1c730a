/* What the parts of the floor program share. The theory of operation is at the head of floor.c. */
#ifndef FLOOR_H
#define FLOOR_H

#include <linux/filter.h>
#include <stdint.h>
#include <sys/types.h>

#define ID_RANGE 65536u
#define TREES_MAX 4

/* The stations of one launch, in the order they are reached; each holds microseconds since the launch began. */
enum station {
  AT_DIRECTORIES, /* upper, work and cgroups are made */
  AT_CLONED,      /* clone3 returned in the parent */
  AT_MAPPED,      /* id maps written, v1 cgroups joined */
  AT_SENT,        /* the idmapped mounts are made and sent */
  AT_BASE,        /* inside: private propagation, base, the mounts moved in */
  AT_OVERLAY,     /* inside: overlay mounted */
  AT_PROC,        /* inside: /proc and /sys */
  AT_DEV,         /* inside: /dev */
  AT_MASKS,       /* inside: masked and read-only paths */
  AT_PIVOT,       /* inside: pivot_root done, old root detached */
  AT_NETWORK,     /* inside: host name and loopback */
  AT_DROPPED,     /* inside: capabilities and no_new_privs */
  AT_FILTERED,    /* inside: seccomp filter loaded */
  AT_FORKED,      /* inside: the command's process runs, about to execute */
  STATIONS
};

/* One cgroup hierarchy in which every sandbox gets a directory. */
struct tree {
  char path[160]; /* the floor's own parent directory in it */
  int v2;
};

/* Everything that is fixed before the first launch. */
struct floor {
  const char *root;   /* the tree with bash; needs proc, sys and dev as empty directories */
  const char *work;   /* a directory of the floor's own */
  const char *name;   /* of the cgroup parent */
  unsigned id_base;   /* first host id of worker 0 */
  int root_fd;
  struct sock_fprog filter;
  struct tree trees[TREES_MAX];
  int tree_count;
};

/* One instance, from its directories to its removal. */
struct instance {
  const struct floor *floor;
  char label[32];     /* unique: worker and number */
  unsigned uid;       /* host id that is 0 inside */
  char *const *argv;
  uint32_t *stations; /* shared with the process inside, STATIONS of them */
  int64_t began;      /* nanoseconds, CLOCK_MONOTONIC */
  pid_t init;         /* host pid of PID 1 inside */
  int socket;         /* parent's end: the mounts go out here */
  int status;         /* end of file: the command is executing; else a failure's text */
  int output, input;  /* the command's stdout and stderr; its stdin */
  int cgroup;         /* descriptor of the v2 directory */
};

/* floor.c: nanoseconds of CLOCK_MONOTONIC; a station's time into the shared page; an end with the reason. */
int64_t floor_now(void);
void floor_mark(struct instance *instance, enum station station);
_Noreturn void floor_fail(const char *what);

/* floor-filter.c: compiles the allow-list to BPF, once. The caller never frees it. */
struct sock_fprog floor_filter(void);

/* floor-cgroups.c: one directory for each instance in each hierarchy. */
void floor_trees_open(struct floor *floor);
void floor_trees_close(struct floor *floor);
void floor_cgroups_make(struct instance *instance);
void floor_cgroups_join(struct instance *instance);
void floor_cgroups_kill(struct instance *instance);
void floor_cgroups_remove(struct instance *instance);

/* floor-launch.c: begin returns when the command is executing; end when nothing of it is left. */
void floor_begin(struct instance *instance);
void floor_end(struct instance *instance);

/* floor-inside.c: the life of PID 1 in the new namespaces. Takes the ends that belong to the inside. */
struct ends {
  int socket, status, output, input;
};
_Noreturn void floor_inside(struct instance *instance, struct ends ends);

#endif
