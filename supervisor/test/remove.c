/* Trees as a hostile sandbox may leave them are removed whole; nothing outside is touched, no mount is crossed. */
#include "remove.h"
#include "check.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/unshared-remove-XXXXXX";
static int parent;

static void put(int directory, const char *name) {
  int fd = openat(directory, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  NEED(fd >= 0);
  NEED(write(fd, "x", 1) == 1);
  close(fd);
}

static int enter(int directory, const char *name) {
  NEED(mkdirat(directory, name, 0755) == 0);
  int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  NEED(fd >= 0);
  return fd;
}

static bool there(const char *name) {
  return faccessat(parent, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_missing(void) {
  struct removed removed = {9, 9, ""};
  CHECK(remove_tree(parent, "tree", &removed) == 0 && removed.files == 0 && removed.bytes == 0, "nothing there is nothing removed");
  put(parent, "file");
  CHECK(remove_tree(parent, "file", &removed) < 0 && errno == ENOTDIR && there("file"), "a file is not a tree");
  NEED(unlinkat(parent, "file", 0) == 0);
  NEED(mkdirat(parent, "outside", 0755) == 0 && symlinkat("outside", parent, "tree") == 0);
  CHECK(remove_tree(parent, "tree", &removed) < 0 && there("outside") && there("tree"), "a link in the tree's place is not followed");
  NEED(unlinkat(parent, "tree", 0) == 0 && unlinkat(parent, "outside", AT_REMOVEDIR) == 0);
}

static void test_deep(int depth) {
  struct removed removed;
  int at = enter(parent, "tree");
  for (int i = 0; i < depth; i++) {
    int below = enter(at, "a-directory-with-a-longer-name");
    close(at);
    at = below;
  }
  put(at, "file");
  close(at);
  CHECK(remove_tree(parent, "tree", &removed) == 0 && !there("tree"), "%d deep: %s", depth, strerror(errno));
  CHECK(removed.files == (uint64_t)depth + 2, "%llu entries", (unsigned long long)removed.files);
}

static void test_wide(void) {
  struct removed removed;
  char name[32];
  int tree = enter(parent, "tree");
  for (int i = 0; i < 5000; i++) {
    snprintf(name, sizeof name, "file-%d", i);
    put(tree, name);
  }
  for (int i = 0; i < 300; i++) {
    snprintf(name, sizeof name, "directory-%d", i);
    int below = enter(tree, name);
    put(below, "file");
    close(below);
  }
  close(tree);
  CHECK(remove_tree(parent, "tree", &removed) == 0 && !there("tree"), "%s", strerror(errno));
  CHECK(removed.files == 5000 + 600 + 1, "%llu entries", (unsigned long long)removed.files);
}

/* Deeper than directories are held open, each with others beside the way down; with as many descriptors as that asks for, and with few. */
static void test_branches(int descriptors) {
  struct removed removed;
  struct rlimit before, few = {.rlim_cur = (rlim_t)descriptors};
  int at = enter(parent, "tree");
  for (int i = 0; i < 100; i++) {
    for (int beside = 0; beside < 4; beside++) {
      char name[2] = {(char)('a' + beside), 0};
      int below = enter(at, name);
      put(below, "file");
      close(below);
    }
    int below = enter(at, "way");
    close(at);
    at = below;
  }
  close(at);
  NEED(getrlimit(RLIMIT_NOFILE, &before) == 0);
  few.rlim_max = before.rlim_max;
  NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
  int result = remove_tree(parent, "tree", &removed), error = errno;
  NEED(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(result == 0 && !there("tree"), "with %d descriptors: %s", descriptors, strerror(error));
  CHECK(removed.files == 100 * 9 + 1, "%llu entries", (unsigned long long)removed.files);
  int next = dup(parent);
  CHECK(next == parent + 1, "all are closed: the next one is %d", next);
  close(next);
}

static void test_links(void) {
  struct removed removed;
  int outside = enter(parent, "outside"), tree = enter(parent, "tree");
  put(outside, "kept");
  struct stat before, after;
  NEED(fstatat(outside, "kept", &before, 0) == 0);
  NEED(symlinkat("../outside", tree, "directory") == 0 && symlinkat("../outside/kept", tree, "file") == 0);
  NEED(symlinkat("/", tree, "root") == 0 && symlinkat(".", tree, "loop") == 0 && symlinkat("nowhere", tree, "dangling") == 0);
  NEED(linkat(outside, "kept", tree, "hard", 0) == 0);
  CHECK(remove_tree(parent, "tree", &removed) == 0 && !there("tree"), "%s", strerror(errno));
  CHECK(fstatat(outside, "kept", &after, 0) == 0 && after.st_size == before.st_size && after.st_nlink == 1 && after.st_mode == before.st_mode, "outside is whole");
  CHECK(removed.files == 7, "%llu entries", (unsigned long long)removed.files);
  close(tree);
  close(outside);
  NEED(remove_tree(parent, "outside", &removed) == 0);
}

static void test_names(void) {
  struct removed removed;
  char longest[256];
  memset(longest, 'n', 255);
  longest[255] = 0;
  const char *names[] = {"new\nline", longest, "\xff\xfe invalid", " ", "-rf", "...", "\x01\x7f\x1b[2J", "*", "a\\b"};
  int tree = enter(parent, "tree");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    int below = enter(tree, names[i]);
    for (size_t j = 0; j < sizeof names / sizeof *names; j++)
      put(below, names[j]);
    close(below);
  }
  close(tree);
  CHECK(remove_tree(parent, "tree", &removed) == 0 && !there("tree"), "%s", strerror(errno));
}

static void test_modes_and_kinds(void) {
  struct removed removed;
  int tree = enter(parent, "tree"), closed = enter(tree, "closed");
  put(closed, "file");
  NEED(mknodat(closed, "fifo", S_IFIFO | 0644, 0) == 0 && mknodat(closed, "device", S_IFCHR | 0, 0) == 0 && mknodat(closed, "socket", S_IFSOCK, 0) == 0);
  NEED(fchmodat(closed, "file", 0, 0) == 0 && fchmod(closed, 0) == 0 && fchmod(tree, 0) == 0);
  close(closed);
  close(tree);
  CHECK(remove_tree(parent, "tree", &removed) == 0 && !there("tree"), "mode 000 and special files (a fifo is not opened): %s", strerror(errno));
}

static void test_bytes(void) {
  struct removed removed;
  struct stat status;
  int tree = enter(parent, "tree");
  int fd = openat(tree, "sparse", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  NEED(fd >= 0 && ftruncate(fd, 1 << 30) == 0 && pwrite(fd, "x", 1, 1 << 20) == 1 && fsync(fd) == 0 && fstat(fd, &status) == 0);
  close(fd);
  close(tree);
  NEED(remove_tree(parent, "tree", &removed) == 0);
  CHECK(removed.bytes >= (uint64_t)status.st_blocks * 512 && removed.bytes < 1 << 20, "%llu bytes on disk, not the length", (unsigned long long)removed.bytes);
}

/* In a child with a mount namespace of its own, so that nothing of it can stay behind. */
static int mounted(const char *type, const char *source) {
  struct removed removed;
  NEED(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
  close(parent); /* that one lies in the namespace that was left */
  NEED((parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0);
  int tree = enter(parent, "tree"), below = enter(tree, "below"), outside = enter(parent, "outside");
  put(outside, "kept");
  NEED(mkdirat(below, "mount", 0755) == 0 && fchdir(below) == 0);
  NEED(mount(source, "mount", type, type ? 0 : MS_BIND, NULL) == 0);
  if (type) {
    int inside = open("mount/kept", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    NEED(inside >= 0);
    close(inside);
  }
  CHECK(remove_tree(parent, "tree", &removed) < 0 && (errno == EXDEV || errno == EBUSY), "refused: %s", strerror(errno));
  CHECK(access("mount/kept", F_OK) == 0, "what is mounted is whole");
  NEED(umount2("mount", MNT_DETACH) == 0);
  CHECK(remove_tree(parent, "tree", &removed) == 0 && !there("tree"), "and without the mount it goes");
  NEED(remove_tree(parent, "outside", &removed) == 0);
  return failures;
}

static void test_mount(const char *type, const char *source) {
  fflush(NULL);
  pid_t child = fork();
  NEED(child >= 0);
  if (child == 0)
    _exit(mounted(type, source) ? 1 : 0);
  int status;
  NEED(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a mount below (%s)", type ? type : "bind");
}

int main(void) {
  char source[sizeof folder + 16];
  NEED(mkdtemp(folder));
  parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  NEED(parent >= 0);
  snprintf(source, sizeof source, "%s/outside", folder);
  test_missing();
  test_deep(20000);
  test_wide();
  test_branches(1024);
  test_branches(parent + 4);
  test_links();
  test_names();
  test_modes_and_kinds();
  test_bytes();
  test_mount("tmpfs", "none");
  test_mount(NULL, source);
  close(parent);
  CHECK(rmdir(folder) == 0, "nothing is left: %s", strerror(errno));
  return check_end("remove");
}
