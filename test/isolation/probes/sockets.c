/* Sockets of each family, and of the kinds that see more than their own traffic. None is connected. */
#include "probe.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

static long make(unsigned long family, unsigned long type, unsigned long protocol) {
  long fd = syscall(SYS_socket, family, type, protocol);
  if (fd >= 0)
    close((int)fd);
  return fd;
}

/* For a family without pairs the kernel makes both sockets before it says EOPNOTSUPP (net/socket.c). */
static long pair(unsigned long family) {
  int ends[2];
  long result = syscall(SYS_socketpair, family, SOCK_DGRAM, 0, ends);
  if (result >= 0)
    close(ends[0]), close(ends[1]);
  return result;
}

int main(void) {
  for (unsigned long family = 0; family < 64; family++)
    TRY(make(family, family == AF_NETLINK || family == AF_PACKET || family == AF_KEY ? SOCK_RAW : SOCK_DGRAM, family == AF_KEY ? 2 : 0), "family %lu", family);
  for (unsigned long family = 0; family < 64; family++)
    TRY(pair(family), "pair %lu", family);
  TRY(pair(AF_UNIX | 1ul << 32), "pair with a bit above 32");
  TRY(make(40, SOCK_STREAM, 0), "vsock stream");
  TRY(make(40 | 1ul << 32, SOCK_STREAM, 0), "vsock with a bit above 32");
  TRY(make(38, SOCK_SEQPACKET, 0), "alg seqpacket");
  TRY(make(AF_PACKET | 1ul << 32, SOCK_RAW, 0), "packet with a bit above 32");
  TRY(make(AF_INET, SOCK_RAW, IPPROTO_ICMP), "raw icmp");
  TRY(make(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), "raw icmpv6");
  TRY(make(AF_INET, SOCK_RAW, IPPROTO_RAW), "raw ip");
  TRY(make(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), "ping");
  static const unsigned long transports[][2] = {{SOCK_DCCP, IPPROTO_DCCP}, {SOCK_DGRAM, 115}, {SOCK_STREAM, IPPROTO_SCTP}, {SOCK_STREAM, 256}, {SOCK_STREAM, IPPROTO_SCTP | 1ul << 32}};
  for (size_t i = 0; i < sizeof transports / sizeof *transports; i++) {
    TRY(make(AF_INET, transports[i][0], transports[i][1]), "transport %lu", transports[i][1]);
    TRY(make(AF_INET6, transports[i][0], transports[i][1]), "transport6 %lu", transports[i][1]);
  }
  for (unsigned long protocol = 1; protocol < 23; protocol++)
    TRY(make(AF_NETLINK, SOCK_RAW, protocol), "netlink %lu", protocol);
}
