/* Listens by TCP and UDP on all addresses, and on an abstract name. usage: listener NAME; says the ports, and stays. */
#include "probe.h"

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static int port_of(int type) {
  struct sockaddr_in6 any = {.sin6_family = AF_INET6};
  socklen_t length = sizeof any;
  int fd = socket(AF_INET6, type, 0);
  if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0 || (type == SOCK_STREAM && listen(fd, 8) < 0) || getsockname(fd, (struct sockaddr *)&any, &length) < 0)
    return -1;
  return ntohs(any.sin6_port);
}

int main(int count, char **arguments) {
  char text[16];
  struct sockaddr_un name = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "%s", count > 1 ? arguments[1] : "");
  TRY(bind(fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name.sun_path + 1))), "abstract");
  snprintf(text, sizeof text, "%d", port_of(SOCK_STREAM));
  say(text, "tcp");
  snprintf(text, sizeof text, "%d", port_of(SOCK_DGRAM));
  say(text, "udp");
  for (;;)
    pause();
}
