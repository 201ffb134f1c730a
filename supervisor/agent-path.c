#include "agent.h"
#include "mutants.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOKS_AT_ONCE 100
#define LOOKS_LATER 2000 /* a millisecond apart */

/* EAGAIN tells of a rename beside the walk (openat2(2)), or of a lease on the file that its holder is asked to give up (fcntl(2)). Who is inside can see to it
 * that there is always one, so it is looked again for two seconds and no longer. */
static bool look_again(int looks) {
  if (errno != EAGAIN || looks == LOOKS_AT_ONCE + LOOKS_LATER)
    return false;
  if (looks >= LOOKS_AT_ONCE)
    usleep(1000);
  return true;
}

/* The process's own root is the sandbox's, so a link leads nowhere else; mounts and magic links are refused on top. */
int path_open(const struct agent *agent, const char *path, int flags, mode_t mode) {
  struct open_how how = {.flags = (uint64_t)(unsigned)flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV | RESOLVE_IN_ROOT};
  if (agent->linkless)
    how.resolve |= RESOLVE_NO_SYMLINKS;
  if (mutant("follow-links"))
    how.resolve = 0;
  if (mutant("files-host-side")) { /* from a root that is not the process's own: what a daemon does that joins paths */
    how.resolve = 0;
    path += strspn(path, "/");
    path = *path ? path : ".";
  }
  for (int looks = 0;; looks++) {
    int fd = (int)syscall(SYS_openat2, agent->root, path, &how, sizeof how);
    if (fd >= 0 || !look_again(looks))
      return fd;
  }
}

int path_enter(int directory, const char *name, int flags) {
  struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC), .resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV | RESOLVE_BENEATH};
  for (int looks = 0;; looks++) {
    int fd = (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
    if (fd >= 0 || !look_again(looks))
      return fd;
  }
}

/* Each part is looked up anew from the top: it may be a link, such as /lib in many roots, which leads to its place below the same top, unless the agent
 * follows none. */
int path_make(const struct agent *agent, const char *path) {
  char part[PATH_LIMIT], above[PATH_LIMIT] = "";
  size_t used = 0;
  int at = path_open(agent, ".", O_PATH | O_DIRECTORY, 0);
  while (at >= 0 && *(path += strspn(path, "/"))) {
    size_t length = strcspn(path, "/");
    memcpy(part, path, length);
    part[length] = 0;
    path += length;
    if (strcmp(part, ".") == 0)
      continue;
    int next = -1;
    above[used++] = '/';
    memcpy(above + used, part, length + 1);
    used += length;
    if (strcmp(part, "..") == 0)
      errno = EINVAL;
    else if (mkdirat(at, part, 0755) == 0 || errno == EEXIST)
      next = path_open(agent, above, O_PATH | O_DIRECTORY, 0);
    int error = errno;
    close(at);
    errno = error;
    at = next;
  }
  return at;
}

int path_parent(const struct agent *agent, const char *path, bool parents, const char **name) {
  char parent[PATH_LIMIT];
  const char *slash = strrchr(path, '/');
  *name = slash ? slash + 1 : path;
  if (!slash || !**name || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0) {
    errno = EINVAL;
    return -1;
  }
  memcpy(parent, path, (size_t)(slash - path) + 1);
  parent[slash - path + 1] = 0;
  int fd = path_open(agent, parent, O_PATH | O_DIRECTORY, 0);
  return fd < 0 && errno == ENOENT && parents ? path_make(agent, parent) : fd;
}
