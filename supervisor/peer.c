#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void peer_free(struct peer *peer) {
  struct server *server = peer->server;
  for (int i = 0; i < PEER_LIMIT; i++)
    if (server->peers[i] == peer)
      server->peers[i] = NULL;
  if (server->closed)
    server->closed(server, peer);
  loop_close(server->loop, &peer->watch);
  free(peer->in);
  free(peer->out);
  free(peer);
}

/* Writes what the socket takes; answers false when the peer is gone. */
static bool flush(struct peer *peer) {
  while (peer->out_length > 0) {
    ssize_t n = send(peer->watch.fd, peer->out + peer->out_start, peer->out_length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      break;
    peer->out_start += (size_t)n;
    peer->out_length -= (size_t)n;
  }
  if (peer->out_length > 0)
    return (errno == EAGAIN) && loop_change(peer->server->loop, &peer->watch, EPOLLIN | EPOLLOUT) == 0;
  free(peer->out);
  peer->out = NULL;
  peer->out_start = peer->out_capacity = 0;
  /* Who was full is told of in the peer's own turn, which comes at once. */
  return loop_change(peer->server->loop, &peer->watch, peer->was_full ? EPOLLIN | EPOLLOUT : EPOLLIN) == 0;
}

static bool queue(struct peer *peer, const char *data, size_t length) {
  if (peer->out_length + length > PEER_QUEUE_LIMIT)
    return false;
  if (peer->out_start + peer->out_length + length > peer->out_capacity) {
    char *grown = malloc(peer->out_length + length);
    if (!grown)
      return false;
    if (peer->out_length)
      memcpy(grown, peer->out + peer->out_start, peer->out_length);
    free(peer->out);
    peer->out = grown;
    peer->out_start = 0;
    peer->out_capacity = peer->out_length + length;
  }
  memcpy(peer->out + peer->out_start + peer->out_length, data, length);
  peer->out_length += length;
  return true;
}

static void deliver(struct peer *peer, const struct frame *frame) {
  size_t sent = 0;
  if (frame->failed)
    peer->closing = true;
  else if (peer->out_length == 0) { /* the usual case: one system call, no copy */
    ssize_t n = send(peer->watch.fd, frame->data, frame->length, MSG_NOSIGNAL | MSG_DONTWAIT);
    sent = n > 0 ? (size_t)n : 0;
  }
  if (!peer->closing && sent < frame->length && (!queue(peer, frame->data + sent, frame->length - sent) || !flush(peer)))
    peer->closing = true;
  if (peer->closing) /* the loop sees the end of the connection and frees it in its own turn */
    shutdown(peer->watch.fd, SHUT_RDWR);
}

bool peer_is_full(struct peer *peer) {
  peer->was_full |= peer->out_length > PEER_FULL;
  return peer->out_length > PEER_FULL;
}

void peer_send(struct peer *peer, struct frame *frame) {
  deliver(peer, frame);
  frame_free(frame);
}

void server_broadcast(struct server *server, struct frame *frame) {
  for (int i = 0; i < PEER_LIMIT; i++)
    if (server->peers[i] && server->peers[i]->attached)
      deliver(server->peers[i], frame);
  frame_free(frame);
}

/* Handles every whole frame in the buffer; answers false when the peer broke the protocol. */
static bool take_frames(struct peer *peer) {
  size_t at = 0;
  bool allowed = true;
  while (allowed && !peer->closing && peer->in_length - at >= sizeof(struct wire_header)) {
    struct wire_header header;
    memcpy(&header, peer->in + at, sizeof header);
    if (header.version != WIRE_VERSION || header.length > WIRE_BODY_LIMIT || header.request == 0)
      return false;
    if (peer->in_length - at - sizeof header < header.length)
      break;
    struct fields fields;
    allowed = fields_open(&fields, peer->in + at + sizeof header, header.length);
    if (allowed)
      peer->server->handle(peer->server, peer, &header, &fields);
    at += sizeof header + header.length;
  }
  memmove(peer->in, peer->in + at, peer->in_length - at);
  peer->in_length -= at;
  if (peer->in_length == 0) {
    free(peer->in);
    peer->in = NULL;
    peer->in_capacity = 0;
  }
  return allowed;
}

static bool make_room(struct peer *peer) {
  if (peer->in_length < peer->in_capacity)
    return true;
  size_t capacity = peer->in_capacity ? peer->in_capacity * 2 : 4096;
  size_t limit = sizeof(struct wire_header) + WIRE_BODY_LIMIT;
  if (capacity > limit)
    capacity = limit;
  char *grown = capacity > peer->in_capacity ? realloc(peer->in, capacity) : NULL;
  if (!grown)
    return false;
  peer->in = grown;
  peer->in_capacity = capacity;
  return true;
}

static void peer_ready(struct watch *watch, uint32_t events) {
  struct peer *peer = watch->owner;
  bool alive = true;
  if (events & EPOLLOUT)
    alive = flush(peer);
  if (alive && peer->was_full && peer->out_length == 0) {
    peer->was_full = false;
    alive = flush(peer);
    if (peer->server->drained)
      peer->server->drained(peer->server, peer);
  }
  if (alive && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
    alive = make_room(peer);
    ssize_t n = alive ? read(watch->fd, peer->in + peer->in_length, peer->in_capacity - peer->in_length) : -1;
    if (n > 0) {
      peer->in_length += (size_t)n;
      alive = take_frames(peer);
    } else {
      alive = alive && n < 0 && (errno == EAGAIN || errno == EINTR);
    }
  }
  if (!alive || peer->closing)
    peer_free(peer);
}

static void listener_ready(struct watch *watch, uint32_t events) {
  struct server *server = watch->owner;
  (void)events;
  int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) /* who connects waits, and is not asked after without end */
      loop_pause(server->loop, watch);
    return;
  }
  struct ucred peer_credentials;
  socklen_t size = sizeof peer_credentials;
  int place = 0;
  while (place < PEER_LIMIT && server->peers[place])
    place++;
  struct peer *peer = NULL;
  if (place < PEER_LIMIT && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer_credentials, &size) == 0 &&
      peer_credentials.uid == geteuid() && (peer = calloc(1, sizeof *peer))) {
    *peer = (struct peer){.watch = {.fd = fd, .ready = peer_ready, .owner = peer}, .server = server};
    if (loop_add(server->loop, &peer->watch, EPOLLIN) == 0) {
      server->peers[place] = peer;
      return;
    }
  }
  free(peer);
  close(fd);
}

/* A socket's path is at most 107 bytes, so the directory is named by its descriptor (proc(5)). */
static socklen_t socket_address(struct sockaddr_un *address, int directory, const char *name) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", directory, name);
  return sizeof *address;
}

pid_t server_pid(int directory, const char *name) {
  struct sockaddr_un address;
  struct ucred listener = {0};
  socklen_t size = sizeof listener, length = socket_address(&address, directory, name);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && (connect(fd, (struct sockaddr *)&address, length) < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &size) < 0))
    listener.pid = 0;
  if (fd >= 0)
    close(fd);
  return listener.pid;
}

/* What is bound is of another type, so connect(2) is refused with EPROTOTYPE as long as somebody has it, listening yet or not. */
bool server_is_stale(int directory, const char *name) {
  struct sockaddr_un address;
  socklen_t size = socket_address(&address, directory, name);
  int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool stale = probe >= 0 && connect(probe, (struct sockaddr *)&address, size) < 0 && errno == ECONNREFUSED;
  if (probe >= 0)
    close(probe);
  return stale;
}

static int bind_fresh(int fd, int directory, const char *name) {
  struct sockaddr_un address;
  socklen_t size = socket_address(&address, directory, name);
  if (bind(fd, (struct sockaddr *)&address, size) == 0)
    return 0;
  if (errno != EADDRINUSE)
    return -1;
  if (!server_is_stale(directory, name)) {
    errno = EADDRINUSE;
    return -1;
  }
  if (unlinkat(directory, name, 0) < 0)
    return -1;
  return bind(fd, (struct sockaddr *)&address, size);
}

int server_listen(struct server *server, struct loop *loop, int directory, const char *name) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return -1;
  server->loop = loop;
  server->listener = (struct watch){.fd = fd, .ready = listener_ready, .owner = server};
  mode_t mask = umask(0177);
  int bound = bind_fresh(fd, directory, name);
  umask(mask);
  if (bound < 0 || listen(fd, PEER_LIMIT) < 0 || loop_add(loop, &server->listener, EPOLLIN) < 0) {
    int error = errno;
    close(fd);
    server->listener.fd = -1;
    errno = error;
    return -1;
  }
  return 0;
}

void server_close(struct server *server) {
  for (int i = 0; i < PEER_LIMIT; i++)
    if (server->peers[i])
      peer_free(server->peers[i]);
  loop_close(server->loop, &server->listener);
}

void peer_done(struct peer *peer, uint32_t request) {
  struct frame frame;
  frame_begin(&frame, DONE, request);
  frame_end(&frame);
  peer_send(peer, &frame);
}

void peer_refuse(struct peer *peer, uint32_t request, const char *code, const char *message) {
  struct frame frame;
  frame_error(&frame, request, code, "%s", message);
  peer_send(peer, &frame);
}
