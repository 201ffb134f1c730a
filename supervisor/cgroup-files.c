#include "cgroup-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *const cgroup_controllers[3] = {"memory", "cpu", "pids"};

ssize_t cgroup_read(int directory, const char *name, char *text, size_t size) {
  int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return -1;
  ssize_t length = read(fd, text, size - 1);
  close(fd);
  if (length >= 0)
    text[length] = 0;
  return length;
}

int cgroup_write(int directory, const char *name, const char *text) {
  int fd = openat(directory, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return -1;
  ssize_t written = write(fd, text, strlen(text));
  int error = errno;
  close(fd);
  errno = error;
  return written < 0 ? -1 : 0;
}

int cgroup_write_path(const char *directory, const char *name, const char *text) {
  int fd = open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return -1;
  int result = cgroup_write(fd, name, text);
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

void cgroup_v1_path(char path[PATH_MAX + 24], const struct cgroup *cgroup, int controller) {
  snprintf(path, PATH_MAX + 16, "%s/%u", cgroup->host->v1[controller], cgroup->slot);
}
