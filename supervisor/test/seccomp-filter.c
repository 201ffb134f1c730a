/* The filter in the kernel that enforces them. Each probe runs twice in a child of its own: without them it must answer something
 * else, so that the refusal is the filter' and nobody else's; with them it must answer exactly what the table says. */
#include "seccomp-filter.h"
#include "check.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif
#define ALLOWED 0
#define ANYTHING (-2)

struct probe {
  const char *name;
  long number;
  unsigned long arguments[6];
  int without;  /* errno without the filter: 0 for success, ANYTHING but `with` */
  int with;
};

static struct sock_fprog filter;

/* A clone with a namespace flag makes a child; it must be gone before the answer. */
static int call(const struct probe *probe) {
  const unsigned long *a = probe->arguments;
  long result = syscall(probe->number, a[0], a[1], a[2], a[3], a[4], a[5]);
  int error = result < 0 ? errno : 0;
  if (probe->number == SYS_clone && result == 0)
    _exit(0);
  if (probe->number == SYS_clone && result > 0)
    waitpid((pid_t)result, NULL, __WALL);
  return error;
}

#ifdef __x86_64__
/* getpid by the i386 entry (number 20): its answer, or a negative errno. */
static long i386_getpid(void) {
  long result = 20;
  __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  return (int)result;
}
static int call_i386(const struct probe *probe) {
  (void)probe;
  long result = i386_getpid();
  return result > 0 ? 0 : (int)-result;
}
#endif

/* Runs in a child; answers the errno, or 1000 + the signal that killed it. */
static int outcome(const struct probe *probe, int (*caller)(const struct probe *), bool filtered) {
  struct failure failure;
  int status;
  fflush(NULL);
  pid_t pid = fork();
  NEED(pid >= 0);
  if (pid == 0) {
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) /* a probe that succeeds stays in here */
      _exit(250);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || (filtered && seccomp_install(&filter, &failure) < 0))
      _exit(251);
    _exit(caller(probe));
  }
  NEED(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void check(const struct probe *probe, int (*caller)(const struct probe *)) {
  int without = outcome(probe, caller, false), with = outcome(probe, caller, true);
  CHECK(probe->without == ANYTHING ? without != probe->with && without < 200 : without == probe->without, "%s without the filter: %d", probe->name, without);
  CHECK(with == probe->with, "%s with them: %d, expected %d", probe->name, with, probe->with);
}

/* A pointer no process has: a call that gets so far answers EFAULT. */
#define NOWHERE 8ul

static const struct probe probes[] = {
  {"unshare(CLONE_NEWUTS)", SYS_unshare, {CLONE_NEWUTS}, 0, EPERM},
  {"unshare(CLONE_NEWUSER)", SYS_unshare, {CLONE_NEWUSER}, 0, EPERM},
  {"unshare(0)", SYS_unshare, {0}, 0, EPERM},
  {"setns(-1)", SYS_setns, {~0ul, 0}, EBADF, EPERM},
  {"mount", SYS_mount, {(unsigned long)"none", (unsigned long)"/tmp", (unsigned long)"tmpfs", 0, 0}, 0, EPERM},
  {"umount2", SYS_umount2, {(unsigned long)"/nowhere", 0}, ENOENT, EPERM},
  {"pivot_root", SYS_pivot_root, {NOWHERE, NOWHERE}, EFAULT, EPERM},
  {"fsopen", SYS_fsopen, {NOWHERE, 0}, EFAULT, EPERM},
  {"open_tree", SYS_open_tree, {~0ul, (unsigned long)"nowhere", 0}, EBADF, EPERM},
  {"move_mount", SYS_move_mount, {~0ul, (unsigned long)"a", ~0ul, (unsigned long)"b", 0}, EBADF, EPERM},
  {"mount_setattr", SYS_mount_setattr, {~0ul, (unsigned long)"a", 0, 0, 0}, EINVAL, EPERM},
  {"ptrace", SYS_ptrace, {12345678, 0, 0, 0}, ESRCH, EPERM},
  {"process_vm_readv", SYS_process_vm_readv, {0, 0, 0, 0, 0, 1}, EINVAL, EPERM},
  {"bpf", SYS_bpf, {1000, NOWHERE, 16}, ANYTHING, EPERM},
  {"perf_event_open", SYS_perf_event_open, {NOWHERE, 0, 0, ~0ul, 0}, EFAULT, EPERM},
  {"userfaultfd", SYS_userfaultfd, {0x40000000}, ANYTHING, EPERM},
  {"keyctl", SYS_keyctl, {1000}, ANYTHING, EPERM},
  {"kexec_load", SYS_kexec_load, {0, 1000, 0, 0}, ANYTHING, EPERM},
  {"reboot with a wrong magic", SYS_reboot, {1, 2, 3, 0}, EINVAL, EPERM},
  {"init_module", SYS_init_module, {NOWHERE, 0, NOWHERE}, ANYTHING, EPERM},
  {"open_by_handle_at", SYS_open_by_handle_at, {~0ul, NOWHERE, 0}, ANYTHING, EPERM},
  {"syslog", SYS_syslog, {10, 0, 0}, 0, EPERM},
  {"clock_settime", SYS_clock_settime, {1000, NOWHERE}, EINVAL, EPERM},
  {"io_uring_setup", SYS_io_uring_setup, {1, NOWHERE}, EFAULT, EPERM},
  {"io_uring_enter", SYS_io_uring_enter, {~0ul, 0, 0, 0, 0, 0}, ANYTHING, EPERM},
  {"clone3", SYS_clone3, {0, 0}, EINVAL, ENOSYS},
  {"clone(SIGCHLD)", SYS_clone, {SIGCHLD}, 0, ALLOWED},
  {"clone(CLONE_NEWNS)", SYS_clone, {CLONE_NEWNS | SIGCHLD}, 0, EPERM},
  {"clone(CLONE_NEWCGROUP)", SYS_clone, {CLONE_NEWCGROUP | SIGCHLD}, 0, EPERM},
  {"clone(CLONE_NEWUTS)", SYS_clone, {CLONE_NEWUTS | SIGCHLD}, 0, EPERM},
  {"clone(CLONE_NEWIPC)", SYS_clone, {CLONE_NEWIPC | SIGCHLD}, 0, EPERM},
  {"clone(CLONE_NEWUSER)", SYS_clone, {CLONE_NEWUSER | SIGCHLD}, 0, EPERM},
  {"clone(CLONE_NEWPID)", SYS_clone, {CLONE_NEWPID | SIGCHLD}, 0, EPERM},
  {"clone(CLONE_NEWNET)", SYS_clone, {CLONE_NEWNET | SIGCHLD}, 0, EPERM},
  {"clone of user and mount", SYS_clone, {CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD}, 0, EPERM},
  {"clone with the flag and bits above 32", SYS_clone, {CLONE_NEWUTS | SIGCHLD | 1ul << 40}, 0, EPERM},
  {"socket(AF_UNIX)", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, 0, ALLOWED},
  {"socket(AF_INET)", SYS_socket, {AF_INET, SOCK_STREAM, 0}, 0, ALLOWED},
  {"socket(AF_NETLINK, route)", SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}, 0, ALLOWED},
  {"socket(AF_NETLINK, audit)", SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_AUDIT}, ANYTHING, EPROTONOSUPPORT},
  {"socket(AF_NETLINK, kobject)", SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT}, 0, EPROTONOSUPPORT},
  {"socket(AF_PACKET)", SYS_socket, {AF_PACKET, SOCK_RAW, 0}, ANYTHING, EAFNOSUPPORT},
  {"socket(AF_UNIX) with bits above 32", SYS_socket, {AF_UNIX | 1ul << 32, SOCK_STREAM, 0}, 0, EAFNOSUPPORT},
  {"ioctl(TIOCSTI)", SYS_ioctl, {~0ul, TIOCSTI, 0}, EBADF, EPERM},
  {"ioctl(TIOCSTI) with bits above 32", SYS_ioctl, {~0ul, 0x100005412, 0}, EBADF, EPERM},
  {"ioctl(TIOCLINUX)", SYS_ioctl, {~0ul, TIOCLINUX, 0}, EBADF, EPERM},
  {"ioctl(TCGETS)", SYS_ioctl, {~0ul, TCGETS, 0}, EBADF, EBADF},
  {"personality(ADDR_NO_RANDOMIZE)", SYS_personality, {ADDR_NO_RANDOMIZE}, 0, EPERM},
  {"personality(ADDR_NO_RANDOMIZE) with bits above 32", SYS_personality, {ADDR_NO_RANDOMIZE | 1ul << 32}, 0, EPERM},
  {"personality(0xffffffff)", SYS_personality, {0xffffffff}, 0, ALLOWED},
  {"personality(PER_LINUX)", SYS_personality, {PER_LINUX}, 0, ALLOWED},
  {"getpid", SYS_getpid, {0}, 0, ALLOWED},
  {"prctl(PR_GET_DUMPABLE)", SYS_prctl, {PR_GET_DUMPABLE}, 0, ALLOWED},
};

/* Here the kernel itself says the same to a number it does not know or a family it does not have; that both do is all there is to see. */
static const struct probe absent[] = {
  {"socket(AF_VSOCK)", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, 0, EAFNOSUPPORT},
  {"socket(AF_ALG)", SYS_socket, {AF_ALG, SOCK_SEQPACKET, 0}, 0, EAFNOSUPPORT},
  {"socket(family 200)", SYS_socket, {200, SOCK_STREAM, 0}, EAFNOSUPPORT, EAFNOSUPPORT},
  {"a number between the tables", 400, {0}, ENOSYS, ENOSYS},
  {"a number beyond all", 100000, {0}, ENOSYS, ENOSYS},
};

#ifdef __x86_64__
static const struct probe i386 = {"getpid by int 0x80", 0, {0}, 0, ENOSYS};
static const struct probe x32 = {"getpid by its x32 number", 0x40000000l + SYS_getpid, {0}, 0, ENOSYS};
#endif

static bool kernel_has(int (*caller)(const struct probe *), const struct probe *probe) {
  return outcome(probe, caller, false) == probe->without;
}

/* What a kernel without the feature answers by itself is no proof of the filter; it is checked, and said. */
static void check_where_there(const struct probe *probe, int (*caller)(const struct probe *)) {
  if (kernel_has(caller, probe)) {
    check(probe, caller);
    return;
  }
  printf("%s: this kernel refuses it by itself\n", probe->name);
  CHECK(outcome(probe, caller, true) == probe->with, "%s with the filter", probe->name);
}

static void test_program(void) {
  CHECK(filter.len > 10 && filter.len <= 4096 && filter.filter, "the program has %d instructions", filter.len);
}

/* A process under the filter may add one of its own, and it cannot loosen them. */
static int add_permissive(const struct probe *probe) {
  struct sock_filter allow = {.code = 0x06 /* BPF_RET | BPF_K */, .k = 0x7fff0000 /* SECCOMP_RET_ALLOW */};
  struct sock_fprog program = {.len = 1, .filter = &allow};
  (void)probe;
  if (prctl(PR_SET_SECCOMP, 2, &program, 0, 0) < 0)
    return 100;
  return syscall(SYS_unshare, CLONE_NEWUTS) < 0 ? errno : 0;
}

static void use(struct seccomp_choice choice) {
  struct failure failure;
  free(filter.filter);
  NEED(seccomp_compile(&filter, &choice, &failure) == 0);
}

/* What a definition can ask for in place of the usual. */
static void test_choices(void) {
  static const struct probe strict[] = {
    {"strict: socket(AF_INET)", SYS_socket, {AF_INET, SOCK_STREAM, 0}, 0, EAFNOSUPPORT}, {"strict: socket(AF_UNIX)", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, 0, ALLOWED},
    {"strict: inotify_init1", SYS_inotify_init1, {0}, 0, ENOSYS}, {"strict: getpid", SYS_getpid, {0}, 0, ALLOWED}, {"strict: unshare", SYS_unshare, {CLONE_NEWUTS}, 0, EPERM},
  };
  static const struct probe changed[] = {
    {"denied: getppid", SYS_getppid, {0}, 0, EPERM}, {"denied: socket(AF_UNIX)", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, 0, EPERM},
    {"denied: prlimit64", SYS_prlimit64, {0, 4, 0, 0}, 0, EPERM}, {"denied: personality", SYS_personality, {0xffffffff}, 0, EPERM},
    {"on request: ptrace", SYS_ptrace, {12345678, 0, 0, 0}, ESRCH, ESRCH}, {"not asked for: kcmp", SYS_kcmp, {0, 0, 1000, 0, 0}, ANYTHING, EPERM},
  };
  use((struct seccomp_choice){.strict = true});
  for (size_t i = 0; i < sizeof strict / sizeof *strict; i++)
    check(&strict[i], call);
  use((struct seccomp_choice){.allowed = {"ptrace"}, .denied = {"getppid", "socket", "prlimit64", "personality", "setrlimit"}});
  for (size_t i = 0; i < sizeof changed / sizeof *changed; i++)
    check(&changed[i], call);
  CHECK(!seccomp_may_allow("mount") && !seccomp_may_allow("clone3") && !seccomp_may_allow("") && seccomp_may_allow("bpf") && seccomp_may_allow("read"), "what may be allowed");
  CHECK(!seccomp_may_deny("execve") && !seccomp_may_deny("wait4") && seccomp_may_deny("mount") && seccomp_may_deny("socket") && !seccomp_may_deny("nothing"), "what may be denied");
}

int main(void) {
  struct failure failure;
  NEED(seccomp_compile(&filter, &(struct seccomp_choice){0}, &failure) == 0);
  test_program();
  for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
    check(&probes[i], call);
  for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
    check_where_there(&absent[i], call);
#ifdef __x86_64__
  check_where_there(&i386, call_i386);
  check_where_there(&x32, call);
#endif
  const struct probe looser = {"a filter of its own that allows all", 0, {0}, 0, EPERM};
  check(&looser, add_permissive);
  test_choices();
  free(filter.filter);
  return check_end("seccomp-filter");
}
