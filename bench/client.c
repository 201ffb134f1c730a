/* client: requests to the daemon, timed. The program that measures is C, since one in Node would take the processor from the daemon.
 *
 *   client post     --socket S --path P --body JSON --expect TEXT      until the whole answer is there; the text must be in it
 *   client follow   --socket S --path P --body JSON                    start a process by P, then follow its output: until the
 *                                                                      first byte of it, and to its end
 *   client stream   --socket S --path P --accept TYPE --bytes N --window N    follow the output of a writer (writer.c) that waits
 *                                                                      for its windows: the time for all bytes, which must come
 *   client upload   --socket S --path P --file F                       PUT of the file
 *   client download --socket S --path P --file F                       GET into the file
 *
 * with --count N and --parallel P: each of the P processes has a connection of its own. Prints one JSON object.
 */
#define _GNU_SOURCE
#include "http.h"
#include "lanes.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_SIZE (1u << 16)
#define LINE_SIZE (1u << 18) /* of NDJSON: a record has at most 64 KiB, escaped */
#define WINDOWS_AHEAD 3      /* of the writer before the reader; together less than what is held of an output */

struct client {
  const char *socket, *path, *body, *expect, *accept, *file;
  uint64_t window, bytes;
};

/* The connection of this process; opened by its first request, untimed. */
static struct http *connection(const struct client *client) {
  static struct http http;
  static int open;
  if (!open)
    http_open(&http, client->socket);
  open = 1;
  return &http;
}

/* ---- requests ---- */

static void post(void *context, struct sample *sample) {
  static char text[TEXT_SIZE];
  const struct client *client = context;
  struct http *http = connection(client);
  int64_t began = now();
  http_send(http, "POST", client->path, NULL, client->body, strlen(client->body));
  http_answer(http);
  http_text(http, text, sizeof text);
  sample->first_us = sample->whole_us = microseconds_since(began);
  if (!strstr(text, client->expect))
    refuse("not in the answer", text);
}

/* The id is the first member of the report. */
static void output_path(char *path, size_t size, const struct client *client, const char *report) {
  static const char mark[] = "\"id\":\"";
  const char *id = strstr(report, mark);
  if (!id)
    refuse("no id in the answer", report);
  id += sizeof mark - 1;
  snprintf(path, size, "%s/%.*s/output?follow=true", client->path, (int)strcspn(id, "\""), id);
}

static void follow(void *context, struct sample *sample) {
  static char text[TEXT_SIZE];
  const struct client *client = context;
  struct http *http = connection(client);
  char path[1024];
  const char *piece;
  size_t length;
  int64_t began = now();
  http_send(http, "POST", client->path, NULL, client->body, strlen(client->body));
  http_answer(http);
  http_text(http, text, sizeof text);
  output_path(path, sizeof path, client, text);
  http_send(http, "GET", path, "application/octet-stream", NULL, 0);
  http_answer(http);
  while ((length = http_piece(http, &piece)) > 0) {
    if (sample->bytes == 0)
      sample->first_us = microseconds_since(began);
    sample->bytes += length;
  }
  sample->whole_us = microseconds_since(began);
  if (sample->bytes == 0)
    refuse("the command said nothing", path);
}

/* ---- output ---- */

/* Bytes of output in a line of NDJSON: all between the quotes of `data`, an escape of the writer's output being one (\n). */
static uint64_t line_bytes(const char *line, size_t length) {
  static const char mark[] = "\"data\":\"";
  const char *data = memmem(line, length < 256 ? length : 256, mark, sizeof mark - 1);
  if (!data) {
    if (memmem(line, length, "\"gap\"", 5))
      refuse("output was lost", line);
    return 0; /* the exit, or an empty line */
  }
  data += sizeof mark - 1;
  const char *end = line + length - 2; /* before "} */
  uint64_t escapes = 0;
  if (end < data || end[0] != '"')
    refuse("not a record of text", line);
  for (const char *at = data; at < end; at++)
    escapes += *at == '\\';
  return (uint64_t)(end - data) - escapes;
}

/* Takes a piece of the body; lines that are not whole wait for the next. */
static uint64_t lines_bytes(const char *piece, size_t length) {
  static char held[LINE_SIZE];
  static size_t used;
  uint64_t bytes = 0;
  while (length > 0) {
    const char *end = memchr(piece, '\n', length);
    size_t part = end ? (size_t)(end - piece) : length;
    if (used + part >= sizeof held)
      refuse("too long a line", "NDJSON");
    memcpy(held + used, piece, part);
    used += part;
    if (end) {
      held[used] = 0;
      bytes += line_bytes(held, used);
      used = 0;
      part++;
    }
    piece += part;
    length -= part;
  }
  return bytes;
}

/* Lets the writer go on. The answer to the request before is read first, and has long been there. */
static void allow(struct http *http, const char *path, unsigned windows, int first) {
  char text[256];
  if (!first) {
    http_answer(http);
    http_text(http, text, sizeof text);
  }
  http_send(http, "POST", path, NULL, "...." + 4 - windows, windows);
}

static void stream(void *context, struct sample *sample) {
  static struct http credit;
  const struct client *client = context;
  struct http *http = connection(client);
  int json = strstr(client->accept, "json") != NULL;
  char reading[1024], feeding[1024];
  const char *piece;
  size_t length;
  snprintf(reading, sizeof reading, "%s/output?follow=true&stream=stdout", client->path);
  snprintf(feeding, sizeof feeding, "%s/stdin", client->path);
  http_open(&credit, client->socket);
  uint64_t windows = (client->bytes + client->window - 1) / client->window;
  int64_t began = now();
  http_send(http, "GET", reading, client->accept, NULL, 0);
  allow(&credit, feeding, windows < WINDOWS_AHEAD ? (unsigned)windows : WINDOWS_AHEAD, 1);
  http_answer(http);
  for (uint64_t granted = WINDOWS_AHEAD; (length = http_piece(http, &piece)) > 0;) {
    if (sample->bytes == 0)
      sample->first_us = microseconds_since(began);
    sample->bytes += json ? lines_bytes(piece, length) : length;
    for (; granted < windows && sample->bytes / client->window + WINDOWS_AHEAD > granted; granted++)
      allow(&credit, feeding, 1, 0);
  }
  sample->whole_us = microseconds_since(began);
  http_close(&credit);
  if (sample->bytes != client->bytes)
    refuse("output was lost", client->path);
}

/* ---- files ---- */

static int open_file(const char *path, int flags) {
  int file = open(path, flags | O_CLOEXEC, 0600);
  if (file < 0)
    fail(path);
  return file;
}

static void upload(void *context, struct sample *sample) {
  static char bytes[HTTP_BUFFER];
  const struct client *client = context;
  struct http *http = connection(client);
  struct stat status;
  ssize_t n;
  int64_t began = now();
  int file = open_file(client->file, O_RDONLY);
  if (fstat(file, &status) < 0)
    fail(client->file);
  http_send(http, "PUT", client->path, NULL, NULL, (uint64_t)status.st_size);
  while ((n = read(file, bytes, sizeof bytes)) > 0) {
    http_write(http, bytes, (size_t)n);
    sample->bytes += (uint64_t)n;
  }
  http_answer(http);
  http_text(http, bytes, sizeof bytes);
  sample->whole_us = microseconds_since(began);
  close(file);
}

static void download(void *context, struct sample *sample) {
  const struct client *client = context;
  struct http *http = connection(client);
  const char *piece;
  size_t length;
  int64_t began = now();
  int file = open_file(client->file, O_WRONLY | O_CREAT | O_TRUNC);
  http_send(http, "GET", client->path, NULL, NULL, 0);
  http_answer(http);
  while ((length = http_piece(http, &piece)) > 0) {
    for (size_t written = 0; written < length;) {
      ssize_t n = write(file, piece + written, length - written);
      if (n < 0)
        fail(client->file);
      written += (size_t)n;
    }
    sample->bytes += length;
  }
  if (close(file) < 0)
    fail(client->file);
  sample->whole_us = microseconds_since(began);
}

/* ---- the command line ---- */

static const struct mode {
  const char *name;
  lane_job *job;
} modes[] = {{"post", post}, {"follow", follow}, {"stream", stream}, {"upload", upload}, {"download", download}};

int main(int argc, char **argv) {
  struct counts counts = {1, 1};
  struct client client = {.body = "{}", .expect = "", .accept = "", .file = "/dev/null", .window = 1 << 20};
  const struct {
    const char *flag;
    const char **text;
  } texts[] = {{"--socket", &client.socket}, {"--path", &client.path},     {"--body", &client.body},
               {"--expect", &client.expect}, {"--accept", &client.accept}, {"--file", &client.file}};
  for (int i = 2; i + 1 < argc; i += 2) {
    int known = 1;
    if (!strcmp(argv[i], "--count"))
      counts.count = (unsigned)number(argv[i + 1], 1);
    else if (!strcmp(argv[i], "--parallel"))
      counts.parallel = (unsigned)number(argv[i + 1], 1);
    else if (!strcmp(argv[i], "--window"))
      client.window = number(argv[i + 1], 1);
    else if (!strcmp(argv[i], "--bytes"))
      client.bytes = number(argv[i + 1], 1);
    else
      known = 0;
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
      if (!strcmp(argv[i], texts[t].flag))
        *texts[t].text = argv[i + 1], known = 1;
    if (!known)
      refuse("unknown flag", argv[i]);
  }
  for (size_t m = 0; argc > 1 && client.socket && client.path && m < sizeof modes / sizeof *modes; m++)
    if (!strcmp(argv[1], modes[m].name))
      return run_lanes(counts, modes[m].job, &client);
  fprintf(stderr, "usage: client post|follow|stream|upload|download --socket S --path P [--body JSON] [--expect TEXT] [--accept TYPE] "
                  "[--bytes N] [--window N] [--file F] [--count N] [--parallel P]\n");
  return 2;
}
