/* The asker's end of the file agent, for the test programs: the agent runs in a child whose root is the tests' folder. Included once in each program. */
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include "../agent.h"
#include "check.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/unshared-agent-XXXXXX";
static int top; /* the folder */

static int asker = -1;
static pid_t agent_pid;
/* The last answer. */
static struct wire_header answered;
static struct fields answer_fields;
static char *answer_body;

static inline bool get_fully(void *to, size_t length) {
  for (size_t at = 0; at < length;) {
    ssize_t n = read(asker, (char *)to + at, length - at);
    if (n <= 0)
      return false;
    at += (size_t)n;
  }
  return true;
}

/* The next frame's type; 0 when the connection has ended. */
static inline enum message answer(void) {
  free(answer_body);
  answer_body = NULL;
  if (!get_fully(&answered, sizeof answered))
    return 0;
  NEED(answered.length <= WIRE_BODY_LIMIT && (answer_body = malloc(answered.length + 1)));
  NEED(get_fully(answer_body, answered.length) && fields_open(&answer_fields, answer_body, answered.length));
  return answered.type;
}

static inline const char *field(const char *key) {
  const char *value = fields_get(&answer_fields, key);
  return value ? value : "";
}

static inline int error_number(void) {
  return answered.type == ERROR ? atoi(field("errno")) : 0;
}

static inline void put_frame(struct frame *frame) {
  frame_end(frame);
  NEED(send(asker, frame->data, frame->length, MSG_NOSIGNAL) == (ssize_t)frame->length);
  frame_free(frame);
}

/* A frame of key, value, ... NULL. */
static inline void tell(enum message type, ...) {
  struct frame frame;
  va_list list;
  va_start(list, type);
  frame_begin(&frame, type, 7);
  for (const char *key; (key = va_arg(list, const char *));)
    frame_put(&frame, key, "%s", va_arg(list, const char *));
  va_end(list);
  put_frame(&frame);
}
#define ASK(type, ...) (tell(type, __VA_ARGS__, (char *)NULL), answer())

static inline void tell_data(const char *bytes, size_t length) {
  struct frame frame;
  frame_begin(&frame, DATA, 7);
  frame_payload(&frame, bytes, length);
  put_frame(&frame);
}

/* Starts an agent. `mount_on`: a directory of the folder that has something mounted on it, for this agent alone; or NULL. */
static inline void agent_start(const char *mount_on) {
  int ends[2];
  NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  fflush(NULL);
  agent_pid = fork();
  NEED(agent_pid >= 0);
  if (agent_pid == 0) {
    struct rlimit descriptors = {2048, 2048};
    NEED(setrlimit(RLIMIT_NOFILE, &descriptors) == 0 && unshare(CLONE_NEWNS) == 0);
    NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && chdir(folder) == 0);
    NEED(!mount_on || mount("none", mount_on, "tmpfs", 0, NULL) == 0);
    NEED(chroot(".") == 0 && chdir("/") == 0);
    close(ends[0]);
    agent_run(ends[1], 7, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  close(ends[1]);
  asker = ends[0];
  NEED(answer() == DONE);
}

/* Closes the connection. The agent has to end by itself, and soundly. */
static inline void agent_stop(void) {
  int status;
  fd_close(&asker);
  NEED(waitpid(agent_pid, &status, 0) == agent_pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the agent ended with %#x", status);
}

static inline void put_file(const char *name, const char *text) {
  int fd = openat(top, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  NEED(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
  close(fd);
}

static inline void put_directory(const char *name) {
  NEED(mkdirat(top, name, 0755) == 0);
}

static inline bool there(const char *name) {
  return faccessat(top, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline bool holds(const char *name, const char *text) {
  char bytes[256] = "";
  int fd = openat(top, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes - 1);
  fd_close(&fd);
  return n >= 0 && strcmp(bytes, text) == 0;
}

#endif
