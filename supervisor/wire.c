#include "wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

static size_t key_length(const char *field) {
  size_t length = 0;
  while ((field[length] >= 'a' && field[length] <= 'z') || (field[length] >= '0' && field[length] <= '9') || field[length] == '-')
    length++;
  return length >= 1 && length <= 32 && field[length] == '=' ? length : 0;
}

bool fields_open(struct fields *fields, const char *body, size_t length) {
  const char *at = body, *end = body + length;
  *fields = (struct fields){.start = body, .end = end, .payload = end};
  for (unsigned count = 0; at < end; count++) {
    if (*at == 0) {
      fields->end = at;
      fields->payload = at + 1;
      fields->payload_length = (size_t)(end - at - 1);
      return true;
    }
    const char *stop = memchr(at, 0, (size_t)(end - at));
    if (!stop || count == WIRE_FIELD_LIMIT || key_length(at) == 0)
      return false;
    at = stop + 1;
  }
  return true;
}

const char *fields_next(const struct fields *fields, const char *field) {
  const char *next = field ? field + strlen(field) + 1 : fields->start;
  return next < fields->end ? next : NULL;
}

const char *field_value(const char *field, const char *key) {
  size_t length = strlen(key);
  return strncmp(field, key, length) == 0 && field[length] == '=' ? field + length + 1 : NULL;
}

const char *fields_get(const struct fields *fields, const char *key) {
  for (const char *field = NULL; (field = fields_next(fields, field));) {
    const char *value = field_value(field, key);
    if (value)
      return value;
  }
  return NULL;
}

static bool parse_number(const char *text, uint64_t *number) {
  uint64_t value = 0;
  size_t digits = 0;
  for (; text[digits]; digits++) {
    if (text[digits] < '0' || text[digits] > '9' || digits == 19)
      return false;
    value = value * 10 + (uint64_t)(text[digits] - '0');
  }
  *number = value;
  return digits > 0;
}

uint64_t fields_number(const struct fields *fields, const char *key, uint64_t otherwise) {
  const char *text = fields_get(fields, key);
  uint64_t number;
  return text && parse_number(text, &number) ? number : otherwise;
}

static bool is_id(const char *text) {
  size_t length = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz");
  return length >= 1 && length <= 64 && text[length] == 0;
}

static bool value_allowed(const struct rule *rule, const char *value) {
  uint64_t number;
  switch (rule->kind) {
  case RULE_NUMBER:
    return parse_number(value, &number) && number >= rule->min && number <= rule->max;
  case RULE_ID:
    return is_id(value);
  case RULE_TEXT:
    break;
  }
  size_t length = strlen(value);
  return length >= rule->min && length <= rule->max;
}

static const struct rule *rule_of(const struct rule *rules, const char *field, const char **value) {
  for (const struct rule *rule = rules; rule->key; rule++)
    if ((*value = field_value(field, rule->key)))
      return rule;
  return NULL;
}

bool fields_check(const struct fields *fields, const struct rule *rules, char error[128]) {
  uint64_t seen = 0;
  for (const char *field = NULL; (field = fields_next(fields, field));) {
    const char *value = NULL;
    const struct rule *rule = rule_of(rules, field, &value);
    if (!rule) {
      snprintf(error, 128, "unknown field %.*s", (int)key_length(field), field);
      return false;
    }
    uint64_t bit = UINT64_C(1) << (rule - rules);
    if ((seen & bit) && !rule->repeated) {
      snprintf(error, 128, "%s is given twice", rule->key);
      return false;
    }
    seen |= bit;
    if (!value_allowed(rule, value)) {
      snprintf(error, 128, "%s is out of range", rule->key);
      return false;
    }
  }
  for (const struct rule *rule = rules; rule->key; rule++)
    if (!rule->optional && !(seen & (UINT64_C(1) << (rule - rules)))) {
      snprintf(error, 128, "%s is missing", rule->key);
      return false;
    }
  return true;
}

/* ---- writing ---- */

static bool reserve(struct frame *frame, size_t more) {
  if (frame->failed)
    return false;
  if (frame->length + more <= frame->capacity)
    return true;
  size_t capacity = frame->capacity ? frame->capacity : 1024;
  while (capacity < frame->length + more)
    capacity *= 2;
  char *data = realloc(frame->data, capacity);
  if (!data) {
    frame->failed = true;
    return false;
  }
  frame->data = data;
  frame->capacity = capacity;
  return true;
}

void frame_begin(struct frame *frame, enum message type, uint32_t request) {
  *frame = (struct frame){0};
  struct wire_header header = {.type = (uint16_t)type, .version = WIRE_VERSION, .request = request};
  if (reserve(frame, sizeof header)) {
    memcpy(frame->data, &header, sizeof header);
    frame->length = sizeof header;
  }
}

static void put(struct frame *frame, const char *key, const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  size_t key_size = strlen(key);
  if (length < 0 || !reserve(frame, key_size + 2 + (size_t)length))
    return;
  memcpy(frame->data + frame->length, key, key_size);
  frame->data[frame->length + key_size] = '=';
  vsnprintf(frame->data + frame->length + key_size + 1, (size_t)length + 1, format, arguments);
  frame->length += key_size + 2 + (size_t)length;
}

void frame_put(struct frame *frame, const char *key, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  put(frame, key, format, arguments);
  va_end(arguments);
}

void frame_copy(struct frame *frame, const struct frame *from) {
  size_t length = from->length - sizeof(struct wire_header);
  if (!from->failed && reserve(frame, length)) {
    memcpy(frame->data + frame->length, from->data + sizeof(struct wire_header), length);
    frame->length += length;
  }
}

void frame_raw(struct frame *frame, const void *data, size_t length) {
  if (length == 0 || !reserve(frame, length))
    return;
  memcpy(frame->data + frame->length, data, length);
  frame->length += length;
}

void frame_payload(struct frame *frame, const void *data, size_t length) {
  frame_raw(frame, "", 1);
  frame_raw(frame, data, length);
}

void frame_end(struct frame *frame) {
  if (!frame->failed)
    ((struct wire_header *)(void *)frame->data)->length = (uint32_t)(frame->length - sizeof(struct wire_header));
}

void frame_free(struct frame *frame) {
  free(frame->data);
  *frame = (struct frame){0};
}

void frame_error(struct frame *frame, uint32_t request, const char *code, const char *format, ...) {
  va_list arguments;
  frame_begin(frame, ERROR, request);
  frame_put(frame, "code", "%s", code);
  va_start(arguments, format);
  put(frame, "message", format, arguments);
  va_end(arguments);
  frame_end(frame);
}
