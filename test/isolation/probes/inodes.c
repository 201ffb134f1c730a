/* Makes inodes, or extended attributes, until no more are given or there are MOST. usage: inodes directories|xattrs MOST */
#include "probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static char value[3500];

static int make_directory(int number) {
  char name[32];
  snprintf(name, sizeof name, "/fill/%d", number);
  return mkdir(name, 0700);
}

/* One large value to a file: more would not fit into the block that ext4 has for them. */
static int make_attribute(int number) {
  char name[32];
  snprintf(name, sizeof name, "/fill/%d", number);
  int fd = open(name, O_WRONLY | O_CREAT, 0600), result = fd < 0 ? -1 : fsetxattr(fd, "user.fill", value, sizeof value, 0);
  int error = errno;
  if (fd >= 0)
    close(fd);
  errno = error;
  return result;
}

int main(int count, char **arguments) {
  char text[16];
  if (count != 3)
    return 1;
  int (*make)(int) = strcmp(arguments[1], "xattrs") == 0 ? make_attribute : make_directory;
  int most = atoi(arguments[2]), made = 0;
  memset(value, 'x', sizeof value);
  mkdir("/fill", 0700);
  while (made < most && make(made) == 0)
    made++;
  say(made < most ? outcome(errno) : "all", "end");
  snprintf(text, sizeof text, "%d", made);
  say(text, "made");
}
