/* The file agent: a process inside a sandbox's mount and user namespaces that does for the daemon what a person's shell there could do
 * with files. It is one of the sandbox's own by its ids, so the host's files are out of its reach whatever a path says. */
#ifndef AGENT_H
#define AGENT_H

#include "wire.h"

#include <sys/stat.h>

#define PATH_LIMIT 4096
#define DATA_LIMIT 262144u
#define DEPTH_LIMIT 1000 /* of trees: each level holds a descriptor */
#define TEMPORARY ".unshared-" /* how names of what is not yet in its place begin */

/* What a broken-off request leaves: removed when the request fails and when the process ends. */
struct unfinished {
  int directory;
  char name[32]; /* empty: nothing */
};

struct agent {
  int socket;          /* to the asker; blocking */
  int root;            /* "/" inside */
  bool linkless;       /* no path leads through a link, not even to its place below the root */
  uint32_t request;    /* the one being answered */
  char *in;            /* one frame's body */
  struct wire_header header;
  struct fields fields;
  struct unfinished unfinished;
};

/* Serves until the connection ends. `request` is that of FILES, answered here. */
_Noreturn void agent_run(int socket, uint32_t request, int root);
/* The same with an agent that is open already. */
_Noreturn void agent_serve(struct agent *agent);

/* ---- agent.c: frames ---- */
/* The next frame into `header` and `fields`; ends the process with the connection. */
void agent_receive(struct agent *agent);
void agent_send(struct agent *agent, struct frame *frame);
void agent_done(struct agent *agent);
void agent_data(struct agent *agent, const void *bytes, size_t length);
/* Answers ERROR by errno. */
void agent_error(struct agent *agent, const char *what, const char *path);
/* As agent_error, after bytes were to be written: what is unfinished is removed, and the process ends with the connection. `entry`: what was at fault, or NULL. */
_Noreturn void agent_fail(struct agent *agent, const char *what, const char *path, const char *entry);
/* A file with holes: `segments` says where its bytes lie. */
void agent_sparse_entry(struct agent *agent, const char *name, const struct stat *status, const char *segments);
/* `name` is what the entry is called; `directory`/`at` where a link's target is read. */
void agent_entry(struct agent *agent, int directory, const char *at, const char *name, const struct stat *status);
/* A further name of a file that came as `first`. */
void agent_second_name(struct agent *agent, const char *name, const struct stat *status, const char *first);

/* ---- agent-path.c: resolving, by openat2(2) ---- */
/* Opens what `path` names, or -1. With O_NOFOLLOW in `flags` a link at the end is not followed. */
int path_open(const struct agent *agent, const char *path, int flags, mode_t mode);
/* Opens the directory that `path` lies in and points `name` at its last part. Makes missing ones with `parents`. EINVAL for "/" and for a last part of "." or "..". */
int path_parent(const struct agent *agent, const char *path, bool parents, const char **name);
/* Opens what `directory` holds by that name, itself if it is a link, and not what is mounted on it (EXDEV). */
int path_enter(int directory, const char *name, int flags);
/* Makes all directories of a path that are missing, and opens the last. */
int path_make(const struct agent *agent, const char *path);

/* ---- what can be asked; each sends its reply ---- */
void agent_stat(struct agent *agent);
void agent_list(struct agent *agent);
void agent_read(struct agent *agent);
void agent_write(struct agent *agent);
void agent_delete(struct agent *agent);
void agent_change(struct agent *agent);
void agent_walk(struct agent *agent);
void agent_plant(struct agent *agent);
void agent_watch(struct agent *agent);

void agent_drop_unfinished(struct agent *agent);
_Noreturn void agent_end(struct agent *agent);

/* Sends the ENTRY of a path, or the error. */
void agent_send_entry(struct agent *agent, const char *path, bool follow);
/* Opens a regular file for reading; EISDIR, EINVAL for what is none. */
int agent_open_regular(struct agent *agent, const char *path, struct stat *status);
/* Copies all bytes of a regular file from one descriptor to another, with its holes. */
int copy_bytes(int from, int to);
/* Sends a regular file's bytes from `offset` to before `end`, no more and no less. Answers -1 with errno. */
int send_bytes(struct agent *agent, int fd, uint64_t offset, uint64_t end);
/* Writes the DATA that comes into `fd` (-1: nowhere), leaves out each HOLE, and adds up `total`; stops at the first frame of another
 * type, which is then the agent's present one. */
int bytes_take(struct agent *agent, int fd, uint64_t *total);
/* Writes all of it. */
int write_all(int fd, const void *bytes, size_t length);
/* Copies out the name that the asker chose for what grows beside its place: it knows what to remove when this process is killed. EINVAL where it is no such name. */
bool temporary_name(const struct agent *agent, char name[32]);
/* Makes that file in `directory`, and notes it as unfinished. */
int temporary_open(struct agent *agent, int directory);
/* Gives it its owner and mode, and its place. */
int temporary_settle(struct agent *agent, int fd, uid_t uid, gid_t gid, mode_t mode, bool exclusive, const char *name);

#endif
