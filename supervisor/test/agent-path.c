/* No path, however written and whatever lies under it, leads out of the root that it is resolved in, onto another mount, or through a magic link. */
#include "../channel.h"
#include "../remove.h"
#include "agent-client.h"

#include <signal.h>
#include <sys/prctl.h>

static struct agent agent;

/* The inode that a path leads to; 0 with errno. */
static ino_t leads(const char *path, int flags) {
  struct stat status;
  int fd = path_open(&agent, path, O_PATH | flags, 0);
  if (fd < 0)
    return 0;
  NEED(fstat(fd, &status) == 0);
  close(fd);
  return status.st_ino;
}

static ino_t inode_of(const char *name) {
  struct stat status;
  NEED(fstatat(top, name, &status, AT_SYMLINK_NOFOLLOW) == 0);
  return status.st_ino;
}

static void test_open(void) {
  put_directory("root/etc");
  put_file("root/etc/passwd", "inside");
  put_file("secret", "outside");
  NEED(symlinkat("/etc/passwd", top, "root/absolute") == 0 && symlinkat("../../../../../etc/passwd", top, "root/up") == 0);
  NEED(symlinkat("../secret", top, "root/out") == 0 && symlinkat("loop", top, "root/loop") == 0 && symlinkat("/", top, "root/etc/top") == 0);
  ino_t inside = inode_of("root/etc/passwd");
  const char *ways[] = {"/etc/passwd", "//etc/./passwd", "/../../etc/passwd", "/etc/../../../etc/passwd", "/absolute", "/up", "/etc/top/etc/top/up", "etc/passwd"};
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
    CHECK(leads(ways[i], 0) == inside, "%s leads to the root's own file: %s", ways[i], strerror(errno));
  CHECK(leads("/..", 0) == inode_of("root") && leads("/etc/top/..", 0) == inode_of("root"), "nothing is above the root");
  CHECK(leads("/out", 0) == 0 && errno == ENOENT, "a link out leads to nothing: %s", strerror(errno));
  CHECK(leads("/out", O_NOFOLLOW) == inode_of("root/out"), "a link at the end is itself where that is asked");
  CHECK(leads("/loop", 0) == 0 && errno == ELOOP, "a loop: %s", strerror(errno));
  CHECK(leads("/etc/passwd/", 0) == 0 && errno == ENOTDIR, "a file is no directory: %s", strerror(errno));
  int etc = path_enter(agent.root, "etc", O_PATH | O_DIRECTORY);
  CHECK(etc >= 0 && path_enter(etc, "..", O_PATH) < 0 && errno == EXDEV, "what is entered does not lead up: %s", strerror(errno));
  CHECK(path_enter(etc, "top", O_RDONLY) < 0 && errno == ELOOP, "nor through a link: %s", strerror(errno));
  fd_close(&etc);
}

static void test_magic(void) {
  struct agent proc = {.root = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  NEED(proc.root >= 0);
  const char *magic[] = {"/self/exe", "/self/root", "/self/cwd/x", "/self/fd/0", "/thread-self/root/etc"};
  for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
    CHECK(path_open(&proc, magic[i], O_PATH, 0) < 0 && errno == ELOOP, "%s: %s", magic[i], strerror(errno));
  close(proc.root);
  struct agent host = {.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  const char *mounted[] = {"/proc", "/proc/self/status", "/proc/.."};
  for (size_t i = 0; i < sizeof mounted / sizeof *mounted; i++)
    CHECK(path_open(&host, mounted[i], O_PATH, 0) < 0 && errno == EXDEV, "%s is on another mount: %s", mounted[i], strerror(errno));
  CHECK(path_enter(host.root, "proc", O_PATH) < 0 && errno == EXDEV, "nor is a mount entered: %s", strerror(errno));
  close(host.root);
}

static void test_parent(void) {
  const char *name;
  const char *invalid[] = {"/", "/etc/", "/etc/.", "/etc/..", "passwd", "", "/.", "/.."};
  for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
    CHECK(path_parent(&agent, invalid[i], true, &name) < 0 && errno == EINVAL, "\"%s\" has no last part", invalid[i]);
  CHECK(path_parent(&agent, "/none/file", false, &name) < 0 && errno == ENOENT && !there("root/none"), "nothing is made unasked");
  CHECK(path_parent(&agent, "/etc/passwd/x", true, &name) < 0 && errno == ENOTDIR, "a file is in the way: %s", strerror(errno));
  int fd = path_parent(&agent, "/etc/top/../etc/new", false, &name);
  struct stat status;
  CHECK(fd >= 0 && fstat(fd, &status) == 0 && status.st_ino == inode_of("root/etc") && strcmp(name, "new") == 0, "%s", strerror(errno));
  fd_close(&fd);
}

static void test_make(void) {
  const char *name;
  struct stat status;
  put_directory("root/usr");
  put_directory("root/usr/lib");
  put_directory("outside");
  NEED(symlinkat("usr/lib", top, "root/lib") == 0 && symlinkat("/nowhere", top, "root/dangling") == 0 && symlinkat("../outside", top, "root/away") == 0);
  int fd = path_parent(&agent, "//lib/./a//b/file", true, &name);
  CHECK(fd >= 0 && fstat(fd, &status) == 0 && status.st_ino == inode_of("root/usr/lib/a/b") && strcmp(name, "file") == 0, "through a link: %s", strerror(errno));
  CHECK((status.st_mode & 07777) == 0755, "mode %o", status.st_mode);
  fd_close(&fd);
  const char *refused[] = {"/dangling/a/file", "/away/a/file", "/fresh/../../a/file", "/fresh/../a/file"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    CHECK(path_parent(&agent, refused[i], true, &name) < 0, "%s", refused[i]);
  CHECK(!there("root/nowhere") && !there("outside/a") && !there("root/outside") && !there("a") && !there("root/a"), "and nothing is made elsewhere");
  struct agent linkless = {.root = agent.root, .linkless = true};
  const char *linked[] = {"/lib/file", "/lib/c/file", "/etc/top/etc/file"};
  for (size_t i = 0; i < sizeof linked / sizeof *linked; i++)
    CHECK(path_parent(&linkless, linked[i], true, &name) < 0 && errno == ELOOP, "%s, where no link is followed: %s", linked[i], strerror(errno));
  CHECK(!there("root/usr/lib/c"), "and nothing is made behind one");
  fd = path_make(&agent, "x/y/z");
  CHECK(fd >= 0 && fstat(fd, &status) == 0 && status.st_ino == inode_of("root/x/y/z"), "%s", strerror(errno));
  fd_close(&fd);
}

/* As long as a request allows: many short parts, and few long ones. */
static void test_long(void) {
  const char *name;
  char path[PATH_LIMIT];
  for (size_t part = 1; part <= 256; part += 85) {
    for (size_t i = 0; i < sizeof path - 1; i++)
      path[i] = i % (part + 1) ? 'p' : '/';
    path[sizeof path - 1] = 0;
    path[sizeof path - 2] = 'p';
    int fd = path_parent(&agent, path, true, &name);
    CHECK(part < 256 ? fd >= 0 : fd < 0 && errno == ENAMETOOLONG, "parts of %zu bytes: %s", part, strerror(errno));
    fd_close(&fd);
  }
}

/* Beside the walk a directory and a link to the outside change places, all the time. */
static void test_race(void) {
  put_directory("root/swap");
  put_file("root/swap/file", "inside");
  put_file("outside/file", "outside");
  NEED(symlinkat("../outside", top, "root/trap") == 0);
  ino_t inside = inode_of("root/swap/file");
  fflush(NULL);
  pid_t child = fork();
  NEED(child >= 0);
  if (child == 0)
    for (prctl(PR_SET_PDEATHSIG, SIGKILL);;)
      renameat2(agent.root, "swap", agent.root, "trap", RENAME_EXCHANGE);
  int through = 0, wrong = 0;
  for (int tries = 0; tries < 2000000 && (tries < 20000 || through < 100); tries++) {
    ino_t found = leads("/swap/file", 0);
    through += found == inside;
    wrong += found != inside && found != 0;
  }
  NEED(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
  CHECK(through > 0 && wrong == 0, "%d times inside, %d times elsewhere", through, wrong);
}

int main(void) {
  struct removed removed;
  int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  NEED(host >= 0 && mkdtemp(folder));
  top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  NEED(top >= 0);
  put_directory("root");
  agent.root = openat(top, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
  NEED(agent.root >= 0);
  umask(0);
  test_magic();
  NEED(fchdir(top) == 0 && chroot(".") == 0); /* so that a resolution that is broken gets out of the root, but makes nothing on the host */
  test_open();
  test_parent();
  test_make();
  test_long();
  test_race();
  NEED(fchdir(host) == 0 && chroot(".") == 0);
  close(host);
  close(agent.root);
  const char *names[] = {"root", "outside"};
  for (size_t i = 0; i < 2; i++)
    NEED(remove_tree(top, names[i], &removed) == 0);
  NEED(unlinkat(top, "secret", 0) == 0);
  close(top);
  CHECK(rmdir(folder) == 0, "nothing is left: %s", strerror(errno));
  return check_end("agent-path");
}
