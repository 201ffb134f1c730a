/* What lies between supervisor and shell: notes with and without a descriptor, words, and what a hostile writer may send instead. */
#include "channel.h"
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_descriptors(void) {
  int count = 0;
  DIR *directory = opendir("/proc/self/fd");
  NEED(directory);
  while (readdir(directory))
    count++;
  closedir(directory);
  return count;
}

static bool same_file(int a, int b) {
  struct stat first, second;
  return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino && first.st_dev == second.st_dev;
}

/* Sends bytes with `count` copies of a descriptor, as the other end would if it were taken over. */
static void send_raw(int socket, const void *data, size_t length, int fd, int count) {
  char control[CMSG_SPACE(8 * sizeof(int))] = {0};
  struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
    for (int i = 0; i < count; i++)
      memcpy(CMSG_DATA(header) + sizeof(int) * (size_t)i, &fd, sizeof fd);
  }
  NEED(sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)length);
}

static void test_open(void) {
  struct channel supervisor, shell;
  int before = open_descriptors();
  NEED(channel_open(&supervisor, &shell) == 0);
  int all[] = {supervisor.notes, supervisor.failures, supervisor.input, supervisor.output, supervisor.errors, shell.notes, shell.failures, shell.input, shell.output, shell.errors};
  for (int i = 0; i < 10; i++)
    CHECK(fcntl(all[i], F_GETFD) == FD_CLOEXEC, "descriptor %d is closed by exec", i);
  char byte = 0;
  CHECK(write(supervisor.input, "i", 1) == 1 && read(shell.input, &byte, 1) == 1 && byte == 'i', "stdin goes in");
  CHECK(write(shell.output, "o", 1) == 1 && read(supervisor.output, &byte, 1) == 1 && byte == 'o', "stdout comes out");
  CHECK(write(shell.errors, "e", 1) == 1 && read(supervisor.errors, &byte, 1) == 1 && byte == 'e', "stderr comes out");
  CHECK(write(shell.failures, "f", 1) == 1 && read(supervisor.failures, &byte, 1) == 1 && byte == 'f', "failures come out");
  channel_close(&supervisor);
  channel_close(&shell);
  channel_close(&shell);
  CHECK(shell.notes == -1 && open_descriptors() == before, "closed, also twice");
}

/* The limit falls into every step of the opening. */
static void test_no_descriptors(void) {
  struct channel supervisor, shell;
  struct rlimit old, few;
  int before = open_descriptors();
  NEED(getrlimit(RLIMIT_NOFILE, &old) == 0);
  int lowest = dup(0);
  NEED(lowest >= 0);
  close(lowest);
  for (int room = 0; room < 10; room++) {
    few = (struct rlimit){(rlim_t)(lowest + room), old.rlim_max};
    NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
    int result = channel_open(&supervisor, &shell), error = errno;
    NEED(setrlimit(RLIMIT_NOFILE, &old) == 0);
    CHECK(result < 0 && error == EMFILE && open_descriptors() == before && supervisor.notes == -1, "room for %d", room);
  }
}

static void test_notes(void) {
  struct channel supervisor, shell;
  struct note note;
  int fd, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  NEED(null >= 0 && channel_open(&supervisor, &shell) == 0);
  CHECK(note_receive(supervisor.notes, &note, &fd, MSG_DONTWAIT) < 0 && errno == EAGAIN && fd == -1, "nothing yet");
  CHECK(note_send(shell.notes, NOTE_PREPARED, -1) == 0 && note_send(shell.notes, NOTE_TERMINAL, null) == 0, "sent");
  CHECK(note_receive(supervisor.notes, &note, &fd, 0) == 1 && note.kind == NOTE_PREPARED && fd == -1, "one without a descriptor");
  CHECK(note_receive(supervisor.notes, &note, &fd, 0) == 1 && note.kind == NOTE_TERMINAL && same_file(fd, null), "one with");
  CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC, "closed by exec");
  close(fd);
  channel_close(&shell);
  CHECK(note_receive(supervisor.notes, &note, &fd, 0) == 0 && fd == -1, "the end");
  CHECK(note_send(supervisor.notes, NOTE_MAIN, -1) < 0 && errno == EPIPE, "nobody there, and no SIGPIPE");
  channel_close(&supervisor);
  close(null);
}

static void test_hostile_notes(void) {
  struct channel supervisor, shell;
  struct note note = {.kind = NOTE_MAIN};
  char large[4096] = {0};
  int fd, null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  NEED(null >= 0 && channel_open(&supervisor, &shell) == 0);
  int before = open_descriptors();
  send_raw(shell.notes, "x", 1, null, 1);
  CHECK(note_receive(supervisor.notes, &note, &fd, 0) < 0 && errno == EPROTO && fd == -1, "too short");
  send_raw(shell.notes, &note, sizeof note, null, 8);
  CHECK(note_receive(supervisor.notes, &note, &fd, 0) == 1 && same_file(fd, null), "eight descriptors: one is taken");
  fd_close(&fd);
  CHECK(open_descriptors() == before, "and none is left open");
  send_raw(shell.notes, large, sizeof large, null, 2);
  int result = note_receive(supervisor.notes, &note, &fd, 0);
  CHECK(result == 1 || (result < 0 && errno == EPROTO), "too long");
  fd_close(&fd);
  CHECK(open_descriptors() == before, "no descriptor of any of them is left open");
  channel_close(&supervisor);
  channel_close(&shell);
  close(null);
}

static void test_words(void) {
  struct channel supervisor, shell;
  int fds[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC), zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  NEED(null >= 0 && zero >= 0 && channel_open(&supervisor, &shell) == 0);
  int both[] = {null, zero};
  CHECK(word_send(supervisor.notes, NULL, 0) == 0 && word_await(shell.notes, fds) == 0, "a word");
  CHECK(word_send(supervisor.notes, both, 2) == 0 && word_await(shell.notes, fds) == 2, "with two descriptors");
  CHECK(same_file(fds[0], null) && same_file(fds[1], zero), "in their order");
  close(fds[0]);
  close(fds[1]);
  channel_close(&supervisor);
  CHECK(word_await(shell.notes, fds) == -1, "the supervisor is gone");
  channel_close(&shell);
  close(null);
  close(zero);
}

int main(void) {
  int before = open_descriptors();
  test_open();
  test_no_descriptors();
  test_notes();
  test_hostile_notes();
  test_words();
  CHECK(open_descriptors() == before, "no descriptor is left");
  return check_end("channel");
}
