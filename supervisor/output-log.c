/* Records are collected while the supervisor has other work, and written together when it has none. Of a process that writes faster than a disk
 * could follow, only what is still held after a moment is written: the rest would be removed at once (process-output.c, process_catch_up).
 *
 * Segments are only ever added at one end and removed at the other; a record is there as a whole, or the segment ends before it. A run
 * begins a segment of its own, so that what a killed supervisor has left unfinished is the end of a segment too. */
#include "output-log.h"
#include "failure.h"
#include "loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENTS_WANTED 8 /* how finely the bound is kept: so much of it may go at once */
#define PARTS_WANTED 4
#define WAIT_US 20000 /* a supervisor that always has work writes all the same */
#define WINDOW_US 200000 /* a process that writes more than WINDOW_BYTES within is written with that delay */
#define WINDOW_BYTES (8u << 20)
#define NAME_DIGITS 10
#define NUMBER_LIMIT UINT64_C(9999999999)

void output_log_init(struct output_log *log, int sandboxes, const char *id, uint64_t limit) {
  memset(log, 0, offsetof(struct output_log, batch)); /* the batch takes no memory until there is output */
  log->sandboxes = sandboxes;
  log->id = id;
  log->limit = limit;
  log->directory = log->segment = -1;
}

size_t output_log_part(const struct output_log *log) {
  return log->limit && log->limit / PARTS_WANTED < LOG_DATA_LIMIT ? log->limit / PARTS_WANTED : LOG_DATA_LIMIT;
}

static void close_segment(struct output_log *log) {
  if (log->segment >= 0)
    close(log->segment);
  log->segment = -1;
}

void output_log_close(struct output_log *log) {
  output_log_flush(log);
  close_segment(log);
  if (log->directory >= 0)
    close(log->directory);
  log->directory = -1;
  log->next = 0;
}

static void segment_name(char name[24], uint64_t number) {
  snprintf(name, 24, "%0*" PRIu64, NAME_DIGITS, number);
}

/* What cannot be removed counts no more; the next run finds it again. */
static void remove_oldest(struct output_log *log) {
  char name[24];
  segment_name(name, log->segments[0].number);
  unlinkat(log->directory, name, 0);
  log->total -= log->segments[0].size;
  memmove(log->segments, log->segments + 1, --log->count * sizeof *log->segments);
}

/* ---- the first record of a run ---- */

/* Keeps the list sorted; where there are too many, the oldest goes. */
static void note_segment(struct output_log *log, uint64_t number, uint64_t size) {
  if (log->count == LOG_SEGMENTS && number < log->segments[0].number) {
    char name[24];
    segment_name(name, number);
    unlinkat(log->directory, name, 0);
    return;
  }
  if (log->count == LOG_SEGMENTS)
    remove_oldest(log);
  unsigned place = log->count++;
  for (; place > 0 && log->segments[place - 1].number > number; place--)
    log->segments[place] = log->segments[place - 1];
  log->segments[place] = (struct log_segment){number, size};
  log->total += size;
}

/* What earlier runs have left counts towards the bound. Whatever has a segment's name takes its number. */
static int look(struct output_log *log) {
  int copy = openat(log->directory, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *directory = copy < 0 ? NULL : fdopendir(copy);
  if (!directory) {
    if (copy >= 0)
      close(copy);
    return -1;
  }
  log->count = 0;
  log->total = 0;
  struct dirent *entry;
  while ((errno = 0, entry = readdir(directory))) {
    struct stat status;
    const char *name = entry->d_name;
    if (strlen(name) == NAME_DIGITS && strspn(name, "0123456789") == NAME_DIGITS && fstatat(log->directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
      note_segment(log, strtoull(name, NULL, 10), S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0);
  }
  int error = errno;
  closedir(directory);
  errno = error;
  log->next = log->count ? log->segments[log->count - 1].number + 1 : 1;
  return error ? -1 : 0;
}

/* Makes `name` unless it is there, and opens it; a link in its place is an error. */
static int enter(int parent, const char *name) {
  if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
    return -1;
  return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_log(struct output_log *log) {
  if (log->directory < 0) {
    int own = enter(log->sandboxes, log->id); /* made by the launch, but for a sandbox without a root */
    log->directory = own < 0 ? -1 : enter(own, "log");
    int error = errno;
    if (own >= 0)
      close(own);
    errno = error;
    if (log->directory < 0)
      return -1;
  }
  if (log->next == 0 && look(log) < 0) {
    log->next = 0;
    return -1;
  }
  return 0;
}

/* ---- a record ---- */

static int begin_segment(struct output_log *log) {
  char name[24];
  if (log->next > NUMBER_LIMIT) {
    errno = EOVERFLOW;
    return -1;
  }
  segment_name(name, log->next);
  int fd = openat(log->directory, name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return -1;
  if (log->count == LOG_SEGMENTS)
    remove_oldest(log);
  log->segments[log->count++] = (struct log_segment){log->next++, 0};
  log->segment = fd;
  return 0;
}

static uint64_t segment_limit(const struct output_log *log) {
  uint64_t part = log->limit / SEGMENTS_WANTED > LOG_SEGMENT_LEAST ? log->limit / SEGMENTS_WANTED : LOG_SEGMENT_LEAST;
  return part < log->limit ? part : log->limit;
}

/* A segment that takes a record of `size` bytes is open afterwards. */
static int open_segment(struct output_log *log, size_t size) {
  if (size > log->limit) {
    errno = EFBIG;
    return -1;
  }
  if (open_log(log) < 0)
    return -1;
  uint64_t used = log->segment >= 0 ? log->segments[log->count - 1].size : 0;
  if (used > 0 && used + size > segment_limit(log))
    close_segment(log);
  return log->segment >= 0 ? 0 : begin_segment(log);
}

static size_t record_size(const char *record) {
  struct log_header header;
  memcpy(&header, record, sizeof header);
  return sizeof header + header.length;
}

/* As many of the records up to `end` as one segment takes, but at least one. */
static size_t fitting(const struct output_log *log, const char *records, const char *end) {
  uint64_t used = log->segments[log->count - 1].size;
  size_t size = record_size(records);
  while (records + size < end && used + size + record_size(records + size) <= segment_limit(log))
    size += record_size(records + size);
  return size;
}

/* Answers how much of the whole records was written. After a short write the rest of a record is taken back. */
static size_t write_records(struct output_log *log, const char *records, size_t size) {
  struct log_segment *segment = &log->segments[log->count - 1];
  ssize_t written = write(log->segment, records, size);
  int error = written < 0 ? errno : ENOSPC; /* short, in a regular file: the disk is full, or the file may not grow */
  size_t whole = 0;
  while (written > 0 && whole < (size_t)written && whole + record_size(records + whole) <= (size_t)written)
    whole += record_size(records + whole);
  segment->size += whole;
  log->total += whole;
  if (written > 0 && whole < (size_t)written && ftruncate(log->segment, (off_t)segment->size) < 0)
    close_segment(log); /* what is there of the record stays this segment's end */
  errno = error;
  return whole;
}

static void lose(struct output_log *log, const char *records, size_t size) {
  if (log->lost_records == 0)
    log_line(40, "sandbox %s: its log cannot be written, and lacks records: %s", log->id, strerror(errno));
  for (size_t at = 0; at < size; at += record_size(records + at)) {
    struct log_header header;
    memcpy(&header, records + at, sizeof header);
    log->lost_records++;
    log->lost_bytes += header.length - header.name_length;
  }
}

void output_log_flush(struct output_log *log) {
  const char *at = log->batch, *end = log->batch + log->waiting;
  log->waiting = 0;
  while (at < end) {
    size_t size = record_size(at), written = 0;
    if (open_segment(log, size) == 0) {
      size = fitting(log, at, end);
      while (log->count > 1 && log->total + size > log->limit)
        remove_oldest(log);
      written = write_records(log, at, size);
    }
    if (written < size)
      lose(log, at + written, size - written);
    at += size;
  }
}

char *output_log_place(struct output_log *log, const char *name) {
  size_t before = sizeof(struct log_header) + strlen(name);
  if (log->waiting + before + LOG_DATA_LIMIT > sizeof log->batch)
    output_log_flush(log);
  return log->batch + log->waiting + before;
}

void output_log_add(struct output_log *log, enum log_kind kind, const char *name, uint64_t time_us, uint64_t number, size_t length) {
  size_t name_length = strlen(name);
  struct log_header header = {
    .length = (uint32_t)(name_length + length), .kind = (uint8_t)kind, .name_length = (uint8_t)name_length, .time_us = time_us, .number = number,
  };
  if (log->limit == 0)
    return;
  if (log->waiting == 0)
    log->waiting_since_us = now_us();
  memcpy(log->batch + log->waiting, &header, sizeof header);
  memcpy(log->batch + log->waiting + sizeof header, name, name_length);
  log->waiting += sizeof header + name_length + length;
  log->window_bytes += length;
}

bool output_log_falls_behind(struct output_log *log, struct process *process, uint64_t now) {
  if (now >= log->window_until_us) {
    log->window_until_us = now + WINDOW_US;
    log->window_bytes = 0;
  }
  if (log->limit == 0 || log->window_bytes <= WINDOW_BYTES)
    return false;
  log->behind = process;
  log->behind_until_us = log->window_until_us;
  return true;
}

void output_log_caught_up(struct output_log *log) {
  log->behind = NULL;
  log->behind_until_us = log->window_until_us = 0;
}

bool output_log_waits(const struct output_log *log) {
  return log->waiting > 0;
}

bool output_log_due(const struct output_log *log, uint64_t now) {
  return log->waiting > 0 && now - log->waiting_since_us >= WAIT_US;
}
