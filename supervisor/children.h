/* The launcher and its children, for launcher.c, launcher-requests.c, children.c and worker.c. */
#ifndef CHILDREN_H
#define CHILDREN_H

#include "launcher.h"
#include "peer.h"
#include "supervisor.h"

#define REFILL_PAUSE_US 1000000 /* after a shell that could not be prepared, or died */

struct child {
  struct child *next;
  struct launcher *launcher;
  pid_t pid;
  enum { PREPARING, READY, LAUNCHING, SUPERVISING, WORKING } state;
  struct watch control;
  struct order *order;
  struct peer *asker; /* NULL: nobody, or gone */
  struct frame answer; /* its last word, passed on when it is reaped: who is told that something is gone finds no process of it either */
  bool undoing; /* a worker that cleans up after a launch: what the asker hears is that it failed */
  uint32_t request;
  unsigned slot;
  char id[65];
};

struct launcher {
  struct host *host;
  struct loop loop;
  struct server server;
  struct watch signals;
  struct child *children;
  unsigned next_slot;
  uint64_t refill_after_us;
  uint64_t sweep_at_us; /* 0: done */
  bool ending;
  struct failure problem; /* what keeps this machine from launching; message empty: nothing */
};

/* ---- children.c ---- */
/* A supervisor, prepared for no order yet (`ready`) or with one, which it takes over; NULL with errno where none can be forked. */
struct child *child_start_supervisor(struct launcher *launcher, struct order *order, unsigned isolate, bool ready);
/* A worker for CLEAN (`slot`) or REMOVE (-1), that answers `peer` (NULL: nobody); NULL with errno where none can be forked. */
struct child *child_start_worker(struct launcher *launcher, struct peer *peer, uint32_t request, long slot, const char *id);
/* Memory shared with it; NULL when there is none. */
struct order *child_new_order(void);
/* The slot whose cgroups are its; -1: none were made. An order is held from before that until the launch is answered. */
long child_slot(const struct child *child);
/* What it says over its control socket. */
void child_control_ready(struct watch *watch, uint32_t events);
/* Passes the frame on to whoever asked, once. */
void child_reply(struct child *child, struct frame *frame);
void child_free(struct child *child);
/* A prepared one is not wanted any more: it undoes itself and is reaped. */
void child_let_go(struct child *child);

/* ---- worker.c: in the child ---- */
_Noreturn void worker_clean(const struct host *host, int control, unsigned slot, const char *id);
_Noreturn void worker_remove(const struct host *host, int control, const char *id);

/* ---- launcher-requests.c ---- */
void launcher_handle(struct server *server, struct peer *peer, const struct wire_header *header, const struct fields *fields);
void launcher_peer_closed(struct server *server, struct peer *peer);

/* ---- launcher.c ---- */
/* Children in a state. */
unsigned launcher_count(const struct launcher *launcher, int state);

/* ---- launcher-peers.c ---- */
/* Tells whoever asks who is at the other end of its own socket `descriptor`. */
void launcher_tell_peer(struct peer *peer, uint32_t request, int descriptor);

#endif
