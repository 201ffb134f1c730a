#include "seccomp-filter.h"
#include "mutants.h"
#include "seccomp-policy.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LOW_32 UINT64_C(0xffffffff) /* the kernel reads many arguments as 32 bits; a comparison of 64 could be stepped round */

#define NAMED_IN(list, name) named(list, COUNT(list), name)

static bool named(const char *const *list, size_t count, const char *name) {
  for (size_t i = 0; i < count && list[i]; i++)
    if (strcmp(list[i], name) == 0)
      return true;
  return false;
}

bool seccomp_may_allow(const char *name) {
  return NAMED_IN(on_request_calls, name) || NAMED_IN(allowed_calls, name);
}

bool seccomp_may_deny(const char *name) {
  bool known = seccomp_may_allow(name) || NAMED_IN(conditional_calls, name) || NAMED_IN(refused_calls, name);
  return known && !NAMED_IN(needed_calls, name);
}

/* libseccomp's errors are negative errno values. */
static int add(scmp_filter_ctx context, uint32_t action, const char *name, unsigned count, const struct scmp_arg_cmp *arguments) {
  int number = seccomp_syscall_resolve_name(name);
  if (number == __NR_SCMP_ERROR || number < 0)
    return 0; /* not of this libseccomp, or not of this architecture: then the allow-list's default holds */
  int result = seccomp_rule_add_array(context, action, number, count, arguments);
  return result == -EEXIST ? 0 : result;
}

static int add_if(scmp_filter_ctx context, uint32_t action, const char *name, struct scmp_arg_cmp argument) {
  return add(context, action, name, 1, &argument);
}

static int add_all(scmp_filter_ctx context, uint32_t action, const char *const *names, size_t count) {
  int result = 0;
  for (size_t i = 0; result == 0 && i < count && names[i]; i++)
    result = add(context, action, names[i], 0, NULL);
  return result;
}

static int allow_list(scmp_filter_ctx context, const struct seccomp_choice *choice) {
  static const uint64_t personalities[] = {PER_LINUX, PER_LINUX32, UNAME26, PER_LINUX32 | UNAME26, LOW_32};
  static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
  int result = choice->strict ? add_all(context, SCMP_ACT_ALLOW, strict_calls, COUNT(strict_calls)) : add_all(context, SCMP_ACT_ALLOW, allowed_calls, COUNT(allowed_calls));
  if (result == 0)
    result = add_all(context, SCMP_ACT_ALLOW, choice->allowed, SECCOMP_CHANGES);
  for (size_t i = 0; result == 0 && i < COUNT(personalities); i++)
    result = add_if(context, SCMP_ACT_ALLOW, "personality", SCMP_A0_64(SCMP_CMP_EQ, personalities[i]));
  for (size_t i = 0; result == 0 && i < (choice->strict ? 1 : COUNT(families)); i++)
    result = add_if(context, SCMP_ACT_ALLOW, "socket", SCMP_A0_64(SCMP_CMP_EQ, (uint64_t)families[i]));
  return result;
}

/* socketpair too makes a socket of the family, and has the host load its module, before the family says that it has no pairs (net/socket.c). */
static int refuse_pairs(scmp_filter_ctx context, const struct seccomp_choice *choice) {
  return NAMED_IN(choice->denied, "socketpair") ? 0 : add_if(context, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socketpair", SCMP_A0_64(SCMP_CMP_NE, AF_UNIX));
}

/* Rules on arguments are left out where the whole call is denied: libseccomp takes no two actions for one call. */
static int refuse_sockets(scmp_filter_ctx context, const struct seccomp_choice *choice) {
  /* Whoever asks for one of these has the host load its module, whatever his ids (net/ipv4/af_inet.c); 115 is L2TP, 256 SMC. */
  static const uint64_t modular[] = {IPPROTO_DCCP, 115, IPPROTO_SCTP, 256};
  uint32_t no_family = SCMP_ACT_ERRNO(EAFNOSUPPORT);
  if (NAMED_IN(choice->denied, "socket"))
    return 0;
  if (choice->strict)
    return add_if(context, no_family, "socket", SCMP_A0_64(SCMP_CMP_NE, AF_UNIX));
  /* Compared as 64 bits: a family with a bit set above its 32 is greater, too. */
  int result = add_if(context, no_family, "socket", SCMP_A0_64(SCMP_CMP_GT, AF_NETLINK));
  for (int family = 0; result == 0 && family < AF_NETLINK; family++)
    if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
      result = add_if(context, no_family, "socket", SCMP_A0_64(SCMP_CMP_EQ, (uint64_t)family));
  for (size_t i = 0; result == 0 && i < 2 * COUNT(modular); i++) {
    struct scmp_arg_cmp of_module[] = {SCMP_A0_64(SCMP_CMP_EQ, i % 2 ? AF_INET6 : AF_INET), SCMP_A2_64(SCMP_CMP_MASKED_EQ, LOW_32, modular[i / 2])};
    result = add(context, SCMP_ACT_ERRNO(EPROTONOSUPPORT), "socket", COUNT(of_module), of_module);
  }
  struct scmp_arg_cmp beyond_route[] = {SCMP_A0_64(SCMP_CMP_EQ, AF_NETLINK), SCMP_A2_64(SCMP_CMP_NE, NETLINK_ROUTE)};
  return result ? result : add(context, SCMP_ACT_ERRNO(EPROTONOSUPPORT), "socket", 2, beyond_route);
}

/* A limit of 1 on cores, and no other one, keeps the host's core_pattern program from being started by a crash in here (fs/coredump.c;
 * core(5)): 0 does not. So it stays as it is: setting it seems to succeed, as most programs that do so want none themselves. */
static int keep_core_limit(scmp_filter_ctx context, const struct seccomp_choice *choice) {
  struct scmp_arg_cmp set[] = {SCMP_A1_64(SCMP_CMP_MASKED_EQ, LOW_32, RLIMIT_CORE), SCMP_A2_64(SCMP_CMP_NE, 0), SCMP_A3_64(SCMP_CMP_EQ, 0)};
  struct scmp_arg_cmp exchange[] = {set[0], set[1], SCMP_A3_64(SCMP_CMP_NE, 0)};
  bool whole = NAMED_IN(choice->denied, "setrlimit");
  int result = whole ? 0 : add_if(context, SCMP_ACT_ERRNO(0), "setrlimit", SCMP_A0_64(SCMP_CMP_MASKED_EQ, LOW_32, RLIMIT_CORE));
  whole = NAMED_IN(choice->denied, "prlimit64");
  if (result == 0 && !whole)
    result = add(context, SCMP_ACT_ERRNO(0), "prlimit64", COUNT(set), set);
  return result || whole ? result : add(context, SCMP_ACT_ERRNO(EPERM), "prlimit64", COUNT(exchange), exchange);
}

/* Whole calls: what is refused, what is only on request and was not asked for, and what the definition denies. */
static int refuse_calls(scmp_filter_ctx context, const struct seccomp_choice *choice) {
  uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
  int result = add_all(context, refuse, refused_calls, COUNT(refused_calls));
  for (size_t i = 0; result == 0 && i < COUNT(on_request_calls); i++)
    if (!NAMED_IN(choice->allowed, on_request_calls[i]))
      result = add(context, refuse, on_request_calls[i], 0, NULL);
  return result ? result : add_all(context, refuse, choice->denied, SECCOMP_CHANGES);
}

static int refuse_arguments(scmp_filter_ctx context, const struct seccomp_choice *choice) {
  static const uint64_t namespaces[] = {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET};
  static const uint64_t ioctls[] = {TIOCSTI, TIOCLINUX, TIOCSETD}; /* the last has the host load a line discipline for whoever asks */
  uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
  int result = refuse_sockets(context, choice);
  if (result == 0)
    result = refuse_pairs(context, choice);
  for (size_t i = 0; result == 0 && i < COUNT(namespaces); i++)
    result = add_if(context, refuse, "clone", SCMP_A0_64(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
  for (size_t i = 0; result == 0 && i < COUNT(ioctls); i++)
    result = add_if(context, refuse, "ioctl", SCMP_A1_64(SCMP_CMP_MASKED_EQ, LOW_32, ioctls[i]));
  /* ADDR_NO_RANDOMIZE makes exploits easier; the query value 0xffffffff has bit 31 set as well */
  if (result == 0 && !NAMED_IN(choice->denied, "personality"))
    result = add_if(context, refuse, "personality", SCMP_A0_64(SCMP_CMP_MASKED_EQ, 0x80000000u | ADDR_NO_RANDOMIZE, ADDR_NO_RANDOMIZE));
  return result;
}

static int refuse_list(scmp_filter_ctx context, const struct seccomp_choice *choice) {
  int result = refuse_arguments(context, choice);
  if (result == 0)
    result = keep_core_limit(context, choice);
  return result ? result : refuse_calls(context, choice);
}

/* The program as the kernel takes it: libseccomp 2.5 writes it to a descriptor only. */
static int export_program(scmp_filter_ctx context, struct sock_fprog *program) {
  int fd = memfd_create("filter", MFD_CLOEXEC);
  if (fd < 0)
    return -errno;
  int result = seccomp_export_bpf(context, fd);
  off_t size = lseek(fd, 0, SEEK_END);
  struct sock_filter *code = size > 0 ? malloc((size_t)size) : NULL;
  if (result == 0 && (!code || pread(fd, code, (size_t)size, 0) != size))
    result = -ENOMEM;
  close(fd);
  if (result < 0) {
    free(code);
    return result;
  }
  *program = (struct sock_fprog){.len = (unsigned short)((size_t)size / sizeof *code), .filter = code};
  return 0;
}

static int compile(struct sock_fprog *program, uint32_t otherwise, const struct seccomp_choice *choice, int (*rules)(scmp_filter_ctx, const struct seccomp_choice *)) {
  scmp_filter_ctx context = seccomp_init(otherwise);
  if (!context)
    return -ENOMEM;
  int result = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, otherwise);
  if (result == 0)
    result = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree over the numbers */
  if (result == 0)
    result = rules(context, choice);
  if (result == 0)
    result = export_program(context, program);
  seccomp_release(context);
  return result;
}

/* One program after the other: what the first allows goes on to the second. One filter is installed, and run, faster than two. */
static int join(struct sock_fprog *joined, const struct sock_fprog *first, const struct sock_fprog *second) {
  size_t length = (size_t)first->len + second->len;
  struct sock_filter *code = first->filter && second->filter && length <= BPF_MAXINSNS ? malloc(length * sizeof *code) : NULL;
  if (!code)
    return -ENOMEM;
  memcpy(code, first->filter, first->len * sizeof *code);
  memcpy(code + first->len, second->filter, second->len * sizeof *code);
  for (unsigned i = 0; i < first->len; i++)
    if (code[i].code == (BPF_RET | BPF_K) && code[i].k == SECCOMP_RET_ALLOW)
      code[i] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, first->len - i - 1);
  *joined = (struct sock_fprog){.len = (unsigned short)length, .filter = code};
  return 0;
}

int seccomp_compile(struct sock_fprog *filter, const struct seccomp_choice *choice, struct failure *failure) {
  struct sock_fprog refused = {0}, allowed = {0};
  int result = compile(&refused, SCMP_ACT_ALLOW, choice, refuse_list);
  if (result == 0)
    result = compile(&allowed, SCMP_ACT_ERRNO(ENOSYS), choice, allow_list);
  if (result == 0)
    result = join(filter, &refused, &allowed);
  free(refused.filter);
  free(allowed.filter);
  malloc_trim(0); /* the compiler's garbage would weigh on every process forked from this one */
  errno = -result;
  return result ? fail(failure, LAYER_SECCOMP, "the filter cannot be compiled") : 0;
}

int seccomp_install(const struct sock_fprog *filter, struct failure *failure) {
  if (mutant("no-seccomp"))
    return 0;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0) < 0 ? fail(failure, LAYER_SECCOMP, "install the filter") : 0;
}
