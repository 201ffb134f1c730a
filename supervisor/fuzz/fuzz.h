/* What the fuzz targets share. An input is a run of messages, ended by 0xff 0xff each: a byte for the type and the body, from which a frame
 * with a right header is made, so that little effort goes into lengths; with the type 255 the bytes are sent as they are. Included once
 * in each program. */
#ifndef FUZZ_H
#define FUZZ_H

#include "../wire.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_RAW 255u
#define FUZZ_REQUEST 7u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***arguments);

/* A finding: libFuzzer keeps the input and says where. */
#define HOLDS(condition)                                                          \
  do {                                                                            \
    if (!(condition)) {                                                           \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                    \
    }                                                                             \
  } while (0)

/* Appends all messages of the input to `to`, and answers how many there are, raw ones as well. */
static inline unsigned fuzz_messages(struct frame *to, const uint8_t *data, size_t size) {
  unsigned count = 0;
  for (size_t at = 0; at < size; count++) {
    const uint8_t *end = memmem(data + at, size - at, "\xff\xff", 2);
    size_t length = (end ? (size_t)(end - data) : size) - at;
    if (length > 0 && data[at] != FUZZ_RAW) {
      struct wire_header header = {.length = (uint32_t)length - 1, .type = data[at], .version = WIRE_VERSION, .request = FUZZ_REQUEST};
      frame_raw(to, &header, sizeof header);
    }
    if (length > 0)
      frame_raw(to, data + at + 1, length - 1);
    at += length + 2;
  }
  return count;
}

/* Where the program under test would end its process (_exit, by the linker's --wrap), the input ends instead. */
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);
static jmp_buf fuzz_end;
static bool fuzz_running;
void __wrap__exit(int status) {
  if (!fuzz_running)
    __real__exit(status);
  fuzz_running = false;
  longjmp(fuzz_end, 1);
}

/* main.c is not linked. */
void process_title(const char *name, const char *detail);
void process_title(const char *name, const char *detail) {
  (void)name;
  (void)detail;
}

#endif
