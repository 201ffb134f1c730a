/* The log of a sandbox's output on disk: what is kept and for how long, by reading the segments back, also where the disk is full, files
 * may not grow, or something else lies in its place. */
#include "output-log.h"
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/unshared-output-log-XXXXXX";
static int parent;
static struct output_log log_of; /* too large for a stack */

/* What record `number` holds follows from its number. */
static char byte_of(uint64_t number, size_t at) {
  return (char)(number * 31 + at * 7 + (at >> 8));
}

static void add(uint64_t number, size_t length) {
  char *place = output_log_place(&log_of, "main");
  for (size_t i = 0; i < length; i++)
    place[i] = byte_of(number, i);
  output_log_add(&log_of, 1 + number % 2, "main", number * 10, number, length);
}

static void begin(uint64_t limit) {
  output_log_init(&log_of, parent, "box", limit);
}

/* ---- the log as a reader sees it ---- */

struct seen {
  unsigned segments, records, gaps; /* gaps: between record numbers */
  uint64_t first_segment, last_segment, first, last, bytes, largest, data;
  bool right, torn; /* torn: something after the last whole record of a segment */
};

static void see_segment(struct seen *seen, int directory, const char *name) {
  static char content[1 << 20];
  struct stat status;
  int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  NEED(fd >= 0 && fstat(fd, &status) == 0 && status.st_size <= (off_t)sizeof content);
  NEED(read(fd, content, sizeof content) == status.st_size);
  close(fd);
  seen->right &= (status.st_mode & 07777) == 0600;
  seen->bytes += (uint64_t)status.st_size;
  seen->largest = (uint64_t)status.st_size > seen->largest ? (uint64_t)status.st_size : seen->largest;
  size_t at = 0;
  for (struct log_header header; at + sizeof header <= (size_t)status.st_size; at += sizeof header + header.length) {
    memcpy(&header, content + at, sizeof header);
    if (at + sizeof header + header.length > (size_t)status.st_size)
      break;
    const char *data = content + at + sizeof header;
    seen->right &= header.name_length == 4 && memcmp(data, "main", 4) == 0 && header.zero == 0;
    seen->right &= header.kind == 1 + header.number % 2 && header.time_us == header.number * 10;
    for (size_t i = 4; i < header.length; i++)
      seen->right &= data[i] == byte_of(header.number, i - 4);
    seen->gaps += seen->records > 0 && header.number != seen->last + 1;
    seen->right &= seen->records == 0 || header.number > seen->last;
    seen->first = seen->records == 0 ? header.number : seen->first;
    seen->last = header.number;
    seen->data += header.length - 4;
    seen->records++;
  }
  seen->torn |= at != (size_t)status.st_size;
}

static int is_segment(const struct dirent *entry) {
  return strlen(entry->d_name) == 10 && strspn(entry->d_name, "0123456789") == 10 && entry->d_type == DT_REG;
}

static struct seen look(void) {
  struct seen seen = {.right = true};
  struct dirent **entries;
  int directory = openat(parent, "box/log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int count = directory < 0 ? 0 : scandirat(directory, ".", &entries, is_segment, alphasort);
  NEED(count >= 0);
  for (int i = 0; i < count; i++) {
    uint64_t number = strtoull(entries[i]->d_name, NULL, 10);
    seen.first_segment = i == 0 ? number : seen.first_segment;
    seen.last_segment = number;
    see_segment(&seen, directory, entries[i]->d_name);
    free(entries[i]);
  }
  seen.segments = (unsigned)count;
  if (directory >= 0) {
    free(entries);
    close(directory);
  }
  return seen;
}

static void clear(void) {
  char command[sizeof folder + 32];
  output_log_close(&log_of);
  snprintf(command, sizeof command, "rm -rf %s/*", folder);
  NEED(system(command) == 0);
}

static void put(const char *name, const char *content) {
  char path[64];
  snprintf(path, sizeof path, "box/log/%s", name);
  int fd = openat(parent, path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  NEED(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
  close(fd);
}

static void make_log(void) {
  NEED(mkdirat(parent, "box", 0700) == 0 && mkdirat(parent, "box/log", 0700) == 0);
}

/* ---- what is kept ---- */

static void test_nothing(void) {
  begin(65536);
  output_log_place(&log_of, "main");
  output_log_flush(&log_of);
  output_log_close(&log_of);
  CHECK(faccessat(parent, "box", F_OK, 0) < 0, "no record, no file");
  begin(0);
  add(1, 100);
  CHECK(!output_log_waits(&log_of), "without a limit nothing is kept");
  output_log_flush(&log_of);
  CHECK(faccessat(parent, "box", F_OK, 0) < 0 && log_of.lost_records == 0, "nor lost");
}

static void test_form(void) {
  static const char expected[] = "\x0c\0\0\0\x03\x02\0\0\x08\x07\x06\x05\x04\x03\x02\x01\x18\x17\x16\x15\x14\x13\x12\x11p1exited 0 -";
  char content[100];
  struct stat status;
  begin(65536);
  memcpy(output_log_place(&log_of, "p1"), "exited 0 -", 10);
  output_log_add(&log_of, LOG_EXIT, "p1", UINT64_C(0x0102030405060708), UINT64_C(0x1112131415161718), 10);
  CHECK(output_log_waits(&log_of) && faccessat(parent, "box", F_OK, 0) < 0, "it waits");
  CHECK(!output_log_due(&log_of, log_of.waiting_since_us) && output_log_due(&log_of, log_of.waiting_since_us + 20000), "for 20 ms at most");
  output_log_flush(&log_of);
  CHECK(!output_log_waits(&log_of) && !output_log_due(&log_of, UINT64_MAX), "and waits no more");
  int fd = openat(parent, "box/log/0000000001", O_RDONLY | O_CLOEXEC);
  NEED(fd >= 0);
  ssize_t length = read(fd, content, sizeof content);
  close(fd);
  CHECK(length == 24 + 12 && memcmp(content, expected, 24 + 12) == 0, "%zd bytes", length);
  NEED(fstatat(parent, "box/log", &status, 0) == 0);
  CHECK((status.st_mode & 07777) == 0700, "mode %o", status.st_mode);
  clear();
}

/* The newest are kept, all of them in a row, within the bound and not far below it, at every moment that a reader could look. */
static void test_bound(uint64_t limit, size_t longest, unsigned flush_every) {
  uint64_t segment = limit / 8 > LOG_SEGMENT_LEAST ? limit / 8 : LOG_SEGMENT_LEAST, written = 0;
  begin(limit);
  CHECK(longest <= output_log_part(&log_of), "records of %zu are allowed", longest);
  for (uint64_t number = 1; number <= 3000; number++) {
    size_t length = (number * 7919) % (longest + 1);
    add(number, length);
    written += length + 28;
    if (number % flush_every)
      continue;
    output_log_flush(&log_of);
    if (number % (37 * flush_every) && number < 2900)
      continue;
    struct seen seen = look();
    CHECK(seen.right && !seen.torn && seen.gaps == 0 && seen.last == number, "record %llu", (unsigned long long)number);
    CHECK(seen.bytes <= limit && seen.bytes == log_of.total && seen.largest <= segment, "%llu bytes in all", (unsigned long long)seen.bytes);
    CHECK(seen.bytes + 2 * (segment + longest + 28) > (written < limit ? written : limit), "only %llu bytes", (unsigned long long)seen.bytes);
    CHECK(seen.segments <= LOG_SEGMENTS && seen.segments == log_of.count && seen.last_segment - seen.first_segment + 1 == seen.segments, "%u segments", seen.segments);
  }
  CHECK(log_of.lost_records == 0, "%llu lost", (unsigned long long)log_of.lost_records);
  clear();
}

static void test_batch(void) {
  begin(1 << 20);
  for (uint64_t number = 1; number <= 20; number++)
    add(number, LOG_DATA_LIMIT);
  struct seen seen = look();
  CHECK(seen.right && !seen.torn && seen.first == 1 + seen.last - seen.records && seen.last >= 16, "what cannot wait is written: up to %llu", (unsigned long long)seen.last);
  output_log_close(&log_of);
  seen = look();
  CHECK(seen.right && seen.gaps == 0 && seen.last == 20 && seen.bytes <= 1 << 20, "and the rest at the end");
  clear();
}

static void test_large_records(void) {
  begin(70000); /* its segments are smaller than one record */
  for (uint64_t number = 1; number <= 9; number++)
    add(number, 60000);
  output_log_flush(&log_of);
  struct seen seen = look();
  CHECK(seen.right && seen.segments == 1 && seen.records == 1 && seen.last == 9, "a segment holds one record at least");
  begin(4096);
  add(1, 5000);
  output_log_flush(&log_of);
  CHECK(log_of.lost_records == 1 && log_of.lost_bytes == 5000, "one that is larger than the whole log is lost");
  clear();
}

/* ---- runs ---- */

static void test_restart(void) {
  begin(40000);
  for (uint64_t number = 1; number <= 40; number++)
    add(number, 1000);
  output_log_close(&log_of);
  struct seen before = look();
  begin(40000);
  for (uint64_t number = before.last + 1; number <= 45; number++)
    add(number, 1000);
  output_log_flush(&log_of);
  struct seen after = look();
  CHECK(after.right && after.gaps == 0 && after.last_segment == before.last_segment + 2, "a new run begins segment %llu", (unsigned long long)after.last_segment);
  CHECK(after.bytes <= 40000 && after.bytes == log_of.total && after.first > before.first, "what was there counts: %llu", (unsigned long long)after.bytes);
  output_log_close(&log_of);
  begin(10000);
  add(after.last + 1, 1000);
  output_log_flush(&log_of);
  after = look();
  CHECK(after.right && after.bytes <= 10000 && after.bytes == log_of.total && after.last == 46, "a smaller bound than before: %llu", (unsigned long long)after.bytes);
  clear();
}

static void test_names(void) {
  make_log();
  put("0000000041", "torn");
  put("notes", "x");
  put("99", "x");
  put("00000000099", "x");
  put("000000004x", "x");
  begin(65536);
  add(1, 100);
  output_log_flush(&log_of);
  struct seen seen = look();
  CHECK(seen.right && seen.torn && seen.records == 1 && seen.last_segment == 42, "after what a killed one has left, segment %llu", (unsigned long long)seen.last_segment);
  CHECK(faccessat(parent, "box/log/notes", F_OK, 0) == 0 && faccessat(parent, "box/log/99", F_OK, 0) == 0, "other names are nobody's business");
  put("9999999999", "");
  output_log_close(&log_of);
  begin(65536);
  add(1, 100);
  output_log_flush(&log_of);
  CHECK(log_of.lost_records == 1, "no number is left");
  clear();
}

static void test_many_segments(void) {
  char name[24];
  make_log();
  for (unsigned i = 0; i < 300; i++) {
    snprintf(name, sizeof name, "%010u", 2 * ((i * 7919) % 300) + 2);
    put(name, "");
  }
  begin(1 << 20);
  add(1, 10);
  output_log_flush(&log_of);
  struct seen seen = look();
  CHECK(seen.segments == LOG_SEGMENTS && seen.last_segment == 601 && seen.first_segment == 600 - 2 * 254, "%u from %llu", seen.segments, (unsigned long long)seen.first_segment);
  clear();
  for (uint64_t number = 1; number <= 270; number++) {
    begin(1 << 20);
    add(number, 10);
    output_log_close(&log_of);
  }
  seen = look();
  CHECK(seen.right && seen.segments == LOG_SEGMENTS && seen.gaps == 0 && seen.last == 270, "short runs: %u", seen.segments);
  clear();
}

/* ---- what lies in the way ---- */

static void test_links(void) {
  NEED(mkdirat(parent, "outside", 0700) == 0 && mkdirat(parent, "box", 0700) == 0 && symlinkat("../outside", parent, "box/log") == 0);
  begin(65536);
  add(1, 100);
  output_log_flush(&log_of);
  CHECK(log_of.lost_records == 1 && unlinkat(parent, "outside", AT_REMOVEDIR) == 0, "a link in the log's place is not followed");
  NEED(unlinkat(parent, "box/log", 0) == 0);
  add(2, 100);
  output_log_flush(&log_of);
  CHECK(look().records == 1 && log_of.lost_records == 1, "once it is gone, all goes on");
  clear();
  NEED(mkdirat(parent, "outside", 0700) == 0 && symlinkat("outside", parent, "box") == 0);
  begin(65536);
  add(1, 100);
  output_log_flush(&log_of);
  CHECK(log_of.lost_records == 1 && unlinkat(parent, "outside", AT_REMOVEDIR) == 0, "nor one in the sandbox's");
  clear();
  make_log();
  NEED(symlinkat("../../outside", parent, "box/log/0000000001") == 0 && mkdirat(parent, "box/log/0000000002", 0700) == 0);
  begin(65536);
  add(1, 100);
  output_log_flush(&log_of);
  CHECK(look().last_segment == 3 && faccessat(parent, "outside", F_OK, 0) < 0, "a segment's name that is taken is passed over");
  clear();
}

/* Runs `test` in a child, with its standard error in a pipe, and answers how many lines it has said there. */
static int lines_of(int (*test)(void)) {
  int pipe_of[2], status, lines = 0;
  char byte;
  fflush(NULL);
  NEED(pipe(pipe_of) == 0);
  pid_t child = fork();
  NEED(child >= 0);
  if (child == 0) {
    int own = dup(2);
    dup2(pipe_of[1], 2);
    close(pipe_of[0]);
    close(pipe_of[1]);
    int failed = test();
    dup2(own, 2);
    _exit(failed);
  }
  close(pipe_of[1]);
  while (read(pipe_of[0], &byte, 1) == 1)
    lines += byte == '\n';
  close(pipe_of[0]);
  NEED(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "check %d of the child fails", WEXITSTATUS(status));
  return lines;
}

static int full_disk(void) {
  NEED(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
  NEED(mount("none", folder, "tmpfs", 0, "size=64k") == 0);
  close(parent);
  NEED((parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0);
  begin(1 << 20);
  for (uint64_t number = 1; number <= 200; number++) {
    add(number, 1000);
    if (number % 3 == 0) /* several in one write, of which some fit */
      output_log_flush(&log_of);
  }
  output_log_flush(&log_of);
  struct seen seen = look();
  if (!seen.right || seen.torn || seen.gaps || seen.first != 1 || seen.last < 40 || seen.last > 64)
    return 1;
  if (log_of.lost_records != 200 - seen.records || log_of.lost_bytes != 1000 * log_of.lost_records || log_of.total != seen.bytes)
    return 2;
  NEED(mount("none", folder, "tmpfs", MS_REMOUNT, "size=1m") == 0);
  add(201, 1000);
  output_log_flush(&log_of);
  struct seen after = look();
  if (!after.right || after.torn || after.gaps != 1 || after.last != 201 || after.records != seen.records + 1)
    return 3;
  return 0;
}

static int limited_files(void) {
  struct rlimit limit = {5000, RLIM_INFINITY};
  signal(SIGXFSZ, SIG_IGN);
  begin(1 << 20);
  NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  for (uint64_t number = 1; number <= 20; number++)
    add(number, 1000);
  output_log_flush(&log_of);
  struct seen seen = look();
  if (!seen.right || seen.torn || seen.records != 4 || seen.last != 4 || log_of.lost_records != 16)
    return 1;
  limit.rlim_cur = RLIM_INFINITY;
  NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  add(21, 1000);
  output_log_flush(&log_of);
  seen = look();
  return !seen.right || seen.torn || seen.records != 5 || seen.last != 21 ? 2 : 0;
}

int main(void) {
  NEED(mkdtemp(folder));
  parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  NEED(parent >= 0);
  umask(022);
  test_nothing();
  test_form();
  test_bound(4096, 1000, 1);
  test_bound(40000, 4000, 3);
  test_bound(300000, 20000, 7);
  test_batch();
  test_large_records();
  test_restart();
  test_names();
  test_many_segments();
  test_links();
  CHECK(lines_of(full_disk) == 1, "one line is said of a full disk");
  CHECK(lines_of(limited_files) == 1, "and of files that may not grow");
  clear();
  close(parent);
  CHECK(rmdir(folder) == 0, "nothing is left: %s", strerror(errno));
  return check_end("output-log");
}
