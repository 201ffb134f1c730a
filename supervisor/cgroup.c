#include "cgroup-files.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>


#define FREEZE_WAITS 100 /* each ends at a change, or after */
#define FREEZE_WAIT_MS 10

static bool has_word(const char *text, const char *word) {
  size_t length = strlen(word);
  for (const char *at = text; (at = strstr(at, word)); at += length)
    if ((at == text || strchr(" ,\n", at[-1])) && (at[length] == 0 || strchr(" ,\n", at[length])))
      return true;
  return false;
}

/* ---- the host's hierarchies ---- */

static void find_mounts(char v2[PATH_MAX], char v1[3][PATH_MAX]) {
  FILE *mounts = setmntent("/proc/self/mounts", "re");
  if (!mounts)
    return;
  for (struct mntent *entry; (entry = getmntent(mounts));) {
    if (strcmp(entry->mnt_type, "cgroup2") == 0 && !v2[0])
      snprintf(v2, PATH_MAX, "%s", entry->mnt_dir);
    if (strcmp(entry->mnt_type, "cgroup") == 0)
      for (int i = 0; i < 3; i++)
        if (!v1[i][0] && has_word(entry->mnt_opts, cgroup_controllers[i]))
          snprintf(v1[i], PATH_MAX, "%s", entry->mnt_dir);
  }
  endmntent(mounts);
}

/* A cgroup that has processes of its own cannot hand controllers down, so the launcher steps aside into a leaf. */
static int step_aside(const char *directory) {
  char leaf[PATH_MAX + 16], pid[16];
  snprintf(leaf, sizeof leaf, "%s/launcher", directory);
  snprintf(pid, sizeof pid, "%d", (int)getpid());
  if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
    return -1;
  return cgroup_write_path(leaf, "cgroup.procs", pid);
}

static int hand_down(const char *directory, bool wanted[3]) {
  for (int i = 0; i < 3; i++) {
    char word[16];
    snprintf(word, sizeof word, "+%s", cgroup_controllers[i]);
    if (!wanted[i] || cgroup_write_path(directory, "cgroup.subtree_control", word) == 0)
      continue;
    if (errno != EBUSY || step_aside(directory) < 0 || cgroup_write_path(directory, "cgroup.subtree_control", word) < 0)
      return -1;
  }
  if (wanted[MEMORY]) /* counted for GET .../stats where the kernel can; no limit needs it */
    cgroup_write_path(directory, "cgroup.subtree_control", "+io");
  return 0;
}

/* Makes `parent`, which may have several parts, below `mount`; every directory on the way hands `wanted` down. */
static int make_parents(char result[PATH_MAX], const char *mount, const char *parent, bool wanted[3]) {
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "%s", mount) >= PATH_MAX || hand_down(path, wanted) < 0)
    return -1;
  char parts[PATH_MAX];
  snprintf(parts, sizeof parts, "%s", parent);
  char *rest = NULL;
  for (char *part = strtok_r(parts, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
    size_t length = strlen(path);
    if ((size_t)snprintf(path + length, sizeof path - length, "/%s", part) >= sizeof path - length) {
      errno = ENAMETOOLONG;
      return -1;
    }
    if ((mkdir(path, 0755) < 0 && errno != EEXIST) || hand_down(path, wanted) < 0)
      return -1;
  }
  memcpy(result, path, sizeof path);
  return 0;
}

int cgroup_host_open(struct cgroup_host *host, const char *parent, struct failure *failure) {
  char v2[PATH_MAX] = "", v1[3][PATH_MAX] = {"", "", ""}, available[512] = "";
  *host = (struct cgroup_host){.layout = "none"};
  find_mounts(v2, v1);
  if (!v2[0]) {
    errno = ENOENT;
    return fail(failure, LAYER_CGROUP, "no cgroup v2 hierarchy is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)");
  }
  int root = open(v2, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (root < 0 || cgroup_read(root, "cgroup.controllers", available, sizeof available) < 0)
    return fail(failure, LAYER_CGROUP, "%s/cgroup.controllers", v2);
  close(root);
  bool in_v2[3], none[3] = {false, false, false};
  for (int i = 0; i < 3; i++) {
    in_v2[i] = has_word(available, cgroup_controllers[i]);
    if (!in_v2[i] && !v1[i][0]) {
      errno = ENOENT;
      return fail(failure, LAYER_CGROUP, "no hierarchy has the %s controller", cgroup_controllers[i]);
    }
    if (!in_v2[i] && make_parents(host->v1[i], v1[i], parent, none) < 0)
      return fail(failure, LAYER_CGROUP, "%s/%s", v1[i], parent);
  }
  if (make_parents(host->v2, v2, parent, in_v2) < 0)
    return fail(failure, LAYER_CGROUP, "%s/%s", v2, parent);
  host->layout = in_v2[0] && in_v2[1] && in_v2[2] ? "v2" : "hybrid";
  return 0;
}

/* From the innermost part of `parent` outwards, as far as they are empty. */
static void remove_parents(const char *directory, const char *parent) {
  char path[PATH_MAX];
  size_t parts = 1;
  for (const char *c = parent; *c; c++)
    parts += *c == '/' && c[1] && c[1] != '/';
  snprintf(path, sizeof path, "%s", directory);
  while (parts-- > 0 && rmdir(path) == 0)
    *strrchr(path, '/') = 0;
}

void cgroup_host_close(const struct cgroup_host *host, const char *parent) {
  for (int i = 0; i < 3; i++)
    if (host->v1[i][0])
      remove_parents(host->v1[i], parent);
  if (host->v2[0])
    remove_parents(host->v2, parent);
}

/* ---- one instance ---- */

static void v2_path(char path[PATH_MAX + 24], const struct cgroup *cgroup) {
  snprintf(path, PATH_MAX + 16, "%s/%u", cgroup->host->v2, cgroup->slot);
}

int cgroup_open(struct cgroup *cgroup, const struct cgroup_host *host, unsigned slot) {
  char path[PATH_MAX + 24];
  *cgroup = (struct cgroup){.host = host, .slot = slot, .v2 = -1, .tasks = {-1, -1, -1}};
  for (int i = 0; i < 3; i++) {
    cgroup_v1_path(path, cgroup, i);
    cgroup->v1[i] = host->v1[i][0] && access(path, F_OK) == 0;
  }
  v2_path(path, cgroup);
  cgroup->v2 = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return cgroup->v2 < 0 ? -1 : 0;
}

int cgroup_make(struct cgroup *cgroup, const struct cgroup_host *host, unsigned slot, struct failure *failure) {
  char path[PATH_MAX + 24];
  *cgroup = (struct cgroup){.host = host, .slot = slot % SLOT_LIMIT, .v2 = -1, .tasks = {-1, -1, -1}};
  for (unsigned tries = 0;; tries++) {
    v2_path(path, cgroup);
    bool made = mkdir(path, 0755) == 0;
    if ((!made && errno != EEXIST) || tries == SLOT_LIMIT)
      return fail(failure, LAYER_CGROUP, "mkdir %s", path);
    cgroup->v2 = made ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    int taken = cgroup->v2 < 0 ? -1 : cgroup_take(cgroup->v2, path);
    if (taken > 0)
      break;
    if (made && taken < 0) {
      fail(failure, LAYER_CGROUP, "open %s", path);
      cgroup_close(cgroup);
      rmdir(path);
      return -1;
    }
    cgroup_close(cgroup);
    cgroup->slot = (cgroup->slot + 1) % SLOT_LIMIT;
  }
  for (int i = 0; i < 3; i++) {
    if (!host->v1[i][0])
      continue;
    cgroup_v1_path(path, cgroup, i);
    if (mkdir(path, 0755) < 0 && errno != EEXIST) {
      fail(failure, LAYER_CGROUP, "mkdir %s", path);
      cgroup_remove(cgroup);
      return -1;
    }
    cgroup->v1[i] = true;
    snprintf(path + strlen(path), sizeof path - strlen(path), "/tasks");
    cgroup->tasks[i] = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (cgroup->tasks[i] < 0) {
      fail(failure, LAYER_CGROUP, "open %s", path);
      cgroup_remove(cgroup);
      return -1;
    }
  }
  return 0;
}

int cgroup_join(const struct cgroup *cgroup, struct failure *failure) {
  for (int i = 0; i < 3; i++)
    if (cgroup->tasks[i] >= 0 && write(cgroup->tasks[i], "0", 1) != 1)
      return fail(failure, LAYER_CGROUP, "join the %s cgroup", cgroup_controllers[i]);
  return 0;
}

int cgroup_count(const struct cgroup *cgroup) {
  int fd = openat(cgroup->v2, "cgroup.procs", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return -1;
  char text[4096];
  int count = 0;
  for (ssize_t length; (length = read(fd, text, sizeof text)) > 0;)
    for (ssize_t i = 0; i < length; i++)
      count += text[i] == '\n';
  close(fd);
  return count;
}

int cgroup_kill(const struct cgroup *cgroup) {
  return cgroup_write(cgroup->v2, "cgroup.kill", "1");
}

static bool is_frozen(int events) {
  char text[256];
  ssize_t length = pread(events, text, sizeof text - 1, 0);
  text[length < 0 ? 0 : length] = 0;
  return strstr(text, "frozen 1") != NULL;
}

int cgroup_freeze(const struct cgroup *cgroup, int events, bool frozen) {
  if (cgroup_write(cgroup->v2, "cgroup.freeze", frozen ? "1" : "0") < 0)
    return -1;
  for (int waits = 0; is_frozen(events) != frozen; waits++) {
    if (waits == FREEZE_WAITS) {
      cgroup_write(cgroup->v2, "cgroup.freeze", "0");
      errno = ETIMEDOUT;
      return -1;
    }
    poll(&(struct pollfd){.fd = events, .events = POLLPRI}, 1, FREEZE_WAIT_MS);
  }
  return 0;
}

int cgroup_events(const struct cgroup *cgroup) {
  return openat(cgroup->v2, "cgroup.events", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

int cgroup_populated(int events) {
  char text[256];
  ssize_t length = pread(events, text, sizeof text - 1, 0);
  if (length < 0)
    return errno == ENODEV ? 0 : -1; /* the cgroup itself is gone */
  text[length] = 0;
  return strstr(text, "populated 1") != NULL;
}

uint64_t cgroup_oom_kills(const struct cgroup *cgroup) {
  char text[512] = "", path[PATH_MAX + 24];
  if (cgroup->v1[MEMORY]) {
    cgroup_v1_path(path, cgroup, MEMORY);
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
      return 0;
    cgroup_read(fd, "memory.oom_control", text, sizeof text);
    close(fd);
  } else {
    cgroup_read(cgroup->v2, "memory.events", text, sizeof text);
  }
  const char *line = strstr(text, "oom_kill ");
  return line ? strtoull(line + 9, NULL, 10) : 0;
}

static int keep(struct cgroup *cgroup, const char *path) {
  size_t length = strlen(path), room = sizeof cgroup->held - 1;
  snprintf(cgroup->held, sizeof cgroup->held, "%s", path + (length > room ? length - room : 0));
  return -1;
}

int cgroup_remove(struct cgroup *cgroup) {
  char path[PATH_MAX + 24];
  /* v2 goes last: its directory is what holds the slot. */
  for (int i = 0; i < 3; i++) {
    if (!cgroup->v1[i])
      continue;
    cgroup_v1_path(path, cgroup, i);
    if (rmdir(path) < 0 && errno != ENOENT)
      return keep(cgroup, path);
    cgroup->v1[i] = false;
    cgroup->removed++;
  }
  v2_path(path, cgroup);
  if (rmdir(path) < 0 && errno != ENOENT)
    return keep(cgroup, path);
  cgroup_close(cgroup);
  return cgroup->removed + 1;
}

void cgroup_close(struct cgroup *cgroup) {
  int *fds[] = {&cgroup->v2, &cgroup->tasks[0], &cgroup->tasks[1], &cgroup->tasks[2]};
  for (int i = 0; i < 4; i++) {
    if (*fds[i] >= 0)
      close(*fds[i]);
    *fds[i] = -1;
  }
}
