/* The mounts of a shell. Prepared first, in a tmpfs that covers /tmp inside the new mount namespace (any directory would do that
 * exists on every host, that everybody may enter, since the shell is nobody there by now, and that is not needed any more):
 *
 *   lo up root        where the root's tree, the sandbox's own directory and their overlay go later
 *   proc sys dev      complete, with their masks, to be moved into the overlay
 *   empty             a read-only tmpfs that covers masked directories
 *
 * Then, at the commit, the tree is put together and pivoted into. A root's tree is not trusted: where it has something
 * else than a directory at /proc, /sys or /dev the launch fails, and no path of it is walked but by openat2(2). */
#include "instance.h"
#include "mutants.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define COVERED "/tmp"
#define DEVPTS_OPTIONS "newinstance,ptmxmode=0666,mode=0620,gid=5"
#define STRICT (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static const char *const masked[] = {
  "proc/acpi", "proc/asound", "proc/interrupts", "proc/kallsyms", "proc/kcore", "proc/key-users", "proc/keys", "proc/kmsg", "proc/kpagecgroup",
  "proc/kpagecount", "proc/kpageflags", "proc/latency_stats", "proc/sched_debug", "proc/scsi", "proc/slabinfo", "proc/timer_list",
  "proc/timer_stats", "proc/vmallocinfo", "proc/config.gz", "proc/driver", "sys/firmware", "sys/devices/virtual/powercap", "sys/kernel/slab",
  "sys/kernel/notes", "sys/kernel/vmcoreinfo",
};
/* Not in the list: /sys/kernel/{config,debug,security,tracing}, /sys/fs/{bpf,cgroup,fuse,pstore}. In a new sysfs they are empty directories
 * on which only the host's mount namespace has something mounted. */
static const char *const read_only[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger", "proc/pressure"};
static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
static const struct {
  const char *name, *target;
} links[] = {
  {"dev/fd", "/proc/self/fd"}, {"dev/stdin", "/proc/self/fd/0"}, {"dev/stdout", "/proc/self/fd/1"}, {"dev/stderr", "/proc/self/fd/2"}, {"dev/ptmx", "pts/ptmx"},
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static int remount(const char *path, unsigned long flags) {
  return mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | flags, NULL);
}

/* ---- prepare ---- */

static int make_base(struct failure *failure) {
  static const char *const names[] = {"lo", "up", "root", "proc", "sys", "dev", "empty"};
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
    return fail(failure, LAYER_MOUNTS, "private propagation");
  if (mount("unshared", COVERED, "tmpfs", STRICT, "size=64k,nr_inodes=32,mode=0755") < 0 || chdir(COVERED) < 0)
    return fail(failure, LAYER_MOUNTS, "tmpfs on " COVERED);
  for (size_t i = 0; i < COUNT(names); i++)
    if (mkdir(names[i], 0755) < 0)
      return fail(failure, LAYER_MOUNTS, "mkdir %s", names[i]);
  if (mount("unshared", "empty", "tmpfs", STRICT | MS_RDONLY, "size=4k,nr_inodes=2,mode=0555") < 0)
    return fail(failure, LAYER_MOUNTS, "tmpfs for masked directories");
  return 0;
}

/* With the host's pid namespace a new proc is not to be had from inside a user namespace: the host's own is bound, masked like a new one. */
static int make_proc(unsigned isolate, struct failure *failure) {
  int result = isolate & NS_BIT(NS_PID) ? mount("proc", "proc", "proc", STRICT, NULL) : mount("/proc", "proc", NULL, MS_BIND | MS_REC, NULL);
  if (result == 0 && !(isolate & NS_BIT(NS_PID)))
    result = remount("proc", STRICT);
  return result < 0 ? fail(failure, LAYER_PROC, "mount /proc") : 0;
}

/* sysfs shows the network namespace it was mounted in, so without one of its own the sandbox gets an empty directory. */
static int make_sys(unsigned isolate, struct failure *failure) {
  int result = isolate & NS_BIT(NS_NET) ? mount("sysfs", "sys", "sysfs", STRICT | MS_RDONLY, NULL) : mount("empty", "sys", NULL, MS_BIND, NULL);
  if (result == 0 && mutant("cgroup-writable"))
    result = mount("cgroup2", "sys/fs/cgroup", "cgroup2", STRICT, NULL);
  return result < 0 ? fail(failure, LAYER_SYS, "mount /sys") : 0;
}

static int make_device(const char *name, struct failure *failure) {
  char from[32], to[32];
  snprintf(from, sizeof from, "/dev/%s", name);
  snprintf(to, sizeof to, "dev/%s", name);
  if (mknod(to, S_IFREG | 0666, 0) < 0)
    return fail(failure, LAYER_DEV, "create /dev/%s", name);
  /* It is the host's own inode: read-only keeps its mode, owner and times from an owner inside, and takes no byte from its users. */
  if (mount(from, to, NULL, MS_BIND, NULL) < 0 || remount(to, MS_NOSUID | MS_NOEXEC | (mutant("devices-writable") ? 0 : MS_RDONLY)) < 0)
    return fail(failure, LAYER_DEV, "bind /dev/%s", name);
  return 0;
}

static int make_dev(struct failure *failure) {
  if (mount("dev", "dev", "tmpfs", STRICT, "size=64k,nr_inodes=32,mode=0755") < 0)
    return fail(failure, LAYER_DEV, "tmpfs on /dev");
  for (size_t i = 0; i < COUNT(devices); i++)
    if (make_device(devices[i], failure) < 0)
      return -1;
  for (size_t i = 0; i < COUNT(links); i++)
    if (symlink(links[i].target, links[i].name) < 0)
      return fail(failure, LAYER_DEV, "link /%s", links[i].name);
  if (mkdir("dev/pts", 0755) < 0 || mkdir("dev/shm", 01777) < 0)
    return fail(failure, LAYER_DEV, "mkdir below /dev");
  if (mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, mutant("ptys-unlimited") ? DEVPTS_OPTIONS : DEVPTS_OPTIONS ",max=256") < 0)
    return fail(failure, LAYER_DEVPTS, "mount /dev/pts");
  if (mount("shm", "dev/shm", "tmpfs", STRICT, "size=64m,mode=1777") < 0)
    return fail(failure, LAYER_DEV, "tmpfs on /dev/shm");
  if (remount("dev", STRICT | MS_RDONLY) < 0)
    return fail(failure, LAYER_DEV, "read-only /dev");
  return 0;
}

/* A file is covered by /dev/null, a directory by an empty one. What this kernel has not needs no mask. */
static int mask(const char *path, struct failure *failure) {
  struct stat status;
  if (lstat(path, &status) < 0 && errno == ENOENT)
    return 0;
  if (mount(S_ISDIR(status.st_mode) ? "empty" : "dev/null", path, NULL, MS_BIND, NULL) < 0)
    return fail(failure, path[0] == 'p' ? LAYER_PROC : LAYER_SYS, "mask /%s", path);
  return 0;
}

/* What a processor has done against its heat tells of what else runs on it (GHSA-6fw5-f8r9-fgfm). */
static int mask_processors(struct failure *failure) {
  char path[64];
  int count = get_nprocs_conf(), result = 0;
  for (int i = 0; result == 0 && i < count; i++) {
    snprintf(path, sizeof path, "sys/devices/system/cpu/cpu%d/thermal_throttle", i);
    result = mask(path, failure);
  }
  return result;
}

/* With all that lies on it: systemd mounts binfmt_misc below /proc/sys, which the host's own proc brings along, and which cannot be left out
 * from inside a user namespace (mount_namespaces(7), "Restrictions on mount namespaces"). */
static int protect(const char *path, struct failure *failure) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY};
  if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0)
    return errno == ENOENT ? 0 : fail(failure, LAYER_PROC, "bind /%s", path);
  int result = (int)syscall(SYS_mount_setattr, AT_FDCWD, path, AT_RECURSIVE, &attributes, sizeof attributes);
  return result < 0 ? fail(failure, LAYER_PROC, "read-only /%s", path) : 0;
}

/* proc(5): no more user namespaces below this one, whatever a filter says. */
static int forbid_user_namespaces(struct failure *failure) {
  int fd = open("proc/sys/user/max_user_namespaces", O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  ssize_t written = fd < 0 ? -1 : write(fd, "0", 1);
  if (fd >= 0)
    close(fd);
  return written == 1 ? 0 : fail(failure, LAYER_NAMESPACES, "user.max_user_namespaces = 0");
}

int mounts_prepare(unsigned isolate, struct failure *failure) {
  if (make_base(failure) < 0 || make_proc(isolate, failure) < 0 || make_sys(isolate, failure) < 0 || make_dev(failure) < 0)
    return -1;
  if ((isolate & NS_BIT(NS_USER)) && forbid_user_namespaces(failure) < 0)
    return -1;
  if (mutant("no-masks"))
    return 0;
  for (size_t i = 0; i < COUNT(masked); i++)
    if (mask(masked[i], failure) < 0)
      return -1;
  if (mask_processors(failure) < 0)
    return -1;
  for (size_t i = 0; i < COUNT(read_only); i++)
    if (protect(read_only[i], failure) < 0)
      return -1;
  return 0;
}

/* ---- commit ---- */

/* Moves base/NAME onto root/NAME, which is made where it is missing and refused where it is not a directory. */
static int attach(int root, const char *name, enum layer layer, struct failure *failure) {
  struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_NO_XDEV};
  if (mutant("follow-links"))
    how = (struct open_how){.flags = O_PATH | O_DIRECTORY | O_CLOEXEC};
  int target = (int)syscall(SYS_openat2, root, name, &how, sizeof how);
  if (target < 0 && errno == ENOENT && mkdirat(root, name, 0755) == 0)
    target = (int)syscall(SYS_openat2, root, name, &how, sizeof how);
  if (target < 0)
    return fail_guest(failure, layer, "/%s of the root is not a directory", name);
  int result = (int)syscall(SYS_move_mount, AT_FDCWD, name, target, "", MOVE_MOUNT_T_EMPTY_PATH);
  if (result < 0)
    fail(failure, layer, "move /%s into the root", name);
  close(target);
  return result;
}

static int mount_overlay(void) {
  if (mutant("no-overlay"))
    return mount("lo", "root", NULL, MS_BIND, NULL);
  unsigned long flags = mutant("suid-mounts") ? 0 : MS_NOSUID | MS_NODEV;
  return mount("overlay", "root", "overlay", flags, "lowerdir=lo,upperdir=up/upper,workdir=up/work,userxattr");
}

int mounts_commit(int lower, int sandbox, struct failure *failure) {
  if (syscall(SYS_move_mount, lower, "", AT_FDCWD, "lo", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return fail(failure, LAYER_ROOT, "move the root in");
  if (syscall(SYS_move_mount, sandbox, "", AT_FDCWD, "up", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return fail(failure, LAYER_ROOT, "move the sandbox's files in");
  if (mount_overlay() < 0)
    return fail(failure, LAYER_OVERLAY, "mount the overlay");
  int root = open("root", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (root < 0)
    return fail(failure, LAYER_OVERLAY, "open the overlay");
  int result = attach(root, "proc", LAYER_PROC, failure);
  if (result == 0)
    result = attach(root, "sys", LAYER_SYS, failure);
  if (result == 0)
    result = attach(root, "dev", LAYER_DEV, failure);
  close(root);
  return result;
}

int mounts_pivot(struct failure *failure) {
  if (mutant("no-pivot"))
    return chroot("root") < 0 || chdir("/") < 0 ? fail(failure, LAYER_PIVOT, "chroot") : 0;
  /* pivot_root(2), NOTES: new and old root may be one directory; the old one then lies on top and is taken off. */
  if (chdir("root") < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
    return fail(failure, LAYER_PIVOT, "pivot_root");
  if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
    return fail(failure, LAYER_PIVOT, "detach the old root");
  return 0;
}
