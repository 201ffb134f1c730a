/* The frames of PROTOCOL.md: reading and checking their fields, and writing them. */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION 1
#define WIRE_BODY_LIMIT 1048576u
#define WIRE_FIELD_LIMIT 4096u

enum message {
  HELLO = 1, WELCOME, LAUNCH, LAUNCHED, CLEAN, CLEANED, REMOVE, REMOVED, END, PEER, CREDENTIALS,
  ATTACH = 16, REPORT, SIGNAL, DONE, STOP, OUTPUT, RECORDS, INPUT, RESIZE, RELEASE, EXEC, STARTED, FORGET, FILES, FREEZE, LIMIT,
  EXITED = 32, GONE, PROCESS_EXITED, FORGOTTEN, USAGE, USED,
  STAT = 48, LIST, READ, WRITE, DELETE, CHANGE, WALK, PLANT, ENTRY, DATA, END_OF_DATA, WATCH, CHANGED, HOLE,
  ERROR = 64,
};

struct wire_header {
  uint32_t length;
  uint16_t type;
  uint16_t version;
  uint32_t request;
};

/* A body whose form has been checked: `end` is behind the last field, the payload follows. */
struct fields {
  const char *start, *end;
  const char *payload;
  size_t payload_length;
};

/* Answers false when the body is not of the form the protocol allows. */
bool fields_open(struct fields *fields, const char *body, size_t length);
/* Walks the fields: NULL gives the first, the last is followed by NULL. */
const char *fields_next(const struct fields *fields, const char *field);
/* The value of the first field named `key`, or NULL. */
const char *fields_get(const struct fields *fields, const char *key);
/* The value when `field` is named `key`, or NULL. */
const char *field_value(const char *field, const char *key);
/* The number in a field that a rule has checked; `otherwise` when it is absent. */
uint64_t fields_number(const struct fields *fields, const char *key, uint64_t otherwise);

/* What one key of a message may hold. A number lies in [min, max]; a text has min to max bytes. */
struct rule {
  const char *key;
  enum { RULE_NUMBER, RULE_TEXT, RULE_ID } kind;
  uint64_t min, max;
  bool optional, repeated;
};
/* Checks every field against the rules; on failure fills `error` and answers false. The last rule has a NULL key. */
bool fields_check(const struct fields *fields, const struct rule *rules, char error[128]);

/* A frame being written. `data` is grown by malloc; a failed allocation ends the program's present task by `failed`. */
struct frame {
  char *data;
  size_t length, capacity;
  bool failed;
};
void frame_begin(struct frame *frame, enum message type, uint32_t request);
void frame_put(struct frame *frame, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Appends bytes as they are. */
void frame_raw(struct frame *frame, const void *data, size_t length);
void frame_payload(struct frame *frame, const void *data, size_t length);
/* Copies the fields of a body that was checked (no payload). */
void frame_copy(struct frame *frame, const struct frame *from);
void frame_end(struct frame *frame);
void frame_free(struct frame *frame);
void frame_error(struct frame *frame, uint32_t request, const char *code, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
