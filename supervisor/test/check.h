/* What every test program shares: one assertion that says what it saw, and the count at the end. Included once in each program. */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks, failures;

#define CHECK(condition, ...)                                                    \
  do {                                                                           \
    checks++;                                                                    \
    if (!(condition)) {                                                          \
      failures++;                                                                \
      fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);            \
      fprintf(stderr, __VA_ARGS__);                                              \
      fprintf(stderr, "\n");                                                     \
    }                                                                            \
  } while (0)

/* What the test itself needs; nothing can be said where it fails. */
#define NEED(condition)                                                          \
  do {                                                                           \
    if (!(condition)) {                                                          \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
      exit(2);                                                                   \
    }                                                                            \
  } while (0)

static inline int check_end(const char *name) {
  printf("%s: %d checks, %d failed\n", name, checks, failures);
  return failures > 0;
}

/* main.c is not linked; what it gives the others is of no matter here. */
void process_title(const char *name, const char *detail);
void process_title(const char *name, const char *detail) {
  (void)name;
  (void)detail;
}

#endif
