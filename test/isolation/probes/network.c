/* What of the network is there, and who answers. Nothing is sent but to loopback: a datagram socket only asks for a route.
 * usage: network LOOPBACK-PORT UNIX-PATH ADDRESS... */
#include "probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

static int lines_of(const char *path) {
  char text[8192];
  int fd = open(path, O_RDONLY), count = 0;
  for (ssize_t length; fd >= 0 && (length = read(fd, text, sizeof text)) > 0;)
    for (ssize_t i = 0; i < length; i++)
      count += text[i] == '\n';
  close(fd);
  return count;
}

static int reach(const char *address, int port, int type) {
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  bool is_six = strchr(address, ':') != NULL;
  if (inet_pton(is_six ? AF_INET6 : AF_INET, address, is_six ? (void *)&six.sin6_addr : (void *)&four.sin_addr) != 1)
    return EINVAL;
  int fd = socket(is_six ? AF_INET6 : AF_INET, type, 0);
  int result = connect(fd, is_six ? (void *)&six : (void *)&four, is_six ? sizeof six : sizeof four) < 0 ? errno : 0;
  close(fd);
  return result;
}

int main(int count, char **arguments) {
  char text[16];
  int port = atoi(arguments[1]);
  struct if_nameindex *interfaces = if_nameindex();
  for (const struct if_nameindex *one = interfaces; one && one->if_index; one++)
    say("there", "interface %s", one->if_name);
  snprintf(text, sizeof text, "%d", lines_of("/proc/net/route") - 1);
  say(text, "routes");
  snprintf(text, sizeof text, "%d", lines_of("/proc/net/unix") - 1);
  say(text, "unix sockets");
  say(outcome(reach("127.0.0.1", port, SOCK_STREAM)), "stream 127.0.0.1");
  say(outcome(reach("::1", port, SOCK_STREAM)), "stream ::1");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", arguments[2]);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  TRY(connect(fd, (struct sockaddr *)&address, sizeof address), "the daemon's socket");
  for (int i = 3; i < count; i++)
    say(outcome(reach(arguments[i], 53, SOCK_DGRAM)), "route to %s", arguments[i]);
}
