/* Theory of operation.
 *
 * The daemon makes the image, a sparse file with an empty filesystem in it, and grows it between two runs. Here it is attached to a loop device and mounted by the mount
 * API of descriptors (fsopen(2), fsmount(2)), so that the host's mount table never has it: the shell moves the mount into its own namespace.
 *
 * Who ends it all is the kernel. The mount lives as long as the sandbox's mount namespace or `top`; the device detaches itself
 * (LO_FLAGS_AUTOCLEAR, loop(4)) when mount and `loop` are gone. Two devices on one image would destroy it, and a namespace's end is not
 * awaited by anybody's wait(2). So the image is locked (flock(2)) through the very open file that the device takes over: the lock lasts
 * exactly as long as the device does, whoever is killed, and the next attachment waits for it. */
#include "disk.h"
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BLOCK 4096u             /* of the filesystem and of the device, so that direct I/O fits whatever disk the image lies on */
#define RELEASE_WAIT_US 5000000 /* for the end of an earlier attachment */
#define ATTACH_TRIES 100        /* others take devices too, and udev(7) looks at each */

static int open_image(int sandboxes, const char *id, int flags) {
  char path[NAME_MAX + 1];
  snprintf(path, sizeof path, "%s/disk", id);
  return openat(sandboxes, path, flags | O_NOFOLLOW | O_CLOEXEC);
}

static void close_keeping_errno(int fd) {
  int error = errno;
  if (fd >= 0)
    close(fd);
  errno = error;
}

bool disk_exists(int sandboxes, const char *id) {
  char path[NAME_MAX + 1];
  snprintf(path, sizeof path, "%s/disk", id);
  return faccessat(sandboxes, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool disk_released(int sandboxes, const char *id) {
  int image = open_image(sandboxes, id, O_RDONLY);
  bool released = image < 0 || flock(image, LOCK_EX | LOCK_NB) == 0;
  close_keeping_errno(image);
  return released;
}

static int lock(int image) {
  uint64_t until = now_us() + RELEASE_WAIT_US;
  int result;
  while ((result = flock(image, LOCK_EX | LOCK_NB)) < 0 && errno == EWOULDBLOCK && now_us() < until)
    usleep(1000);
  return result;
}

/* Answers the device with its path. Between being told a free one and taking it somebody else may: then the next. */
static int attach(int image, char path[32]) {
  struct loop_config config = {.fd = (uint32_t)image, .block_size = BLOCK, .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO};
  int control = open("/dev/loop-control", O_RDWR | O_NOFOLLOW | O_CLOEXEC), device = -1;
  for (int tries = 0; control >= 0 && device < 0 && tries < ATTACH_TRIES; tries++) {
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0)
      break;
    snprintf(path, 32, "/dev/loop%d", number);
    device = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (device >= 0 && ioctl(device, LOOP_CONFIGURE, &config) == 0)
      break;
    close_keeping_errno(device);
    device = -1;
    if (errno != EBUSY && errno != ENXIO && errno != ENOENT) /* ENOENT: its node is still being made */
      break;
    usleep(1000);
  }
  close_keeping_errno(control);
  return device;
}

/* What the sandbox deletes is given back to the host (discard); tables that lie in holes of the image are zero already (noinit_itable);
 * a filesystem with an error is written no more. */
static int mount_device(const char *path) {
  int context = (int)syscall(SYS_fsopen, "ext4", FSOPEN_CLOEXEC), mount = -1;
  if (context >= 0 && syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "source", path, 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "errors", "remount-ro", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "noinit_itable", NULL, 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, "discard", NULL, 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
    mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME);
  close_keeping_errno(context);
  return mount;
}

static int make_directory(int top, const char *name) {
  return mkdirat(top, name, 0755) < 0 && errno != EEXIST ? -1 : 0;
}

/* With the image open and locked. */
static int mount_image(struct disk *disk, int image, struct failure *failure) {
  char path[32];
  disk->loop = attach(image, path);
  if (disk->loop < 0)
    return fail(failure, LAYER_DISK, "attach the disk image to a loop device");
  int mount = mount_device(path);
  if (mount < 0)
    return fail(failure, LAYER_DISK, "mount the disk image");
  disk->top = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (disk->top >= 0 && make_directory(disk->top, "upper") == 0 && make_directory(disk->top, "work") == 0)
    return mount;
  fail(failure, LAYER_DISK, "make upper and work in the disk image");
  close_keeping_errno(mount);
  return -1;
}

int disk_open(struct disk *disk, int sandboxes, const char *id, struct failure *failure) {
  *disk = DISK_NONE;
  int image = open_image(sandboxes, id, O_RDWR), mount = -1;
  if (image < 0)
    return fail(failure, LAYER_DISK, "open the disk image");
  if (lock(image) < 0)
    fail(failure, LAYER_DISK, "the disk image is still in use");
  else
    mount = mount_image(disk, image, failure);
  close(image); /* the device has its own hold of the same open file */
  if (mount < 0)
    disk_close(disk);
  return mount;
}

int disk_measure(const struct disk *disk, struct disk_use *use) {
  struct statfs status;
  uint64_t size;
  if (fstatfs(disk->top, &status) < 0) /* of a directory under a quota: what that has left */
    return -1;
  uint64_t block = (uint64_t)status.f_bsize;
  size = status.f_blocks * block;
  if (disk->loop >= 0 && ioctl(disk->loop, BLKGETSIZE64, &size) < 0)
    return -1;
  *use = (struct disk_use){.size = size, .used = (status.f_blocks - status.f_bfree) * block, .available = status.f_bavail * block};
  return 0;
}

void disk_close(struct disk *disk) {
  close_keeping_errno(disk->top);
  close_keeping_errno(disk->loop);
  *disk = DISK_NONE;
}
