/* The terminal: whose it is, and typing into it. usage: terminal [0|1] where 1 says that stdin is one */
#include "probe.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

static long request(int fd, unsigned long number) {
  char byte[16] = "x";
  return syscall(SYS_ioctl, fd, number, byte);
}

int main(void) {
  int null = open("/dev/null", O_RDWR);
  say(getsid(0) == getpid() ? "own" : getsid(0) == 0 ? "outside" : "other", "session");
  say(getpgrp() == getpid() ? "own" : "other", "group");
  int tty = open("/dev/tty", O_RDWR);
  say(outcome(tty < 0 ? errno : 0), "open /dev/tty");
  int fds[] = {0, tty, null};
  const char *names[] = {"stdin", "/dev/tty", "/dev/null"};
  for (int i = 0; i < 3; i++) {
    TRY(request(fds[i], TIOCSTI), "TIOCSTI on %s", names[i]);
    TRY(request(fds[i], TIOCSTI | 1ul << 32), "TIOCSTI with a bit above 32 on %s", names[i]);
    TRY(request(fds[i], TIOCLINUX), "TIOCLINUX on %s", names[i]);
    TRY(request(fds[i], TIOCLINUX | 1ul << 63), "TIOCLINUX with bit 63 on %s", names[i]);
    TRY(request(fds[i], TIOCSETD), "TIOCSETD on %s", names[i]);
  }
}
