/* Who it is: ids and capabilities, as set-user-ID bits and file capabilities would change them.
 * usage: identity                  says so
 *        identity give FILE MODE V  on the host: owner 0, MODE (octal), and file capabilities of version V (2 or 3) */
#include "probe.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static int give(const char *path, mode_t mode, int version) {
  struct vfs_ns_cap_data data = {.magic_etc = (version == 3 ? VFS_CAP_REVISION_3 : VFS_CAP_REVISION_2) | VFS_CAP_FLAGS_EFFECTIVE};
  data.data[0].permitted = data.data[1].permitted = ~0u;
  size_t size = version == 3 ? sizeof data : sizeof(struct vfs_cap_data);
  return chown(path, 0, 0) < 0 || chmod(path, mode) < 0 || setxattr(path, "security.capability", &data, size, 0) < 0;
}

int main(int count, char **arguments) {
  if (count == 5 && strcmp(arguments[1], "give") == 0)
    return give(arguments[2], (mode_t)strtoul(arguments[3], NULL, 8), atoi(arguments[4]));
  char text[96];
  uid_t real, effective, saved;
  gid_t group, effective_group, saved_group;
  getresuid(&real, &effective, &saved);
  getresgid(&group, &effective_group, &saved_group);
  snprintf(text, sizeof text, "%u %u %u, %u %u %u", real, effective, saved, group, effective_group, saved_group);
  say(text, "ids");
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  syscall(SYS_capget, &header, data);
  snprintf(text, sizeof text, "%x %x", data[0].effective | data[0].permitted, data[1].effective | data[1].permitted);
  say(text, "capabilities");
}
