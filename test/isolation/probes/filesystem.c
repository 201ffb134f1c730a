/* Ways out of the root, and over what lies on it. */
#include "probe.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* chroot(2), NOTES: the classic way out of a directory that is only a root by name. */
static void leave_by_chroot(void) {
  struct stat before, after;
  stat("/", &before);
  mkdir("/leave", 0700);
  int held = open("/", O_RDONLY | O_DIRECTORY);
  TRY(chroot("/leave"), "chroot");
  TRY(fchdir(held), "fchdir");
  for (int i = 0; i < 64; i++)
    if (chdir("..") < 0)
      break;
  TRY(chroot("."), "chroot to the top");
  stat(".", &after);
  rmdir("/leave");
  say(before.st_dev == after.st_dev && before.st_ino == after.st_ino ? "its own root" : "elsewhere", "the top");
}

/* The handle of a file that may be had, then that of inode 2, the root of most filesystems ("shocker"). */
static void open_by_handle(void) {
  union {
    struct file_handle handle;
    char space[sizeof(struct file_handle) + 128];
  } it = {.handle = {.handle_bytes = 128}};
  int mount_id, fd = open("/dev/shm/handle", O_RDWR | O_CREAT, 0600);
  TRY(name_to_handle_at(AT_FDCWD, "/dev/shm/handle", &it.handle, &mount_id, 0), "name_to_handle_at");
  TRY(open_by_handle_at(fd, &it.handle, O_RDONLY), "open_by_handle_at of its own file");
  unlink("/dev/shm/handle");
  it.handle.handle_bytes = 8;
  it.handle.handle_type = 1;
  memcpy(it.handle.f_handle, (const char[8]){2}, 8);
  int root = open("/", O_RDONLY | O_DIRECTORY);
  TRY(open_by_handle_at(root, &it.handle, O_RDONLY), "open_by_handle_at of inode 2");
}

/* What is mounted over a path, taken off, made writable, or covered by something else; by both interfaces. */
static void change_mounts(const char *path) {
  TRY(umount2(path, 0), "umount %s", path);
  TRY(umount2(path, MNT_DETACH), "detach %s", path);
  TRY(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL), "remount %s", path);
  TRY(mount("/dev/shm", path, NULL, MS_BIND, NULL), "bind over %s", path);
  TRY(mount("none", path, "tmpfs", 0, NULL), "tmpfs over %s", path);
  TRY(syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE), "open_tree %s", path);
  struct mount_attr attributes = {.attr_clr = MOUNT_ATTR_RDONLY};
  TRY(syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &attributes, sizeof attributes), "mount_setattr %s", path);
  TRY(syscall(SYS_move_mount, AT_FDCWD, "/dev/shm", AT_FDCWD, path, 0), "move_mount over %s", path);
}

static void new_filesystems(void) {
  static const char *const types[] = {"tmpfs", "proc", "sysfs", "cgroup", "cgroup2", "overlay", "devpts", "mqueue", "bpf", "fuse", "debugfs", "tracefs", "securityfs"};
  mkdir("/new", 0700);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    TRY(mount("none", "/new", types[i], 0, NULL), "mount %s", types[i]);
    TRY(syscall(SYS_fsopen, types[i], 0), "fsopen %s", types[i]);
  }
  rmdir("/new");
}

/* usage: filesystem chroot | handles | mounts PATH... */
int main(int count, char **arguments) {
  const char *what = count > 1 ? arguments[1] : "";
  if (strcmp(what, "chroot") == 0)
    leave_by_chroot();
  if (strcmp(what, "handles") == 0)
    open_by_handle();
  if (strcmp(what, "mounts") == 0) {
    for (int i = 2; i < count; i++)
      change_mounts(arguments[i]);
    new_filesystems();
  }
}
