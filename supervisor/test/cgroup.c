/* Cgroups on the host's real hierarchies, below a parent of this test's own. */
#include "cgroup.h"
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char parent[64];
static struct cgroup_host host;
static struct failure failure;

static void path_in(char path[PATH_MAX * 2], int tree, const char *name) {
  snprintf(path, PATH_MAX * 2, "%s/%s", tree < 0 ? host.v2 : host.v1[tree], name);
}

/* The text of a file of a tree (-1: v2, else the number of a v1 controller), "" when it cannot be read. */
static const char *text_of(int tree, const char *name) {
  static char text[4096];
  char path[PATH_MAX * 2];
  path_in(path, tree, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  if (fd >= 0)
    close(fd);
  text[length > 0 ? length : 0] = 0;
  return text;
}

static bool is_there(int tree, const char *name) {
  char path[PATH_MAX * 2];
  path_in(path, tree, name);
  return access(path, F_OK) == 0;
}

static void name_of(char name[64], const struct cgroup *cgroup, const char *file) {
  snprintf(name, 64, "%u/%s", cgroup->slot, file);
}

/* A child that has joined the v1 cgroups by itself and then sleeps. */
static pid_t sleeper(const struct cgroup *cgroup) {
  int joined[2];
  char byte;
  fflush(NULL);
  NEED(pipe2(joined, O_CLOEXEC) == 0);
  pid_t pid = fork();
  NEED(pid >= 0);
  if (pid == 0) {
    close(cgroup->v2); /* and with it the lock */
    if (cgroup_join(cgroup, &failure) == 0 && write(joined[1], "j", 1) == 1)
      pause();
    _exit(1);
  }
  close(joined[1]);
  CHECK(read(joined[0], &byte, 1) == 1, "joined");
  close(joined[0]);
  return pid;
}

static void put_in_v2(const struct cgroup *cgroup, pid_t pid) {
  char text[16];
  snprintf(text, sizeof text, "%d", (int)pid);
  int fd = openat(cgroup->v2, "cgroup.procs", O_WRONLY | O_CLOEXEC);
  NEED(fd >= 0 && write(fd, text, strlen(text)) > 0);
  close(fd);
}

static void test_open(void) {
  NEED(cgroup_host_open(&host, parent, &failure) == 0);
  CHECK(strcmp(host.layout, "v2") == 0 || strcmp(host.layout, "hybrid") == 0, "layout %s", host.layout);
  CHECK(is_there(-1, "cgroup.kill") && is_there(-1, "cgroup.events"), "a v2 directory that can kill");
  for (int i = 0; i < 3; i++)
    CHECK(!host.v1[i][0] || is_there(i, "cgroup.procs"), "the v1 directory of controller %d", i);
}

static void test_slots(void) {
  struct cgroup first, second, again, opened;
  NEED(cgroup_make(&first, &host, 5, &failure) == 0);
  CHECK(first.slot == 5, "the slot asked for");
  NEED(cgroup_make(&second, &host, 5, &failure) == 0);
  CHECK(second.slot == 6, "taken: the next, %u", second.slot);
  CHECK(cgroup_open(&opened, &host, 5) == 0 && memcmp(opened.v1, first.v1, sizeof first.v1) == 0, "opened again by its number");
  cgroup_close(&opened);
  int directories = cgroup_remove(&first);
  int expected = 1;
  for (int i = 0; i < 3; i++)
    expected += host.v1[i][0] != 0;
  CHECK(directories == expected && first.v2 == -1 && !is_there(-1, "5"), "%d directories removed", directories);
  CHECK(cgroup_open(&opened, &host, 5) < 0 && errno == ENOENT, "gone");
  NEED(cgroup_make(&again, &host, 5, &failure) == 0);
  CHECK(again.slot == 5, "and free again");
  cgroup_remove(&again);
  cgroup_remove(&second);
  NEED(cgroup_make(&first, &host, SLOT_LIMIT - 1, &failure) == 0 && cgroup_make(&second, &host, SLOT_LIMIT - 1, &failure) == 0);
  CHECK(first.slot == SLOT_LIMIT - 1 && second.slot == 0, "after the last comes the first: %u", second.slot);
  cgroup_remove(&first);
  cgroup_remove(&second);
}

static void test_limits(void) {
  struct cgroup cgroup;
  char name[64];
  struct cgroup_limits limits = {.memory_bytes = 32 << 20, .cpu_quota_us = 25000, .pids = 7};
  NEED(cgroup_make(&cgroup, &host, 10, &failure) == 0);
  CHECK(cgroup_limit(&cgroup, &(struct cgroup_limits){0}, &failure) == 0, "no limits");
  CHECK(cgroup_limit(&cgroup, &limits, &failure) == 0, "%s", failure.message);
  name_of(name, &cgroup, cgroup.v1[0] ? "memory.limit_in_bytes" : "memory.max");
  CHECK(strcmp(text_of(cgroup.v1[0] ? 0 : -1, name), "33554432\n") == 0, "memory: %s", text_of(cgroup.v1[0] ? 0 : -1, name));
  name_of(name, &cgroup, cgroup.v1[1] ? "cpu.cfs_quota_us" : "cpu.max");
  CHECK(strncmp(text_of(cgroup.v1[1] ? 1 : -1, name), "25000", 5) == 0, "cpu: %s", text_of(cgroup.v1[1] ? 1 : -1, name));
  name_of(name, &cgroup, "pids.max");
  CHECK(strcmp(text_of(cgroup.v1[2] ? 2 : -1, name), "7\n") == 0, "pids: %s", text_of(cgroup.v1[2] ? 2 : -1, name));
  limits.cpu_quota_us = 1; /* the kernel's least is 1,000 */
  CHECK(cgroup_limit(&cgroup, &limits, &failure) < 0 && failure.layer == LAYER_LIMITS && failure.error == EINVAL, "refused by the kernel: %s", failure.message);
  cgroup_remove(&cgroup);
}

static void check_limits(const struct cgroup *cgroup, const char *memory, const char *quota, const char *weight, const char *pids) {
  static const char *const names[2][4] = {{"memory.max", "cpu.max", "cpu.weight", "pids.max"},
                                          {"memory.limit_in_bytes", "cpu.cfs_quota_us", "cpu.shares", "pids.max"}};
  static const int trees[4] = {0, 1, 1, 2};
  const char *wanted[4] = {memory, quota, weight, pids};
  char name[64];
  for (int i = 0; i < 4; i++) {
    bool v1 = cgroup->v1[trees[i]];
    name_of(name, cgroup, names[v1][i]);
    const char *text = text_of(v1 ? trees[i] : -1, name);
    CHECK(strncmp(text, wanted[i], strlen(wanted[i])) == 0, "%s: %s, not %s", name, text, wanted[i]);
  }
}

static void test_changed_limits(void) {
  struct cgroup cgroup;
  struct cgroup_limits first = {.memory_bytes = 32 << 20, .cpu_quota_us = 25000, .cpu_weight = 50, .pids = 7};
  struct cgroup_limits second = {.memory_bytes = 64 << 20, .cpu_quota_us = 50000, .pids = 9}, none = {0}, impossible = {.pids = 3, .cpu_quota_us = 1};
  NEED(cgroup_make(&cgroup, &host, 11, &failure) == 0);
  bool shares = cgroup.v1[1], v1 = cgroup.v1[0];
  CHECK(cgroup_limit(&cgroup, &first, &failure) == 0, "%s", failure.message);
  check_limits(&cgroup, "33554432", "25000", shares ? "512" : "50", "7");
  CHECK(cgroup_change_limits(&cgroup, &first, &second, &failure) == 0, "up: %s", failure.message);
  check_limits(&cgroup, "67108864", "50000", shares ? "1024" : "100", "9");
  CHECK(cgroup_change_limits(&cgroup, &second, &first, &failure) == 0, "down: %s", failure.message);
  check_limits(&cgroup, "33554432", "25000", shares ? "512" : "50", "7");
  CHECK(cgroup_change_limits(&cgroup, &first, &impossible, &failure) < 0 && failure.error == EINVAL, "refused: %s", failure.message);
  check_limits(&cgroup, "33554432", "25000", shares ? "512" : "50", "7");
  CHECK(cgroup_change_limits(&cgroup, &first, &none, &failure) == 0, "none: %s", failure.message);
  check_limits(&cgroup, v1 ? "92233720368" : "max", shares ? "-1" : "max", shares ? "1024" : "100", "max");
  cgroup_remove(&cgroup);
}

static void test_kill(void) {
  struct cgroup cgroup;
  char name[64], number[16];
  int status;
  NEED(cgroup_make(&cgroup, &host, 20, &failure) == 0);
  int events = cgroup_events(&cgroup);
  NEED(events >= 0);
  CHECK(cgroup_count(&cgroup) == 0 && cgroup_populated(events) == 0, "empty");
  pid_t pids[] = {sleeper(&cgroup), sleeper(&cgroup), sleeper(&cgroup)};
  for (int i = 0; i < 3; i++)
    put_in_v2(&cgroup, pids[i]);
  CHECK(cgroup_count(&cgroup) == 3 && cgroup_populated(events) == 1, "three inside");
  name_of(name, &cgroup, "cgroup.procs");
  snprintf(number, sizeof number, "%d\n", (int)pids[0]);
  for (int i = 0; i < 3; i++)
    CHECK(!cgroup.v1[i] || strstr(text_of(i, name), number), "in the v1 tree %d too", i);
  CHECK(cgroup_remove(&cgroup) < 0 && errno == EBUSY && cgroup.v2 >= 0, "not removed while something lives in it");
  CHECK(cgroup_kill(&cgroup) == 0, "killed: %s", strerror(errno));
  for (int i = 0; i < 3; i++)
    CHECK(waitpid(pids[i], &status, 0) == pids[i] && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "child %d by SIGKILL", i);
  CHECK(cgroup_count(&cgroup) == 0 && cgroup_populated(events) == 0 && cgroup_oom_kills(&cgroup) == 0, "empty again, nothing by the out-of-memory killer");
  CHECK(cgroup_remove(&cgroup) > 0, "removed: %s", strerror(errno));
  CHECK(cgroup_populated(events) == 0, "the events of a cgroup that is gone");
  close(events);
}

/* The v2 directory may be busy for a moment when the others are gone already; the count is of all that went. */
static void test_remove_in_two_turns(void) {
  struct cgroup cgroup;
  int expected = 1;
  NEED(cgroup_make(&cgroup, &host, 25, &failure) == 0);
  for (int i = 0; i < 3; i++)
    expected += cgroup.v1[i];
  pid_t pid = sleeper(&cgroup);
  put_in_v2(&cgroup, pid);
  CHECK(cgroup_remove(&cgroup) < 0 && errno == EBUSY, "busy");
  NEED(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
  int removed = cgroup_remove(&cgroup);
  CHECK(removed == expected, "%d of %d told", removed, expected);
}

static void test_out_of_memory(void) {
  struct cgroup cgroup;
  int go[2], status;
  char byte;
  NEED(cgroup_make(&cgroup, &host, 30, &failure) == 0 && pipe2(go, O_CLOEXEC) == 0);
  NEED(cgroup_limit(&cgroup, &(struct cgroup_limits){.memory_bytes = 16 << 20}, &failure) == 0);
  fflush(NULL);
  pid_t pid = fork();
  NEED(pid >= 0);
  if (pid == 0) {
    close(go[1]);
    if (cgroup_join(&cgroup, &failure) < 0 || read(go[0], &byte, 1) < 0)
      _exit(3);
    char *bytes = malloc(64 << 20);
    for (size_t i = 0; bytes && i < 64 << 20; i += 4096)
      ((volatile char *)bytes)[i] = 1;
    _exit(bytes ? 4 : 5);
  }
  put_in_v2(&cgroup, pid);
  close(go[0]);
  close(go[1]);
  NEED(waitpid(pid, &status, 0) == pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "killed, status %x", status);
  CHECK(cgroup_oom_kills(&cgroup) == 1, "and counted: %llu", (unsigned long long)cgroup_oom_kills(&cgroup));
  for (int tries = 0; tries < 1000 && cgroup_remove(&cgroup) < 0; tries++)
    usleep(1000);
  CHECK(!is_there(-1, "30"), "removed");
}

static void test_close(void) {
  struct cgroup_host before = host;
  struct cgroup cgroup;
  NEED(cgroup_make(&cgroup, &host, 40, &failure) == 0);
  cgroup_host_close(&host, parent);
  CHECK(is_there(-1, "40"), "a parent with an instance in it stays");
  cgroup_remove(&cgroup);
  cgroup_host_close(&host, parent);
  for (int i = -1; i < 3; i++) {
    const char *path = i < 0 ? before.v2 : before.v1[i];
    char above[PATH_MAX];
    snprintf(above, sizeof above, "%s", path);
    if (!path[0])
      continue;
    CHECK(access(path, F_OK) < 0, "%s is gone", path);
    *strrchr(above, '/') = 0;
    CHECK(access(above, F_OK) < 0, "%s too", above);
    *strrchr(above, '/') = 0;
    CHECK(access(above, F_OK) == 0, "%s is not ours", above);
  }
}

static void test_sweep(void) {
  struct cgroup owned, used, left;
  NEED(cgroup_make(&owned, &host, 20, &failure) == 0 && cgroup_make(&used, &host, 21, &failure) == 0);
  pid_t pid = sleeper(&used);
  NEED(cgroup_make(&left, &host, 22, &failure) == 0);
  put_in_v2(&used, pid);
  cgroup_close(&used);
  cgroup_close(&left);
  CHECK(cgroup_sweep(&host) == 1 && !is_there(-1, "22"), "what has no owner and no process goes");
  for (int i = 0; i < 3; i++)
    CHECK(!is_there(i, "22"), "in the hierarchy %d too", i);
  CHECK(is_there(-1, "20") && is_there(-1, "21"), "what has one of them stays");
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  cgroup_remove(&owned);
  int tries = 0; /* a cgroup is told to be empty a moment after its last process was reaped */
  while (cgroup_sweep(&host) == 0 && ++tries < 20000)
    usleep(1000);
  CHECK(!is_there(-1, "21"), "then it goes, too");
}

int main(void) {
  snprintf(parent, sizeof parent, "unshared-native-%d/inner", (int)getpid());
  test_open();
  test_slots();
  test_limits();
  test_changed_limits();
  test_kill();
  test_remove_in_two_turns();
  test_out_of_memory();
  test_sweep();
  test_close();
  return check_end("cgroup");
}
