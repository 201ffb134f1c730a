/* /dev, device nodes, and what may be done to those that are there. usage: devices [look], which changes none */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>

static const struct {
  const char *name;
  mode_t type;
  unsigned major, minor;
} nodes[] = {
  {"mem", S_IFCHR, 1, 1}, {"null", S_IFCHR, 1, 3}, {"kmsg", S_IFCHR, 1, 11}, {"tty0", S_IFCHR, 4, 0}, {"console", S_IFCHR, 5, 1}, {"fuse", S_IFCHR, 10, 229},
  {"kvm", S_IFCHR, 10, 232}, {"tun", S_IFCHR, 10, 200}, {"loop0", S_IFBLK, 7, 0}, {"sda", S_IFBLK, 8, 0}, {"vda", S_IFBLK, 254, 0},
};

/* To what it is already, so that nothing is harmed where it is not refused. */
static void change(const char *path) {
  struct timeval times[2] = {{1, 0}, {1, 0}};
  TRY(chmod(path, 0666), "chmod %s", path);
  TRY(chown(path, (uid_t)-1, (gid_t)-1), "chown %s", path);
  TRY(utimes(path, times), "utimes %s", path);
  TRY(unlink(path), "unlink %s", path);
  TRY(rename(path, "/dev/shm/taken"), "rename %s", path);
}

int main(int count, char **arguments) {
  bool looks = count > 1 && strcmp(arguments[1], "look") == 0;
  static const char *const there[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};
  DIR *directory = opendir("/dev");
  for (const struct dirent *entry; directory && (entry = readdir(directory));)
    if (entry->d_name[0] != '.')
      say("there", "%s", entry->d_name);
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
    char path[64];
    snprintf(path, sizeof path, "/%s-node", nodes[i].name);
    TRY(mknod(path, nodes[i].type | 0666, makedev(nodes[i].major, nodes[i].minor)), "mknod %s", nodes[i].name);
    unlink(path);
  }
  if (!looks) {
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
      change(there[i]);
    TRY(fchown(0, 1, 1), "fchown stdin");
  }
  TRY(open("/planted", O_RDWR), "open the planted node");
  for (size_t i = 0; i < 4; i++) { /* they work */
    int fd = open(there[i], O_RDWR);
    char byte = 0;
    say(fd >= 0 && (i == 0 ? write(fd, &byte, 1) == 1 : read(fd, &byte, 1) == 1) ? "ok" : "broken", "use %s", there[i]);
  }
}
