/* quotactl_fd(2) with the commands of XFS, which ext4 takes too (Linux, fs/quota/quota.c), and the attributes of ioctl_fsxattr(2): what is made in a directory with
 * FS_XFLAG_PROJINHERIT belongs to the directory's project. Both can be changed from the initial user namespace alone, so not from inside. `upper` and `work` are one project: a file
 * cannot be moved from one to another. */
#include "quota.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROJECTS 0x40000000u /* from here on to twice as far: who numbers projects by hand begins at 1 */
#define TRIES 64
#define BYTES_OF_INODE 16384u /* mke2fs(8) reckons with as many */
#define BASIC_BLOCK 512u

static int control(int fd, unsigned command, uint32_t project, struct fs_disk_quota *quota) {
  return (int)syscall(SYS_quotactl_fd, fd, QCMD(command, PRJQUOTA), project, quota);
}

static int limit(int fd, uint32_t project, uint64_t blocks, uint64_t inodes) {
  struct fs_disk_quota quota = {
    .d_version = FS_DQUOT_VERSION,
    .d_flags = FS_PROJ_QUOTA,
    .d_fieldmask = FS_DQ_BHARD | FS_DQ_IHARD,
    .d_id = project,
    .d_blk_hardlimit = blocks,
    .d_ino_hardlimit = inodes,
  };
  return control(fd, Q_XSETQLIM, project, &quota);
}

/* For the launch: overlayfs makes a few files of its own in `work`, and where it cannot, all is read-only. */
static int limit_for_launch(int fd, uint32_t project, uint64_t bytes) {
  struct fs_disk_quota used = {0};
  if (control(fd, Q_XGETQUOTA, project, &used) < 0 && errno != ENOENT)
    return -1;
  uint64_t blocks = bytes / BASIC_BLOCK, inodes = bytes / BYTES_OF_INODE;
  blocks = (used.d_bcount > blocks ? used.d_bcount : blocks) + 256;
  return limit(fd, project, blocks, (used.d_icount > inodes ? used.d_icount : inodes) + 16);
}

/* 0: none, or one that came down from the directories above and is another's. */
static uint32_t own_project(int directory) {
  struct fsxattr attributes;
  bool own = ioctl(directory, FS_IOC_FSGETXATTR, &attributes) == 0 && attributes.fsx_projid / PROJECTS == 1;
  return own ? attributes.fsx_projid : 0;
}

static int place(int directory, uint32_t project) {
  struct fsxattr attributes;
  if (ioctl(directory, FS_IOC_FSGETXATTR, &attributes) < 0)
    return -1;
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  return ioctl(directory, FS_IOC_FSSETXATTR, &attributes);
}

/* One that nobody uses, the first of a row that begins somewhere else for each id. 0 with errno. */
static uint32_t free_project(int fd, const char *id) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (const char *c = id; *c; c++)
    hash = (hash ^ (unsigned char)*c) * 16777619u;
  for (uint32_t i = 0; i < TRIES; i++) {
    struct fs_disk_quota quota = {0};
    uint32_t project = PROJECTS | ((hash + i) & (PROJECTS - 1));
    if (control(fd, Q_XGETQUOTA, project, &quota) < 0) {
      if (errno == ENOENT)
        return project;
      return 0;
    }
    if (!quota.d_blk_hardlimit && !quota.d_bcount && !quota.d_icount)
      return project;
  }
  errno = EUSERS;
  return 0;
}

static int open_below(int sandboxes, const char *id, const char *name) {
  char path[NAME_MAX + 1];
  snprintf(path, sizeof path, "%s/%s", id, name);
  return openat(sandboxes, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Bounded before anything belongs to it; `upper` last, since what is there decides. */
static int bind(int upper, int work, const char *id, uint64_t bytes) {
  uint32_t project = own_project(upper);
  if (!project)
    project = own_project(work);
  if (!project)
    project = free_project(upper, id);
  if (!project || limit_for_launch(upper, project, bytes) < 0)
    return -1;
  if (own_project(upper) == project)
    return 0;
  return place(work, project) < 0 ? -1 : place(upper, project);
}

int quota_open(struct disk *disk, int sandboxes, const char *id, uint64_t bytes, struct failure *failure) {
  *disk = DISK_NONE;
  int upper = open_below(sandboxes, id, "upper"), work = open_below(sandboxes, id, "work");
  int result = upper < 0 || work < 0 ? -1 : bind(upper, work, id, bytes);
  if (result < 0)
    fail(failure, LAYER_DISK, "bound the sandbox's files by project quota");
  if (work >= 0)
    close(work);
  if (result == 0)
    disk->top = upper;
  else if (upper >= 0)
    close(upper);
  return result;
}

int quota_change(const struct disk *disk, uint64_t bytes) {
  return limit(disk->top, own_project(disk->top), bytes / BASIC_BLOCK, bytes / BYTES_OF_INODE);
}

int quota_remove_tree(int sandboxes, const char *id, struct removed *removed) {
  int upper = open_below(sandboxes, id, "upper");
  uint32_t project = upper < 0 ? 0 : own_project(upper);
  if (upper >= 0)
    close(upper);
  int result = remove_tree(sandboxes, id, removed), error = errno;
  if (result == 0 && project)
    limit(sandboxes, project, 0, 0);
  errno = error;
  return result;
}
