/* Bodies, rules and frames of PROTOCOL.md. */
#include "wire.h"
#include "check.h"

#include <stdint.h>

/* A body from text in which '|' stands for NUL, in memory of exactly its size, so that ASan sees each byte read beyond it. */
static char *body_of(const char *text, size_t *length) {
  *length = strlen(text);
  char *body = malloc(*length + 1);
  NEED(body);
  memcpy(body, text, *length);
  for (size_t i = 0; i < *length; i++)
    if (body[i] == '|')
      body[i] = 0;
  char *exact = realloc(body, *length ? *length : 1);
  NEED(exact);
  return exact;
}

static void test_form(void) {
  static const struct {
    const char *body;
    bool allowed;
  } cases[] = {
    {"", true}, {"a=1|", true}, {"a=|", true}, {"a-9=x=y|", true}, {"a=1|b=2|", true}, {"|", true}, {"|payload", true}, {"a=1||", true},
    {"a=1||x|y", true}, {"0=1|", true}, {"-=1|", true}, {"abcdefghijklmnopqrstuvwxyz012345=1|", true},
    {"abcdefghijklmnopqrstuvwxyz0123456=1|", false}, {"a=1", false}, {"a|", false}, {"=1|", false}, {"A=1|", false}, {"a_b=1|", false},
    {"a b=1|", false}, {"\xc3\xa9=1|", false}, {"a=1|b", false}, {"a=1|b|", false}, {"a", false}, {"=", false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t length;
    struct fields fields;
    char *body = body_of(cases[i].body, &length);
    CHECK(fields_open(&fields, body, length) == cases[i].allowed, "body %s", cases[i].body);
    free(body);
  }
}

static void test_count(void) {
  struct fields fields;
  size_t length = WIRE_FIELD_LIMIT * 3;
  char *body = malloc(length + 3);
  NEED(body);
  for (size_t i = 0; i < length + 3; i += 3)
    memcpy(body + i, "a=\0", 3);
  CHECK(fields_open(&fields, body, length), "4,096 fields are allowed");
  CHECK(!fields_open(&fields, body, length + 3), "4,097 are not");
  body[length] = 0;
  CHECK(fields_open(&fields, body, length + 3) && fields.payload_length == 2, "a payload after 4,096 fields");
  free(body);
}

static void test_walk(void) {
  size_t length;
  struct fields fields;
  char *body = body_of("ab=1|a=2|a=3|empty=||pay|load", &length);
  NEED(fields_open(&fields, body, length));
  CHECK(strcmp(fields_get(&fields, "a"), "2") == 0, "the first of a repeated key, and no prefix of another");
  CHECK(strcmp(fields_get(&fields, "ab"), "1") == 0, "the longer key");
  CHECK(strcmp(fields_get(&fields, "empty"), "") == 0, "an empty value");
  CHECK(fields_get(&fields, "pay") == NULL && fields_get(&fields, "b") == NULL, "no key is found in the payload or inside a key");
  CHECK(fields.payload_length == 8 && memcmp(fields.payload, "pay\0load", 8) == 0, "the payload keeps its NUL");
  int count = 0;
  for (const char *field = NULL; (field = fields_next(&fields, field));)
    count++;
  CHECK(count == 4, "%d fields", count);
  free(body);
}

static const struct rule rules[] = {
  {"number", RULE_NUMBER, 5, 100, false, false},
  {"text", RULE_TEXT, 2, 4, true, false},
  {"id", RULE_ID, 0, 0, true, false},
  {"many", RULE_TEXT, 0, 8, true, true},
  {"big", RULE_NUMBER, 0, INT64_MAX, true, false},
  {0},
};

static void test_rules(void) {
  static const struct {
    const char *body, *error; /* NULL: accepted */
  } cases[] = {
    {"number=5|", NULL}, {"number=100|", NULL}, {"number=007|", NULL}, {"", "number is missing"}, {"text=ab|", "number is missing"},
    {"number=4|", "number is out of range"}, {"number=101|", "number is out of range"}, {"number=|", "number is out of range"},
    {"number=-5|", "number is out of range"}, {"number=+5|", "number is out of range"}, {"number= 5|", "number is out of range"},
    {"number=5 |", "number is out of range"}, {"number=0x10|", "number is out of range"}, {"number=5.0|", "number is out of range"},
    {"number=1e1|", "number is out of range"}, {"number=18446744073709551621|", "number is out of range"}, /* 2^64 + 5 */
    {"number=5|number=5|", "number is given twice"}, {"number=5|text=ab|text=ab|", "text is given twice"},
    {"number=5|text=a|", "text is out of range"}, {"number=5|text=abcde|", "text is out of range"}, {"number=5|text=abcd|", NULL},
    {"number=5|other=1|", "unknown field other"}, {"number=5|numbers=1|", "unknown field numbers"}, {"number=5|num=1|", "unknown field num"},
    {"number=5|many=|many=1|many=12345678|", NULL}, {"number=5|many=123456789|", "many is out of range"},
    {"number=5|id=0az|", NULL}, {"number=5|id=|", "id is out of range"}, {"number=5|id=A|", "id is out of range"},
    {"number=5|id=a-b|", "id is out of range"}, {"number=5|id=../x|", "id is out of range"},
    {"number=5|id=0123456789012345678901234567890123456789012345678901234567890123|", NULL},
    {"number=5|id=01234567890123456789012345678901234567890123456789012345678901234|", "id is out of range"},
    {"number=5|big=9223372036854775807|", NULL}, {"number=5|big=9223372036854775808|", "big is out of range"},
    {"number=5|big=9999999999999999999|", "big is out of range"}, {"number=5|big=18446744073709551616|", "big is out of range"},
    {"number=5|big=00000000000000000001|", "big is out of range"}, {"number=5||number=7|", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t length;
    struct fields fields;
    char error[128] = "";
    char *body = body_of(cases[i].body, &length);
    NEED(fields_open(&fields, body, length));
    bool accepted = fields_check(&fields, rules, error);
    CHECK(accepted == !cases[i].error, "%s: %s", cases[i].body, error);
    CHECK(accepted || strcmp(error, cases[i].error) == 0, "%s: %s", cases[i].body, error);
    free(body);
  }
}

static void test_numbers(void) {
  size_t length;
  struct fields fields;
  char *body = body_of("a=42|b=x|c=|d=18446744073709551616|", &length);
  NEED(fields_open(&fields, body, length));
  CHECK(fields_number(&fields, "a", 7) == 42, "present");
  CHECK(fields_number(&fields, "e", 7) == 7, "absent");
  CHECK(fields_number(&fields, "b", 7) == 7 && fields_number(&fields, "c", 7) == 7 && fields_number(&fields, "d", 7) == 7, "not a number");
  free(body);
}

static void test_frames(void) {
  struct frame frame, copy;
  struct wire_header header;
  struct fields fields;
  frame_begin(&frame, REPORT, 9);
  frame_put(&frame, "pid", "%d", 4242);
  frame_put(&frame, "empty", "%s", "");
  char long_text[5000];
  memset(long_text, 'x', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = 0;
  frame_put(&frame, "long", "%s", long_text);
  frame_begin(&copy, RECORDS, 10);
  frame_copy(&copy, &frame);
  frame_payload(&frame, "a\0b", 3);
  frame_end(&frame);
  memcpy(&header, frame.data, sizeof header);
  CHECK(header.type == REPORT && header.version == 1 && header.request == 9 && header.length == frame.length - 12, "header");
  CHECK(fields_open(&fields, frame.data + 12, header.length), "a frame that is written can be read");
  CHECK(fields_number(&fields, "pid", 0) == 4242 && *fields_get(&fields, "empty") == 0 && strcmp(fields_get(&fields, "long"), long_text) == 0, "its fields");
  CHECK(fields.payload_length == 3 && memcmp(fields.payload, "a\0b", 3) == 0, "its payload");
  frame_payload(&copy, NULL, 0);
  frame_end(&copy);
  memcpy(&header, copy.data, sizeof header);
  CHECK(fields_open(&fields, copy.data + 12, header.length) && fields_number(&fields, "pid", 0) == 4242, "copied fields");
  CHECK(header.type == RECORDS && header.request == 10 && fields.payload_length == 0, "under their own header");
  frame_free(&frame);
  frame_free(&copy);
  CHECK(frame.data == NULL && frame.length == 0, "freed");
}

static void test_error_frame(void) {
  struct frame frame;
  struct fields fields;
  frame_error(&frame, 3, "invalid", "%s is %d", "x", 1);
  CHECK(fields_open(&fields, frame.data + 12, frame.length - 12), "form");
  CHECK(strcmp(fields_get(&fields, "code"), "invalid") == 0 && strcmp(fields_get(&fields, "message"), "x is 1") == 0, "code and message");
  CHECK(((struct wire_header *)(void *)frame.data)->type == ERROR, "type");
  frame_free(&frame);
}

int main(void) {
  test_form();
  test_count();
  test_walk();
  test_rules();
  test_numbers();
  test_frames();
  test_error_frame();
  return check_end("wire");
}
