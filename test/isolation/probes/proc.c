/* /proc and /sys. usage: proc read PATH... | proc write | proc one */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>

static void read_one(const char *path) {
  char text[4096], value[32];
  struct stat status;
  if (stat(path, &status) < 0) {
    say(errno == ENOENT ? "absent" : outcome(errno), "%s", path);
    return;
  }
  if (S_ISDIR(status.st_mode)) {
    DIR *directory = opendir(path);
    unsigned entries = 0;
    for (const struct dirent *entry; directory && (entry = readdir(directory));)
      entries += entry->d_name[0] != '.';
    snprintf(value, sizeof value, entries ? "%u entries" : "empty", entries);
    say(directory ? value : outcome(errno), "%s", path);
    return;
  }
  int fd = open(path, O_RDONLY | O_NONBLOCK);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text);
  snprintf(value, sizeof value, length ? "%zd bytes" : "empty", length);
  say(length < 0 ? outcome(errno) : value, "%s", path);
  close(fd);
}

/* Its own process has many names. */
static const char *own(const char *path) {
  static char name[4096];
  char prefix[64];
  snprintf(prefix, sizeof prefix, "/proc/%d/", (int)getpid());
  if (strncmp(path, prefix, strlen(prefix)) != 0)
    return path;
  snprintf(name, sizeof name, "/proc/self/%s", path + strlen(prefix));
  return name;
}

static unsigned tried;

/* Opened only, never written to. */
static int try_to_open(const char *path, const struct stat *status, int kind, struct FTW *walk) {
  (void)status;
  (void)walk;
  if (kind == FTW_D || kind == FTW_DNR || kind == FTW_DP || kind == FTW_SL)
    return 0;
  tried++;
  int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0) {
    say("writable", "%s", own(path));
    close(fd);
  }
  return 0;
}

/* PID 1: its links, its memory, its words. */
static void look_at_one(void) {
  static const char *const links[] = {"exe", "root", "cwd", "fd/0", "ns/user", "ns/mnt"}, *const files[] = {"environ", "mem", "maps", "auxv", "stack", "syscall", "io", "smaps", "map_files", "fd"};
  char path[64], text[4096];
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
    snprintf(path, sizeof path, "/proc/1/%s", links[i]);
    TRY(readlink(path, text, sizeof text), "readlink %s", links[i]);
  }
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    snprintf(path, sizeof path, "/proc/1/%s", files[i]);
    int fd = open(path, O_RDONLY);
    say(outcome(fd < 0 ? errno : 0), "open %s", files[i]);
  }
  snprintf(path, sizeof path, "/proc/1/cmdline");
  int fd = open(path, O_RDONLY);
  ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  text[length < 0 ? 0 : length] = 0;
  say(text, "cmdline");
}

int main(int count, char **arguments) {
  const char *what = count > 1 ? arguments[1] : "";
  char text[16];
  if (strcmp(what, "read") == 0)
    for (int i = 2; i < count; i++)
      read_one(arguments[i]);
  if (strcmp(what, "write") == 0) {
    nftw("/proc", try_to_open, 64, FTW_PHYS);
    nftw("/sys", try_to_open, 64, FTW_PHYS);
    snprintf(text, sizeof text, "%u", tried);
    say(text, "tried");
  }
  if (strcmp(what, "one") == 0)
    look_at_one();
}
