/* Holds a lease on a file (F_SETLEASE, fcntl(2)) and gives it up to nobody: who opens the file is made to wait for it, or is refused with EAGAIN. */
#include "probe.h"

#include <fcntl.h>
#include <signal.h>

int main(int count, char **arguments) {
  int fd = open(count > 1 ? arguments[1] : "leased", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  signal(SIGIO, SIG_IGN);
  TRY(fd < 0 ? -1 : fcntl(fd, F_SETLEASE, F_WRLCK), "lease");
  for (;;)
    pause();
}
