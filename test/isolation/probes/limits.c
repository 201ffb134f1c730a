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

static const char *core_limit(void) {
  static char text[32];
  struct rlimit core;
  getrlimit(RLIMIT_CORE, &core);
  snprintf(text, sizeof text, "%ld %ld", (long)core.rlim_cur, (long)core.rlim_max);
  return text;
}

/* 0 and not 1 lets the host's core_pattern program be started; by each call, with bits that the kernel ignores, and asking for the old one. */
static void change_core_limit(void) {
  struct rlimit none = {0, 0}, old = {7, 7};
  const unsigned long core = RLIMIT_CORE, high = 1ul << 32;
  say(core_limit(), "core");
  TRY(syscall(SYS_setrlimit, core, &none), "setrlimit");
  TRY(syscall(SYS_setrlimit, core | high, &none), "setrlimit with a bit above 32");
  TRY(syscall(SYS_prlimit64, 0, core, &none, NULL), "prlimit64");
  TRY(syscall(SYS_prlimit64, 0, core | high, &none, NULL), "prlimit64 with a bit above 32");
  TRY(syscall(SYS_prlimit64, getpid(), core, &none, &old), "prlimit64 with the old one");
  TRY(syscall(SYS_prlimit64, 0, core, NULL, &old), "prlimit64 that only asks");
  say(core_limit(), "core afterwards");
}

int main(int count, char **arguments) {
  int most = count > 1 ? atoi(arguments[1]) : 0, opened = 0;
  char text[32];
  change_core_limit();
  snprintf(text, sizeof text, "%d", under_way(most));
  say(text, "under way");
  while (opened < most && open("/dev/null", O_RDONLY) >= 0)
    opened++;
  snprintf(text, sizeof text, "%d", opened);
  say(text, "opened");
  struct rlimit more = {(rlim_t)most * 2, (rlim_t)most * 2};
  TRY(setrlimit(RLIMIT_NOFILE, &more), "raise the limit");
}
