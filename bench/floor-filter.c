/* A seccomp filter of the size and kind of Docker's default: an allow-list, EPERM for the rest, some calls by argument.
 * It is here for its cost, which is that of its instructions; the daemon's own filter is in supervisor/. */
#define _GNU_SOURCE
#include "floor.h"
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static const char *const allowed[] = {
#include "floor-syscalls.h"
};

static void allow(scmp_filter_ctx filter, const char *name) {
  int call = seccomp_syscall_resolve_name(name);
  if (call != __NR_SCMP_ERROR && call >= 0 && seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) < 0)
    floor_fail(name);
}

struct sock_fprog floor_filter(void) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  int bad = !filter || seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0;
  for (size_t i = 0; !bad && i < sizeof allowed / sizeof *allowed; i++)
    allow(filter, allowed[i]);
  static const unsigned long personalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};
  for (size_t i = 0; i < sizeof personalities / sizeof *personalities; i++)
    bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1, SCMP_A0(SCMP_CMP_EQ, personalities[i])) < 0;
  bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0)) < 0;
  bad |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_NE, AF_VSOCK)) < 0;
  bad |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) < 0;
  int file = memfd_create("filter", MFD_CLOEXEC);
  off_t size = bad || file < 0 || seccomp_export_bpf(filter, file) < 0 ? -1 : lseek(file, 0, SEEK_END);
  if (size <= 0)
    floor_fail("filter");
  struct sock_fprog program = {.len = (unsigned short)((size_t)size / sizeof(struct sock_filter)), .filter = malloc((size_t)size)};
  if (!program.filter || pread(file, program.filter, (size_t)size, 0) != size)
    floor_fail("filter");
  close(file);
  seccomp_release(filter);
  return program;
}
