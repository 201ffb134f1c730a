/* PID 1 in the new namespaces: builds the view, gives everything up, starts the command and reaps.
 * A failure goes into the status pipe as text; the pipe's end of file says that the command is executing. */
#define _GNU_SOURCE
#include "floor.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAFE (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static int status_pipe;

static _Noreturn void broken(const char *what) {
  dprintf(status_pipe, "%s: %s", what, strerror(errno));
  _exit(125);
}

static void must(int result, const char *what) {
  if (result < 0)
    broken(what);
}

static void receive_mounts(int socket, int mounts[2]) {
  char byte, control[CMSG_SPACE(2 * sizeof(int))];
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
    _exit(125); /* the worker is gone */
  memcpy(mounts, CMSG_DATA(CMSG_FIRSTHDR(&message)), 2 * sizeof(int));
}

/* A tmpfs in the working directory, which is reached from there alone: the path to it may be closed to this user. */
static void enter_base(void) {
  int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
  must(context, "fsopen");
  must(fsconfig(context, FSCONFIG_SET_STRING, "size", "64k", 0), "fsconfig");
  must(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "fsconfig");
  int base = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
  must(base, "fsmount");
  must(move_mount(base, "", AT_FDCWD, "base", MOVE_MOUNT_F_EMPTY_PATH), "move base");
  must(fchdir(base), "fchdir");
}

static void bring_root(const int mounts[2]) {
  must(mkdir("lower", 0755) | mkdir("upper", 0755) | mkdir("root", 0755), "mkdir");
  must(move_mount(mounts[0], "", AT_FDCWD, "lower", MOVE_MOUNT_F_EMPTY_PATH), "move lower");
  must(move_mount(mounts[1], "", AT_FDCWD, "upper", MOVE_MOUNT_F_EMPTY_PATH), "move upper");
}

static void make_dev(void) {
  static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
  static const char *const links[][2] = {
      {"pts/ptmx", "ptmx"}, {"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}};
  char from[32], to[32];
  must(mount("tmpfs", "root/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k"), "dev");
  for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) {
    snprintf(from, sizeof from, "/dev/%s", nodes[i]);
    snprintf(to, sizeof to, "root/dev/%s", nodes[i]);
    int file = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    must(file, to);
    close(file);
    must(mount(from, to, NULL, MS_BIND, NULL), to);
  }
  for (unsigned i = 0; i < sizeof links / sizeof *links; i++) {
    snprintf(to, sizeof to, "root/dev/%s", links[i][1]);
    must(symlink(links[i][0], to), to);
  }
  must(mkdir("root/dev/pts", 0755) | mkdir("root/dev/shm", 01777), "mkdir");
  must(mount("devpts", "root/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"), "devpts");
  must(mount("tmpfs", "root/dev/shm", "tmpfs", SAFE, "mode=1777,size=64m"), "shm");
}

/* Docker's default lists; a path that this kernel has not got needs no mask. */
static void mask_paths(void) {
  static const char *const masked[] = {"proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats",
                                       "proc/sched_debug", "proc/scsi", "proc/timer_list", "proc/timer_stats", "sys/firmware",
                                       "sys/devices/virtual/powercap"};
  static const char *const closed[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
  char path[64];
  struct stat s;
  for (unsigned i = 0; i < sizeof masked / sizeof *masked; i++) {
    snprintf(path, sizeof path, "root/%s", masked[i]);
    if (lstat(path, &s) < 0)
      continue;
    if (S_ISDIR(s.st_mode))
      must(mount("tmpfs", path, "tmpfs", MS_RDONLY | SAFE, "size=0,nr_inodes=1"), path);
    else
      must(mount("/dev/null", path, NULL, MS_BIND, NULL), path);
  }
  for (unsigned i = 0; i < sizeof closed / sizeof *closed; i++) {
    snprintf(path, sizeof path, "root/%s", closed[i]);
    if (lstat(path, &s) < 0)
      continue;
    must(mount(path, path, NULL, MS_BIND, NULL), path);
    must(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | SAFE, NULL), path);
  }
}

static void loopback_up(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int handle = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(handle, "socket");
  must(ioctl(handle, SIOCSIFFLAGS, &request), "loopback");
  close(handle);
}

static void build_view(struct instance *instance, int socket) {
  int mounts[2];
  receive_mounts(socket, mounts);
  must(setgroups(0, NULL), "setgroups");
  must(setresgid(0, 0, 0) | setresuid(0, 0, 0), "setresuid");
  /* After the ids: changing them clears it (prctl(2)). A worker that died earlier has closed the socket. */
  must(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "pdeathsig");
  must(unshare(CLONE_NEWCGROUP), "cgroup namespace");
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
  enter_base();
  bring_root(mounts);
  floor_mark(instance, AT_BASE);
  must(mount("overlay", "root", "overlay", MS_NODEV | MS_NOSUID, "lowerdir=lower,upperdir=upper/upper,workdir=upper/work,userxattr"), "overlay");
  floor_mark(instance, AT_OVERLAY);
  must(mount("proc", "root/proc", "proc", SAFE, NULL), "proc");
  must(mount("sysfs", "root/sys", "sysfs", SAFE | MS_RDONLY, NULL), "sysfs");
  floor_mark(instance, AT_PROC);
  make_dev();
  floor_mark(instance, AT_DEV);
  mask_paths();
  floor_mark(instance, AT_MASKS);
  must(chdir("root"), "root");
  must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
  must(umount2(".", MNT_DETACH), "old root");
  must(chdir("/"), "/");
  floor_mark(instance, AT_PIVOT);
  must(sethostname("floor", 5), "hostname");
  loopback_up();
  floor_mark(instance, AT_NETWORK);
}

static void give_up(struct instance *instance) {
  struct rlimit files = {1024, 1024}, core = {0, 0};
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {0};
  must(setrlimit(RLIMIT_NOFILE, &files) | setrlimit(RLIMIT_CORE, &core), "rlimits");
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
    must(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "bounding set");
  must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient set");
  must((int)syscall(SYS_capset, &header, none), "capset");
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  floor_mark(instance, AT_DROPPED);
  must(prctl(PR_SET_SECCOMP, 2, &instance->floor->filter), "seccomp");
  floor_mark(instance, AT_FILTERED);
}

static _Noreturn void run_command(struct instance *instance, struct ends ends) {
  static char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", NULL};
  must(setsid(), "setsid");
  must(dup2(ends.input, 0) | dup2(ends.output, 1) | dup2(ends.output, 2), "dup2");
  must(close_range(3, ~0u, CLOSE_RANGE_CLOEXEC), "close_range");
  signal(SIGPIPE, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  floor_mark(instance, AT_FORKED);
  execve(instance->argv[0], instance->argv, environment);
  broken("execve");
}

_Noreturn void floor_inside(struct instance *instance, struct ends ends) {
  status_pipe = ends.status;
  build_view(instance, ends.socket);
  give_up(instance);
  pid_t command = fork();
  must(command, "fork");
  if (command == 0)
    run_command(instance, ends);
  close_range(0, ~0u, 0);
  for (int status;;) {
    pid_t ended = wait(&status);
    if (ended == command || (ended < 0 && errno == ECHILD))
      _exit(ended == command && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
}
