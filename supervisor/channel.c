#include "channel.h"
#include "mutants.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS_LIMIT 2
#define SIGNAL_LAST 64
#define FIGURE_LIMIT UINT64_C(999999999999999) /* of a last word: 31 years, or a petabyte */

union fds_space {
  struct cmsghdr align;
  char space[CMSG_SPACE(FDS_LIMIT * sizeof(int))];
};

void fd_close(int *fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

void fd_discard(int *fd) {
  struct linger none = {.l_onoff = 1}; /* and no time: what is left to be sent is dropped */
  if (*fd >= 0)
    setsockopt(*fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  fd_close(fd);
}

void channel_close(struct channel *side) {
  fd_close(&side->notes);
  fd_close(&side->failures);
  fd_close(&side->last);
  fd_close(&side->input);
  fd_close(&side->output);
  fd_close(&side->errors);
}

/* Of stdio. A pipe has one direction, and whoever holds an end cannot send descriptors by it, nor shut the other end. */
static int open_stream(int ends[2]) {
  return mutant("stdio-sockets") ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : pipe2(ends, O_CLOEXEC);
}

int channel_open(struct channel *supervisor, struct channel *shell) {
  int notes[2] = {-1, -1}, failures[2] = {-1, -1}, last[2] = {-1, -1}, input[2] = {-1, -1}, output[2] = {-1, -1}, errors[2] = {-1, -1};
  bool opened = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, notes) == 0 && pipe2(failures, O_CLOEXEC | O_NONBLOCK) == 0 &&
                pipe2(last, O_CLOEXEC | O_NONBLOCK) == 0 && open_stream(input) == 0 && open_stream(output) == 0 && open_stream(errors) == 0;
  *supervisor = (struct channel){.notes = notes[0], .failures = failures[0], .last = last[0], .input = input[1], .output = output[0], .errors = errors[0]};
  *shell = (struct channel){.notes = notes[1], .failures = failures[1], .last = last[1], .input = input[0], .output = output[1], .errors = errors[1]};
  if (opened)
    return 0;
  int error = errno;
  channel_close(supervisor);
  channel_close(shell);
  errno = error;
  return -1;
}

int channel_give(const struct channel *side, uid_t uid, gid_t gid) {
  const int streams[] = {side->input, side->output, side->errors};
  for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
    if (streams[i] >= 0 && fchown(streams[i], uid, gid) < 0)
      return -1;
  return 0;
}

static int send_with(int socket, void *data, size_t length, const int *fds, int count) {
  struct iovec part = {.iov_base = data, .iov_len = length};
  union fds_space control = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control.space;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * (size_t)count);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* The kernel closes what does not fit into the space, so no more than FDS_LIMIT descriptors ever come. Answers more than `length` for a longer packet. */
static ssize_t receive_with(int socket, void *data, size_t length, int fds[FDS_LIMIT], int *count, int flags) {
  struct iovec part = {.iov_base = data, .iov_len = length};
  union fds_space control;
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
  ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
  if (received >= 0 && (message.msg_flags & MSG_TRUNC))
    received = (ssize_t)length + 1;
  struct cmsghdr *header = received < 0 ? NULL : CMSG_FIRSTHDR(&message);
  *count = 0;
  if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    *count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    memcpy(fds, CMSG_DATA(header), sizeof(int) * (size_t)*count);
  }
  return received;
}

int note_send(int notes, enum note_kind kind, int fd) {
  struct note note = {.kind = kind};
  return send_with(notes, &note, sizeof note, &fd, fd >= 0);
}

int note_receive(int notes, struct note *note, int *fd, int flags) {
  int fds[FDS_LIMIT] = {-1, -1}, count;
  ssize_t received = receive_with(notes, note, sizeof *note, fds, &count, flags);
  *fd = fds[0];
  int error = received > 0 ? EPROTO : errno;
  fd_discard(&fds[1]);
  if (received == (ssize_t)sizeof *note)
    return 1;
  fd_discard(fd);
  errno = error;
  return received == 0 ? 0 : -1;
}

void notes_close(int *notes) {
  struct note note;
  int fd;
  if (*notes >= 0 && shutdown(*notes, SHUT_RD) == 0) /* nothing is added from here on */
    while (note_receive(*notes, &note, &fd, MSG_DONTWAIT) == 1 || errno == EPROTO)
      fd_discard(&fd), errno = 0;
  fd_close(notes);
}

/* All or nothing: a write of less than a page is not divided (pipe(7)). */
static int receive_whole(int pipe, void *data, size_t length) {
  ssize_t received = read(pipe, data, length);
  if (received == (ssize_t)length)
    return 1;
  if (received > 0)
    errno = EPROTO;
  return received == 0 ? 0 : -1;
}

int failure_receive(int failures, struct failure *failure) {
  int received = receive_whole(failures, failure, sizeof *failure);
  failure->message[sizeof failure->message - 1] = 0;
  failure->guest = failure->guest != 0;
  return received;
}

static uint64_t believed(uint64_t figure) {
  return figure < FIGURE_LIMIT ? figure : FIGURE_LIMIT;
}

int last_word_receive(int last, struct last_word *word) {
  int received = receive_whole(last, word, sizeof *word);
  if (received != 1)
    return received;
  if (!WIFEXITED(word->status) && !(WIFSIGNALED(word->status) && WTERMSIG(word->status) <= SIGNAL_LAST)) {
    errno = EPROTO;
    return -1;
  }
  word->user_us = believed(word->user_us);
  word->system_us = believed(word->system_us);
  word->max_rss_bytes = believed(word->max_rss_bytes);
  return 1;
}

int word_send(int notes, const int *fds, int count) {
  char word = 1;
  return send_with(notes, &word, 1, fds, count);
}

int word_await(int notes, int fds[2]) {
  char word;
  int count;
  return receive_with(notes, &word, 1, fds, &count, 0) == 1 ? count : -1;
}
