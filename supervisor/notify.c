#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

const char *notify_take_socket(void) {
  char *value = getenv("NOTIFY_SOCKET");
  char *copied = value && *value ? strdup(value) : NULL;
  if (value)
    memset(value, 0, strlen(value)); /* the memory of the environment goes along into every fork (/proc/PID/environ) */
  unsetenv("NOTIFY_SOCKET");
  return copied;
}

int notify_send(const char *socket_path, const char *message) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (!socket_path)
    return 0;
  size_t length = strlen(socket_path);
  if (length >= sizeof address.sun_path || (*socket_path != '/' && *socket_path != '@')) {
    errno = EINVAL;
    return -1;
  }
  memcpy(address.sun_path, socket_path, length);
  if (*socket_path == '@') /* an abstract name (unix(7)) */
    address.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  ssize_t sent = sendto(fd, message, strlen(message), MSG_NOSIGNAL, (const struct sockaddr *)(const void *)&address,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
  int error = errno;
  close(fd);
  errno = error;
  return sent < 0 ? -1 : 0;
}

int notify_run(const char *socket_path) {
  char *line = NULL;
  size_t size = 0;
  while (getline(&line, &size, stdin) > 0) {
    line[strcspn(line, "\n")] = 0;
    if (notify_send(socket_path, line) < 0) /* a service manager that executes itself anew is back in a moment */
      fprintf(stderr, "unshared-supervisor: notify %s: %s\n", socket_path, strerror(errno));
  }
  free(line);
  return 0;
}
