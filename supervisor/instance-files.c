/* What an instance sees on disk: the root's tree and the sandbox's own files, as detached mounts through its ids. */
#include "instance.h"
#include "mutants.h"
#include "quota.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Makes a detached mount be seen through the instance's ids (mount_setattr(2), "ID-mapped mounts"), and private: the clone of a mount that
 * the host shares, as systemd has it, would be of one group with it. Closes it on failure. */
static int mapped(const struct instance *instance, int tree) {
  struct mount_attr attributes = {.attr_set = mutant("suid-mounts") ? 0 : MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE};
  if (instance->user_ns >= 0) {
    attributes.attr_set |= MOUNT_ATTR_IDMAP;
    attributes.userns_fd = (uint64_t)instance->user_ns;
  }
  if (tree >= 0 && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) {
    int error = errno;
    close(tree);
    errno = error;
    return -1;
  }
  return tree;
}

int instance_open_tree(const struct instance *instance, int directory, const char *path) {
  return mapped(instance, (int)syscall(SYS_open_tree, directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW));
}

static int make_files(struct instance *instance, const char *id, struct failure *failure) {
  int sandboxes = instance->host->sandboxes;
  if (mkdirat(sandboxes, id, 0700) == 0)
    instance->made_files = true;
  else if (errno != EEXIST)
    return fail(failure, LAYER_ROOT, "make the sandbox's directory");
  int directory = openat(sandboxes, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (directory < 0)
    return fail(failure, LAYER_ROOT, "open the sandbox's directory");
  int result = 0;
  /* An earlier launch may have been interrupted between its steps. */
  if ((mkdirat(directory, "upper", 0755) < 0 && errno != EEXIST) || (mkdirat(directory, "work", 0755) < 0 && errno != EEXIST))
    result = fail(failure, LAYER_ROOT, "make upper and work");
  close(directory);
  return result;
}

int instance_open_files(struct instance *instance, const struct definition *definition, struct failure *failure) {
  int sandboxes = instance->host->sandboxes, mount;
  if (definition->disk && !mutant("no-disk")) {
    mount = disk_open(&instance->disk, sandboxes, definition->id, failure);
    if (mount < 0)
      return -1;
    mount = mapped(instance, mount);
  } else {
    if (make_files(instance, definition->id, failure) < 0)
      return -1;
    if (!mutant("no-disk") && disk_exists(sandboxes, definition->id)) {
      errno = EEXIST;
      return fail(failure, LAYER_DISK, "the sandbox's files lie in a disk image, and the launch is without one");
    }
    if (definition->disk_bytes && !mutant("no-disk") && quota_open(&instance->disk, sandboxes, definition->id, definition->disk_bytes, failure) < 0)
      return -1;
    mount = instance_open_tree(instance, sandboxes, definition->id);
  }
  return mount < 0 ? fail(failure, LAYER_ROOT, "open the sandbox's files") : mount;
}

void instance_remove_files(const struct instance *instance, const char *id) {
  struct removed removed;
  if (instance->made_files && quota_remove_tree(instance->host->sandboxes, id, &removed) < 0)
    log_line(50, "sandbox %s: its files cannot be removed: %s", id, strerror(errno));
}
