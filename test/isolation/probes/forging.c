/* Who else it could be in a network, and by which other spellings an address is reached. Nothing is sent but to what it is asked to reach.
 * usage: forging PORT SPELLING... */
#include "probe.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* inet_aton(3) reads decimal, octal, hexadecimal and short forms. */
static int reach(const char *spelling, int port) {
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  int is_six = strchr(spelling, ':') != NULL;
  if (is_six ? inet_pton(AF_INET6, spelling, &six.sin6_addr) != 1 : inet_aton(spelling, &four.sin_addr) == 0)
    return EINVAL;
  int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int result = connect(fd, is_six ? (void *)&six : (void *)&four, is_six ? sizeof six : sizeof four) < 0 ? errno : 0;
  close(fd);
  return result;
}

/* The kernel's answer to a change asked by rtnetlink(7). */
static int change(int type, const void *body, size_t length) {
  struct {
    struct nlmsghdr header;
    char body[64];
  } message = {.header = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(length), .nlmsg_type = (uint16_t)type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE}};
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    char rest[256];
  } answer;
  memcpy(message.body, body, length);
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  if (fd < 0 || send(fd, &message, message.header.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < (ssize_t)(sizeof answer.header + sizeof answer.error.error))
    return errno;
  close(fd);
  return -answer.error.error;
}

static int option(int level, int name, int value) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0), result = setsockopt(fd, level, name, &value, sizeof value) < 0 ? errno : 0;
  close(fd);
  return result;
}

static int listen_as_dhcp(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(67)};
  int fd = socket(AF_INET, SOCK_DGRAM, 0), result = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
  close(fd);
  return result;
}

int main(int count, char **arguments) {
  int lo = (int)if_nametoindex("lo"), fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct {
    struct ifaddrmsg message;
    struct rtattr attribute;
    struct in_addr value;
  } address = {{AF_INET, 32, 0, 0, (uint32_t)lo}, {sizeof(struct rtattr) + 4, IFA_LOCAL}, {htonl(0x7f4d4d4d)}};
  struct ifinfomsg down = {.ifi_index = lo, .ifi_flags = IFF_UP, .ifi_change = IFF_UP}; /* as it is */
  struct arpreq arp = {.arp_flags = ATF_COM, .arp_dev = "lo"};
  struct rtentry route = {.rt_dev = (char *)"lo", .rt_flags = RTF_UP};
  struct ifreq flags = {.ifr_name = "lo"};
  ((struct sockaddr_in *)&arp.arp_pa)->sin_family = AF_INET;
  ((struct sockaddr_in *)&arp.arp_pa)->sin_addr.s_addr = htonl(0x7f4d4d4d);
  route.rt_dst.sa_family = route.rt_genmask.sa_family = AF_INET;
  ((struct sockaddr_in *)&route.rt_dst)->sin_addr.s_addr = htonl(0x7f4d4d4d);
  ((struct sockaddr_in *)&route.rt_genmask)->sin_addr.s_addr = 0xffffffff;
  ioctl(fd, SIOCGIFFLAGS, &flags);
  say(outcome(change(RTM_NEWADDR, &address, sizeof address)), "add an address");
  say(outcome(change(RTM_NEWLINK, &down, sizeof down)), "change a link");
  TRY(ioctl(fd, SIOCSIFFLAGS, &flags), "set flags");
  TRY(ioctl(fd, SIOCSARP, &arp), "set ARP");
  TRY(ioctl(fd, SIOCADDRT, &route), "add a route");
  say(outcome(option(SOL_SOCKET, SO_MARK, 7)), "mark");
  say(outcome(option(IPPROTO_IP, IP_TRANSPARENT, 1)), "transparent");
  TRY(socket(AF_INET, SOCK_RAW, IPPROTO_RAW), "raw");
  TRY(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), "raw v6");
  TRY(socket(AF_PACKET, SOCK_RAW, 0), "packet");
  say(outcome(listen_as_dhcp()), "DHCP");
  for (int i = 2; i < count; i++)
    say(outcome(reach(arguments[i], atoi(arguments[1]))), "reach %s", arguments[i]);
}
