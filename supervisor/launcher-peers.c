/* Who is at the other end of a socket of the daemon's: Node.js has no call for SO_PEERCRED, so the launcher looks through a duplicate of the descriptor. */
#include "children.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int credentials_of(int socket_fd, struct ucred *found) {
  socklen_t size = sizeof *found;
  int domain = 0;
  socklen_t domain_size = sizeof domain;
  if (getsockopt(socket_fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) < 0)
    return -1;
  if (domain != AF_UNIX) {
    errno = EAFNOSUPPORT;
    return -1;
  }
  return getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, found, &size);
}

/* pidfd_getfd(2). The asker's number is its own as long as its connection stands, and it has just asked. */
static int duplicate_of(const struct peer *peer, int descriptor) {
  struct ucred asker;
  if (credentials_of(peer->watch.fd, &asker) < 0)
    return -1;
  int process = (int)syscall(SYS_pidfd_open, asker.pid, 0);
  int duplicate = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, descriptor, 0);
  int error = errno;
  fd_close(&process);
  errno = error;
  return duplicate;
}

void launcher_tell_peer(struct peer *peer, uint32_t request, int descriptor) {
  struct ucred found;
  struct frame frame;
  int duplicate = duplicate_of(peer, descriptor);
  int result = duplicate < 0 ? -1 : credentials_of(duplicate, &found), error = errno;
  fd_close(&duplicate);
  if (result < 0) {
    peer_refuse(peer, request, "failed", strerror(error));
    return;
  }
  frame_begin(&frame, CREDENTIALS, request);
  frame_put(&frame, "uid", "%u", found.uid);
  frame_put(&frame, "gid", "%u", found.gid);
  frame_end(&frame);
  peer_send(peer, &frame);
}
