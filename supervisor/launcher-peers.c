/* Who is at the other end of a socket of the daemon's: Node.js has no call for SO_PEERCRED, so the launcher looks through a duplicate of the descriptor. */
#include "children.h"

#include <errno.h>
#include <stdlib.h>
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

/* A frame has room for so many fields; a process may have 65,536 groups (credentials(7)). */
enum { MOST_GROUPS_TOLD = 4000 };

/* SO_PEERGROUPS: the supplementary groups that it had when it connected. Answers how many, for the caller to free, or -1. */
static long groups_of(int socket_fd, gid_t **groups) {
  socklen_t size = 0;
  *groups = NULL;
  if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0)
    return 0;
  if (errno != ERANGE || !(*groups = malloc(size)))
    return -1;
  if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, *groups, &size) < 0)
    return -1;
  return (long)(size / sizeof **groups);
}

static void tell(struct peer *peer, uint32_t request, const struct ucred *found, const gid_t *groups, long count) {
  struct frame frame;
  frame_begin(&frame, CREDENTIALS, request);
  frame_put(&frame, "uid", "%u", found->uid);
  frame_put(&frame, "gid", "%u", found->gid);
  for (long i = 0; i < count && i < MOST_GROUPS_TOLD; i++)
    frame_put(&frame, "group", "%u", groups[i]);
  frame_end(&frame);
  peer_send(peer, &frame);
}

void launcher_tell_peer(struct peer *peer, uint32_t request, int descriptor) {
  struct ucred found;
  gid_t *groups = NULL;
  int duplicate = duplicate_of(peer, descriptor);
  long count = duplicate < 0 || credentials_of(duplicate, &found) < 0 ? -1 : groups_of(duplicate, &groups);
  if (count < 0)
    peer_refuse(peer, request, "failed", strerror(errno));
  else
    tell(peer, request, &found, groups, count);
  free(groups);
  fd_close(&duplicate);
}
