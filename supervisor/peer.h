/* A listening socket and its connections: frames in, frames out, credentials checked. */
#ifndef PEER_H
#define PEER_H

#include "loop.h"
#include "wire.h"

#include <sys/types.h>

#define PEER_LIMIT 16
#define PEER_FULL (1u << 20) /* with so many bytes unread it gets no output until it has read them */
#define PEER_QUEUE_LIMIT (8u << 20) /* bytes a peer may leave unread before it is cut off */

struct peer {
  struct watch watch;
  struct server *server;
  char *in;
  size_t in_length, in_capacity;
  char *out;
  size_t out_start, out_length, out_capacity;
  bool attached; /* wants events */
  bool was_full; /* somebody was told so */
  bool closing;  /* to be freed once the present frame is handled */
};

struct server {
  struct loop *loop;
  struct watch listener;
  struct peer *peers[PEER_LIMIT];
  void (*handle)(struct server *server, struct peer *peer, const struct wire_header *header, const struct fields *fields);
  void (*closed)(struct server *server, struct peer *peer);
  void (*drained)(struct server *server, struct peer *peer); /* one that was full has read everything; may be NULL */
  void *owner;
};

/* Listens on NAME in the directory `directory` (mode 0600). A stale socket file is replaced; EADDRINUSE when somebody answers there. */
int server_listen(struct server *server, struct loop *loop, int directory, const char *name);
/* The process that listens on NAME in `directory`, by its credentials (unix(7)); 0 when nobody does. */
pid_t server_pid(int directory, const char *name);
/* Whether the socket file NAME is one that nobody holds any more, neither listening nor about to. */
bool server_is_stale(int directory, const char *name);
void server_close(struct server *server);
/* Sends the frame and frees it; a peer that reads too slowly is closed. */
void peer_send(struct peer *peer, struct frame *frame);
/* DONE without fields, and ERROR with a code. */
void peer_done(struct peer *peer, uint32_t request);
void peer_refuse(struct peer *peer, uint32_t request, const char *code, const char *message);
/* `drained` is called once it is not any more. */
bool peer_is_full(struct peer *peer);
/* Sends a copy to each attached peer, then frees the frame. */
void server_broadcast(struct server *server, struct frame *frame);

#endif
