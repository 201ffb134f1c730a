/* What proc(5) says of a process. */
#include "instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static ssize_t read_file(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return -1;
  ssize_t length = read(fd, text, size - 1);
  close(fd);
  text[length > 0 ? length : 0] = 0;
  return length;
}

static uint64_t stat_field(pid_t pid, int wanted) {
  char path[40], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  if (read_file(path, text, sizeof text) <= 0)
    return 0;
  char *at = strrchr(text, ')'); /* the name before it may hold anything; the next field is the third */
  for (int field = 3; at && field <= wanted; field++)
    at = strchr(at + 1, ' ');
  return at ? strtoull(at + 1, NULL, 10) : 0;
}

uint64_t process_start_ticks(pid_t pid) {
  return stat_field(pid, 22);
}

uint64_t boot_ticks(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  uint64_t each = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
  return (uint64_t)now.tv_sec * (1000000000 / each) + (uint64_t)now.tv_nsec / each;
}

uint64_t process_flags(pid_t pid) {
  return stat_field(pid, 9);
}

pid_t process_pid_inside(pid_t pid) {
  char path[40], text[4096];
  snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
  if (read_file(path, text, sizeof text) <= 0)
    return 0;
  char *line = strstr(text, "\nNSpid:");
  char *end = line ? strchr(line + 1, '\n') : NULL;
  if (!end)
    return 0;
  *end = 0;
  char *last = strrchr(line, '\t');
  return last ? (pid_t)strtol(last + 1, NULL, 10) : 0;
}

int process_namespaces(pid_t pid, uint64_t inodes[NS_COUNT]) {
  char path[48], target[64];
  for (int i = 0; i < NS_COUNT; i++) {
    snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, ns_table[i].name);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0 && errno == ENOENT && i == NS_TIME) { /* kernels before 5.6 */
      inodes[i] = 0;
      continue;
    }
    if (length < 0)
      return -1;
    target[length] = 0;
    char *number = strchr(target, '[');
    inodes[i] = number ? strtoull(number + 1, NULL, 10) : 0;
  }
  return 0;
}

int process_write(pid_t pid, const char *name, const char *text) {
  char path[48];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  ssize_t written = fd < 0 ? -1 : write(fd, text, strlen(text));
  int error = errno;
  if (fd >= 0)
    close(fd);
  errno = error;
  return written < 0 ? -1 : 0;
}

pid_t pidfd_number(int pidfd) {
  char path[48], text[512];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0)
    close(fd);
  if (length <= 0)
    return -1;
  text[length] = 0;
  const char *line = strstr(text, "Pid:");
  int pid = -1;
  return line && sscanf(line, "Pid: %d", &pid) == 1 ? (pid_t)pid : -1;
}
