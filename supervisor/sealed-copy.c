/* Until its exec a command that enters a sandbox is this program, and "#!/proc/self/exe" in a script executes it once more, as the
 * command: then /proc/PID/exe leads from inside to the file that the host executes. An owner of that file inside (a sandbox with the
 * host's ids) could change its mode, and on kernels that do not protect a running program's text its content (CVE-2019-5736). So what
 * runs is a copy in memory with all seals (memfd_create(2), fcntl(2)): nothing leads to the file, and the copy cannot be written. */
#include "sealed-copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010u /* Linux 6.3: what was always so can be forbidden to those who do not say it */
#endif
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int open_copy(void) {
  int copy = memfd_create("unshared-supervisor", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  return copy < 0 && errno == EINVAL ? memfd_create("unshared-supervisor", MFD_CLOEXEC | MFD_ALLOW_SEALING) : copy;
}

static int fill(int copy, int program) {
  struct stat status;
  if (fstat(program, &status) < 0)
    return -1;
  while (status.st_size > 0) {
    ssize_t sent = sendfile(copy, program, NULL, (size_t)status.st_size);
    if (sent <= 0)
      return -1;
    status.st_size -= sent;
  }
  return fchmod(copy, 0555) < 0 || fcntl(copy, F_ADD_SEALS, SEALS) < 0 ? -1 : 0;
}

int sealed_copy_run(char **arguments) {
  int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (program < 0)
    return -1;
  int seals = fcntl(program, F_GET_SEALS); /* EINVAL for a file on disk */
  int copy = seals == SEALS ? -1 : open_copy();
  if (copy >= 0 && fill(copy, program) == 0)
    fexecve(copy, arguments, environ);
  int error = errno;
  close(program);
  if (copy >= 0)
    close(copy);
  errno = error;
  return seals == SEALS ? 0 : -1;
}
