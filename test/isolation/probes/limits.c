/* Descriptors: as many as it gets, in its table and under way in sockets; and the limit on cores. usage: limits MOST */
#include "probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

static int under_way(int most) {
  int sent = 0, pair[2], fd = open("/dev/null", O_RDONLY);
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
    return -1;
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  while (sent < most) {
    union {
      struct cmsghdr header;
      char space[CMSG_SPACE(200 * sizeof(int))];
    } control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(200 * sizeof(int))}};
    struct iovec byte = {"x", 1};
    struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    for (int i = 0; i < 200; i++)
      memcpy(CMSG_DATA(&control.header) + (size_t)i * sizeof fd, &fd, sizeof fd);
    if (sendmsg(pair[0], &message, 0) < 0) {
      if (errno != EAGAIN || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0)
        break;
      continue;
    }
    sent += 200;
  }
  return sent;
}

int main(int count, char **arguments) {
  int most = count > 1 ? atoi(arguments[1]) : 0, opened = 0;
  char text[32];
  struct rlimit core;
  getrlimit(RLIMIT_CORE, &core);
  snprintf(text, sizeof text, "%ld %ld", (long)core.rlim_cur, (long)core.rlim_max);
  say(text, "core");
  snprintf(text, sizeof text, "%d", under_way(most));
  say(text, "under way");
  while (opened < most && open("/dev/null", O_RDONLY) >= 0)
    opened++;
  snprintf(text, sizeof text, "%d", opened);
  say(text, "opened");
  struct rlimit more = {(rlim_t)most * 2, (rlim_t)most * 2};
  TRY(setrlimit(RLIMIT_NOFILE, &more), "raise the limit");
}
