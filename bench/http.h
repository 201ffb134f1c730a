/* HTTP/1.1 on a unix socket, one request at a time on a kept connection: as thin as a client can be, so that what it costs is not
 * charged to the server that is measured. Whatever is not as expected ends the program. */
#ifndef HTTP_H
#define HTTP_H

#include <stddef.h>
#include <stdint.h>

#define HTTP_BUFFER (1u << 18)

struct http {
  int fd;
  size_t at, held; /* what was received and not yet taken: bytes[at] to bytes[held] */
  int status, chunked, over;
  uint64_t left; /* of the body, or of the chunk */
  char bytes[HTTP_BUFFER];
};

void http_open(struct http *http, const char *socket);
void http_close(struct http *http);
void http_write(struct http *http, const void *bytes, size_t length);
/* Sends a head, and the body where it is not NULL (of JSON); `length` alone announces one. `accept` may be NULL. */
void http_send(struct http *http, const char *method, const char *path, const char *accept, const char *body, uint64_t length);
/* Reads the head of the answer. A status outside 200-299 ends the program with the body. */
void http_answer(struct http *http);
/* The next bytes of the body, as they come; 0 at its end. They stand in the buffer until the next call. */
size_t http_piece(struct http *http, const char **piece);
/* The whole body, at most size - 1 bytes of it, as a string. */
void http_text(struct http *http, char *text, size_t size);

#endif
