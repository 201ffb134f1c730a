/* The host's side of one instance: directories, clone3, id maps, the idmapped mounts, and all of it back again. */
#define _GNU_SOURCE
#include "floor.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void make_directories(const struct instance *instance) {
  char path[64];
  static const char *const parts[] = {"", "/upper", "/work"};
  for (unsigned i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s%s", instance->label, parts[i]);
    if (mkdir(path, 0755) < 0)
      floor_fail(path);
  }
}

/* overlayfs leaves an empty "work" in the work directory; what the command wrote is the check's one file and mount points. */
static void remove_directories(const struct instance *instance) {
  char path[64];
  static const char *const parts[] = {"/upper", "/work" "/work", "/work", ""};
  snprintf(path, sizeof path, "%s/upper/file", instance->label);
  unlink(path);
  for (unsigned i = 0; i < 4; i++) {
    snprintf(path, sizeof path, "%s%s", instance->label, parts[i]);
    if (rmdir(path) < 0 && errno != ENOENT)
      floor_fail(path);
  }
}

static void write_map(const struct instance *instance, const char *which) {
  char path[64], map[64];
  snprintf(path, sizeof path, "/proc/%d/%s", instance->init, which);
  int length = snprintf(map, sizeof map, "0 %u %u", instance->uid, ID_RANGE);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0 || write(file, map, (size_t)length) != length)
    floor_fail(path);
  close(file);
}

/* A detached copy of the directory's mount in which host id 0 appears as 0 of the user namespace (mount_setattr(2)). */
static int idmapped(int directory, const char *path, int user_namespace) {
  int tree = open_tree(directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH));
  if (tree < 0)
    floor_fail("open_tree");
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID};
  attributes.userns_fd = (unsigned long long)user_namespace;
  if (mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0)
    floor_fail("mount_setattr");
  return tree;
}

static void send_mounts(struct instance *instance) {
  char path[64], byte = 'm', control[CMSG_SPACE(2 * sizeof(int))] = {0};
  snprintf(path, sizeof path, "/proc/%d/ns/user", instance->init);
  int user_namespace = open(path, O_RDONLY | O_CLOEXEC);
  if (user_namespace < 0)
    floor_fail(path);
  int mounts[2] = {idmapped(instance->floor->root_fd, "", user_namespace), idmapped(AT_FDCWD, instance->label, user_namespace)};
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof mounts)};
  memcpy(CMSG_DATA(header), mounts, sizeof mounts);
  if (sendmsg(instance->socket, &message, MSG_NOSIGNAL) != 1)
    floor_fail("sendmsg");
  close(mounts[0]);
  close(mounts[1]);
  close(user_namespace);
}

static void open_ends(struct instance *instance, struct ends *inside) {
  int pair[2], status[2], output[2], input[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || pipe2(status, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0 ||
      pipe2(input, O_CLOEXEC) < 0)
    floor_fail("pipe");
  *inside = (struct ends){.socket = pair[1], .status = status[1], .output = output[1], .input = input[0]};
  instance->socket = pair[0];
  instance->status = status[0];
  instance->output = output[0];
  instance->input = input[1];
}

static void clone_init(struct instance *instance, struct ends inside) {
  struct clone_args arguments = {
      .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID | CLONE_INTO_CGROUP,
      .exit_signal = SIGCHLD,
      .cgroup = (unsigned long long)instance->cgroup,
  };
  instance->init = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
  if (instance->init < 0)
    floor_fail("clone3");
  if (instance->init == 0)
    floor_inside(instance, inside);
  close(inside.socket);
  close(inside.status);
  close(inside.output);
  close(inside.input);
}

void floor_begin(struct instance *instance) {
  struct ends inside;
  char failure[128];
  make_directories(instance);
  floor_cgroups_make(instance);
  open_ends(instance, &inside);
  floor_mark(instance, AT_DIRECTORIES);
  clone_init(instance, inside);
  floor_mark(instance, AT_CLONED);
  write_map(instance, "uid_map");
  write_map(instance, "gid_map");
  floor_cgroups_join(instance);
  floor_mark(instance, AT_MAPPED);
  send_mounts(instance);
  floor_mark(instance, AT_SENT);
  ssize_t n = read(instance->status, failure, sizeof failure - 1);
  if (n > 0) {
    failure[n] = 0;
    fprintf(stderr, "floor: inside: %s\n", failure);
  }
  if (n != 0) {
    floor_cgroups_kill(instance);
    floor_fail("launch");
  }
}

void floor_end(struct instance *instance) {
  floor_cgroups_kill(instance);
  if (waitpid(instance->init, NULL, 0) != instance->init)
    floor_fail("waitpid");
  close(instance->socket);
  close(instance->status);
  close(instance->output);
  close(instance->input);
  floor_cgroups_remove(instance);
  remove_directories(instance);
}
