#define _GNU_SOURCE
#include "http.h"
#include "lanes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void http_open(struct http *http, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path)
    refuse("too long for a unix socket", path);
  strcpy(address.sun_path, path);
  http->at = http->held = 0;
  http->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (http->fd < 0 || connect(http->fd, (struct sockaddr *)&address, sizeof address) < 0)
    fail(path);
}

void http_close(struct http *http) {
  close(http->fd);
}

void http_write(struct http *http, const void *bytes, size_t length) {
  for (size_t sent = 0; sent < length;) {
    ssize_t n = send(http->fd, (const char *)bytes + sent, length - sent, MSG_NOSIGNAL);
    if (n < 0)
      fail("send");
    sent += (size_t)n;
  }
}

void http_send(struct http *http, const char *method, const char *path, const char *accept, const char *body, uint64_t length) {
  char head[8192], wanted[128] = "", entity[128] = "";
  if (accept)
    snprintf(wanted, sizeof wanted, "Accept: %s\r\n", accept);
  if (body || strcmp(method, "GET") != 0)
    snprintf(entity, sizeof entity, "%sContent-Length: %llu\r\n", body ? "Content-Type: application/json\r\n" : "Content-Type: application/octet-stream\r\n", (unsigned long long)length);
  int n = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n%s", method, path, wanted, entity, body ? body : "");
  if (n < 0 || (size_t)n >= sizeof head)
    refuse("request too long", path);
  http_write(http, head, (size_t)n);
}

/* Waits for more. */
static void fill(struct http *http) {
  if (http->at == http->held)
    http->at = http->held = 0;
  if (http->held == HTTP_BUFFER) {
    memmove(http->bytes, http->bytes + http->at, http->held - http->at);
    http->held -= http->at;
    http->at = 0;
  }
  ssize_t n = http->held == HTTP_BUFFER ? 0 : recv(http->fd, http->bytes + http->held, HTTP_BUFFER - http->held, 0);
  if (n < 0)
    fail("recv");
  if (n == 0)
    refuse("the connection ended", "before the answer did");
  http->held += (size_t)n;
}

/* The next line, without its end; it stands in the buffer until the next call. */
static char *line(struct http *http) {
  char *end;
  while (!(end = memchr(http->bytes + http->at, '\n', http->held - http->at)))
    fill(http);
  char *start = http->bytes + http->at;
  http->at = (size_t)(end - http->bytes) + 1;
  *end = 0;
  if (end > start && end[-1] == '\r')
    end[-1] = 0;
  return start;
}

void http_answer(struct http *http) {
  const char *field = line(http);
  http->status = strlen(field) > 9 ? atoi(field + 9) : 0;
  http->chunked = 0;
  http->left = 0;
  while (*(field = line(http))) {
    if (strncasecmp(field, "content-length:", 15) == 0)
      http->left = strtoull(field + 15, NULL, 10);
    if (strcasecmp(field, "transfer-encoding: chunked") == 0)
      http->chunked = 1;
  }
  http->over = !http->chunked && http->left == 0;
  if (http->status >= 200 && http->status <= 299)
    return;
  char text[1024];
  http_text(http, text, sizeof text);
  refuse("refused", text);
}

/* The head of the next chunk (RFC 9112, section 7.1); no trailers are expected. */
static void next_chunk(struct http *http) {
  const char *size = line(http);
  if (*size == 0) /* the end of the chunk before */
    size = line(http);
  http->left = strtoull(size, NULL, 16);
  if (http->left > 0)
    return;
  while (*line(http))
    ;
  http->over = 1;
}

size_t http_piece(struct http *http, const char **piece) {
  if (!http->over && http->left == 0) {
    if (http->chunked)
      next_chunk(http);
    else
      http->over = 1;
  }
  if (http->over)
    return 0;
  if (http->at == http->held)
    fill(http);
  size_t length = http->held - http->at;
  if (length > http->left)
    length = (size_t)http->left;
  *piece = http->bytes + http->at;
  http->at += length;
  http->left -= length;
  return length;
}

void http_text(struct http *http, char *text, size_t size) {
  size_t used = 0, length;
  const char *piece;
  while ((length = http_piece(http, &piece)) > 0) {
    size_t part = length < size - 1 - used ? length : size - 1 - used;
    memcpy(text + used, piece, part);
    used += part;
  }
  text[used] = 0;
}
