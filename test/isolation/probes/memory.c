/* Takes memory of one kind, up to a bound, and holds it. usage: memory heap|tmpfs|memfd|pipes|sockets|files MEBIBYTES */
#include "probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

static char block[1 << 20];

static int fd_of(const char *kind) {
  return strcmp(kind, "tmpfs") == 0 ? open("/dev/shm/bomb", O_RDWR | O_CREAT, 0600) : memfd_create("bomb", 0);
}

/* Both ends stay open, and nobody reads. */
static void fill_pairs(const char *kind, int mebibytes) {
  long left = (long)mebibytes << 20;
  while (left > 0) {
    int pair[2];
    if ((strcmp(kind, "pipes") == 0 ? pipe(pair) : socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) < 0)
      break;
    fcntl(pair[1], F_SETPIPE_SZ, 1 << 20);
    fcntl(pair[1], F_SETFL, O_NONBLOCK);
    ssize_t length;
    while ((length = write(pair[1], block, 65536)) > 0)
      left -= length;
  }
  say(left <= 0 ? "all" : outcome(errno), "taken");
}

int main(int count, char **arguments) {
  const char *kind = count > 2 ? arguments[1] : "heap";
  int mebibytes = count > 2 ? atoi(arguments[2]) : 0;
  memset(block, 'x', sizeof block);
  if (strcmp(kind, "pipes") == 0 || strcmp(kind, "sockets") == 0) {
    fill_pairs(kind, mebibytes);
    return 0;
  }
  int fd = strcmp(kind, "heap") == 0 ? -1 : fd_of(kind);
  for (int i = 0; i < mebibytes; i++) {
    void *taken = fd < 0 ? malloc(sizeof block) : NULL;
    if (fd < 0 ? !taken : write(fd, block, sizeof block) != (ssize_t)sizeof block) {
      say(outcome(errno), "taken");
      return 0;
    }
    if (taken)
      memset(taken, 'x', sizeof block);
  }
  say("all", "taken");
}
