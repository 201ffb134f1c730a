/* What lies between supervisor and shell: notes with and without a descriptor, words, and what a hostile writer may send instead. */
#include "channel.h"
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
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
  int all[] = {supervisor.notes, supervisor.failures, supervisor.last, supervisor.input, supervisor.output, supervisor.errors,
               shell.notes, shell.failures, shell.last, shell.input, shell.output, shell.errors};
  for (int i = 0; i < 12; i++)
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
  for (int room = 0; room < 12; room++) {
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
  CHECK(note_receive(supervisor.notes, &note, &fd, 0) < 0 && errno == EPROTO && fd == -1, "too long");
  CHECK(open_descriptors() == before, "no descriptor of any of them is left open");
  channel_close(&supervisor);
  channel_close(&shell);
  close(null);
}

/* A connection whose other end reads nothing, with more to send than it takes; its close waits for that as long as `seconds`. */
static int lingering(int seconds, int *listener) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  struct linger linger = {.l_onoff = 1, .l_linger = seconds};
  static char bytes[1 << 20];
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  NEED(*listener >= 0 && fd >= 0 && bind(*listener, (struct sockaddr *)&address, size) == 0 && listen(*listener, 1) == 0);
  NEED(getsockname(*listener, (struct sockaddr *)&address, &size) == 0);
  NEED(connect(fd, (struct sockaddr *)&address, size) == 0 || errno == EINPROGRESS);
  while (send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0)
    ;
  NEED(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
  return fd;
}

/* What comes uninvited is closed without delay, though nobody else has it any more. */
static void test_lingering_descriptors(void) {
  struct channel supervisor, shell;
  struct note note = {.kind = NOTE_MAIN};
  struct timespec begun, ended;
  int fd, listener, before = open_descriptors();
  clock_gettime(CLOCK_MONOTONIC, &begun);
  for (int way = 0; way < 3; way++) {
    NEED(channel_open(&supervisor, &shell) == 0);
    int socket = lingering(30, &listener);
    send_raw(shell.notes, &note, way == 1 ? 1 : sizeof note, socket, 2);
    close(socket);
    if (way == 0) {
      CHECK(note_receive(supervisor.notes, &note, &fd, 0) == 1 && fd >= 0, "one is taken");
      fd_discard(&fd);
    } else if (way == 1) {
      CHECK(note_receive(supervisor.notes, &note, &fd, 0) < 0 && fd == -1, "none is taken");
    }
    notes_close(&supervisor.notes); /* with what lies unread in it */
    channel_close(&supervisor);
    channel_close(&shell);
    close(listener);
  }
  clock_gettime(CLOCK_MONOTONIC, &ended);
  CHECK(ended.tv_sec - begun.tv_sec < 20, "closed at once, %ld s", (long)(ended.tv_sec - begun.tv_sec));
  CHECK(open_descriptors() == before, "and nothing is left open");
}

static void test_failures(void) {
  struct channel supervisor, shell;
  struct failure failure = {.layer = LAYER_COMMAND, .error = ENOENT, .guest = 7}, received;
  NEED(channel_open(&supervisor, &shell) == 0);
  memset(failure.message, 'x', sizeof failure.message);
  CHECK(failure_receive(supervisor.failures, &received) < 0 && errno == EAGAIN, "nothing yet, and it does not wait");
  NEED(write(shell.failures, &failure, sizeof failure) == (ssize_t)sizeof failure && write(shell.failures, "x", 1) == 1);
  CHECK(failure_receive(supervisor.failures, &received) == 1 && received.error == ENOENT, "a failure");
  CHECK(received.guest == 1 && strlen(received.message) == sizeof received.message - 1, "in form");
  CHECK(failure_receive(supervisor.failures, &received) < 0 && errno == EPROTO, "less than one");
  channel_close(&shell);
  CHECK(failure_receive(supervisor.failures, &received) == 0, "the end");
  channel_close(&supervisor);
}

static void test_last_words(void) {
  struct channel supervisor, shell;
  struct last_word word, said = {.status = 7 << 8, .user_us = UINT64_MAX, .system_us = 5, .max_rss_bytes = UINT64_MAX};
  NEED(channel_open(&supervisor, &shell) == 0);
  CHECK(last_word_receive(supervisor.last, &word) < 0 && errno == EAGAIN, "nothing yet, and it does not wait");
  NEED(write(shell.last, &said, sizeof said) == (ssize_t)sizeof said);
  CHECK(last_word_receive(supervisor.last, &word) == 1 && WEXITSTATUS(word.status) == 7, "a status");
  CHECK(word.system_us == 5 && word.user_us == 999999999999999 && word.max_rss_bytes == word.user_us, "figures of 15 digits at most");
  static const int impossible[] = {0x7f, 0xffff, 65, 126};
  for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
    said.status = impossible[i];
    NEED(write(shell.last, &said, sizeof said) == (ssize_t)sizeof said);
    CHECK(last_word_receive(supervisor.last, &word) < 0 && errno == EPROTO, "no end: %x", (unsigned)impossible[i]);
  }
  said.status = SIGKILL;
  NEED(write(shell.last, &said, sizeof said) == (ssize_t)sizeof said && write(shell.last, "x", 1) == 1);
  CHECK(last_word_receive(supervisor.last, &word) == 1 && WTERMSIG(word.status) == SIGKILL, "a signal");
  CHECK(last_word_receive(supervisor.last, &word) < 0 && errno == EPROTO, "less than one");
  channel_close(&shell);
  CHECK(last_word_receive(supervisor.last, &word) == 0, "the end");
  channel_close(&supervisor);
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
  test_failures();
  test_last_words();
  test_lingering_descriptors();
  CHECK(open_descriptors() == before, "no descriptor is left");
  return check_end("channel");
}
