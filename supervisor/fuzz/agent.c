/* The file agent: its requests, and the paths in them. It serves a directory with links that lead out of it; beside that lies another one,
 * which no request may change or name. Both are in a tmpfs that is mounted nowhere and is this process's root, so that an agent that is led
 * astray finds nothing of the host; corpus and findings are named from the working directory, which lies outside. */
#include "fuzz.h"
#include "../agent.h"
#include "../channel.h"
#include "../remove.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INPUT_LIMIT 65536   /* fits a socket's buffer whole */
#define ANSWERS_LIMIT (1u << 20)

#define FDS 64 /* that libFuzzer may have open */

static int top = -1, working_directory = -1;
static int agent_socket = -1;
static struct frame answers;
static struct agent agent;
static struct stat outside[2];

ssize_t __wrap_send(int socket, const void *bytes, size_t length, int flags);
ssize_t __real_send(int socket, const void *bytes, size_t length, int flags);
ssize_t __wrap_send(int socket, const void *bytes, size_t length, int flags) {
  if (!fuzz_running || socket != agent_socket)
    return __real_send(socket, bytes, length, flags);
  if (answers.length + length > ANSWERS_LIMIT) /* the asker has seen enough */
    return -1;
  frame_raw(&answers, bytes, length);
  return (ssize_t)length;
}

static void write_file(int directory, const char *name, const char *text) {
  int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  HOLDS(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void look_outside(struct stat found[2]) {
  HOLDS(fstatat(top, "outside", &found[0], 0) == 0 && fstatat(top, "outside/secret", &found[1], 0) == 0);
}

int LLVMFuzzerInitialize(int *count, char ***arguments) {
  (void)count, (void)arguments;
  int filesystem = fsopen("tmpfs", FSOPEN_CLOEXEC);
  HOLDS(filesystem >= 0 && fsconfig(filesystem, FSCONFIG_SET_STRING, "size", "64m", 0) == 0);
  HOLDS(fsconfig(filesystem, FSCONFIG_SET_STRING, "nr_inodes", "20000", 0) == 0 && fsconfig(filesystem, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0);
  top = fsmount(filesystem, FSMOUNT_CLOEXEC, 0);
  HOLDS(top >= 0 && close(filesystem) == 0 && mkdirat(top, "outside", 0755) == 0);
  int directory = openat(top, "outside", O_PATH | O_CLOEXEC);
  write_file(directory, "secret", "nobody inside reads this");
  close(directory);
  look_outside(outside);
  umask(0);
  working_directory = open(".", O_PATH | O_CLOEXEC);
  HOLDS(working_directory >= 0 && fchdir(top) == 0 && chroot(".") == 0 && fchdir(working_directory) == 0);
  return 0;
}

/* The descriptors that are open; with `before` all others are closed. */
static void mark_fds(bool open_now[FDS], const bool *before) {
  for (int fd = 0; fd < FDS; fd++) {
    open_now[fd] = fcntl(fd, F_GETFD) >= 0;
    if (before && open_now[fd] && !before[fd])
      close(fd);
  }
  if (before)
    HOLDS(close_range(FDS, ~0u, 0) == 0);
}

static int fill(void) {
  HOLDS(mkdirat(top, "inside", 0755) == 0);
  int root = openat(top, "inside", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  HOLDS(root >= 0 && mkdirat(root, "d", 0755) == 0 && mkdirat(root, "d/e", 0700) == 0);
  write_file(root, "a", "hello");
  write_file(root, "d/b", "");
  HOLDS(linkat(root, "a", root, "d/h", 0) == 0 && mkfifoat(root, "f", 0600) == 0);
  HOLDS(symlinkat("a", root, "l") == 0 && symlinkat("d", root, "m") == 0 && symlinkat("../outside", root, "u") == 0);
  HOLDS(symlinkat("/outside/secret", root, "v") == 0 && symlinkat("../../../../outside/secret", root, "d/w") == 0 && symlinkat("o", root, "o") == 0);
  int sparse = openat(root, "s", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  HOLDS(sparse >= 0 && pwrite(sparse, "x", 1, 1 << 20) == 1 && ftruncate(sparse, 3 << 20) == 0 && close(sparse) == 0);
  return root;
}

/* Replies are of the protocol's form, belong to the request, and name nothing of outside. The last may be cut off. */
static void check_answers(void) {
  struct wire_header header;
  for (size_t at = 0; answers.length - at >= sizeof header; at += sizeof header + header.length) {
    struct fields fields;
    memcpy(&header, answers.data + at, sizeof header);
    HOLDS(header.version == WIRE_VERSION && header.length <= WIRE_BODY_LIMIT);
    if (header.length > answers.length - at - sizeof header)
      return;
    HOLDS(fields_open(&fields, answers.data + at + sizeof header, header.length));
    uint64_t inode = fields_number(&fields, "inode", 0);
    HOLDS(header.type != ENTRY || (inode != outside[0].st_ino && inode != outside[1].st_ino));
  }
}

static void check_outside(void) {
  struct stat found[2];
  look_outside(found);
  for (int i = 0; i < 2; i++) {
    found[i].st_atim = outside[i].st_atim;
    HOLDS(memcmp(&found[i], &outside[i], sizeof found[i]) == 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct frame sent = {0};
  struct removed removed;
  int ends[2];
  bool before[FDS], after[FDS];
  if (size > INPUT_LIMIT / 4)
    return -1;
  fuzz_messages(&sent, data, size);
  if (sent.length > INPUT_LIMIT) {
    frame_free(&sent);
    return -1;
  }
  mark_fds(before, NULL);
  HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  HOLDS(sent.length == 0 || __real_send(ends[0], sent.data, sent.length, 0) == (ssize_t)sent.length);
  HOLDS(shutdown(ends[0], SHUT_WR) == 0);
  frame_free(&sent);
  answers.length = 0;
  agent = (struct agent){.socket = agent_socket = ends[1], .root = fill()};
  if (setjmp(fuzz_end) == 0) {
    fuzz_running = true;
    agent_serve(&agent);
  }
  check_answers();
  check_outside();
  free(agent.in);
  mark_fds(after, before);
  HOLDS(fchdir(working_directory) == 0);
  HOLDS(remove_tree(top, "inside", &removed) == 0);
  return 0;
}
