/* Does what it can to the descriptors that it was given, then looks at what it holds. */
#include "probe.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

int main(void) {
  char path[32], kind[64] = "";
  struct stat status;
  signal(SIGTTOU, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  for (int fd = 0; fd < 3; fd++) {
    fstat(fd, &status);
    size_t used = strlen(kind);
    snprintf(kind + used, sizeof kind - used, "%s%s", fd ? " " : "", S_ISFIFO(status.st_mode) ? "pipe" : S_ISCHR(status.st_mode) ? "device" : S_ISSOCK(status.st_mode) ? "socket" : "other");
  }
  say(kind, "given");
  for (int fd = 0; fd < 3; fd++) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (again >= 0)
      close(again);
    shutdown(fd, SHUT_RDWR);
    fcntl(fd, F_SETPIPE_SZ, 1 << 20);
    fcntl(fd, F_SETPIPE_SZ, 4096);
    fcntl(fd, F_SETOWN, 1);
    fcntl(fd, F_SETSIG, SIGKILL);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK | O_ASYNC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~(O_NONBLOCK | O_ASYNC));
    fcntl(fd, F_SETLEASE, F_WRLCK);
    flock(fd, 2 | 4);
    fchmod(fd, 0);
    ioctl(fd, FIONBIO, &(int){1});
    ioctl(fd, FIONBIO, &(int){0});
    struct msghdr message = {0};
    sendmsg(fd, &message, MSG_DONTWAIT);
    recvmsg(fd, &message, MSG_DONTWAIT);
  }
  say("yes", "still there");
}
