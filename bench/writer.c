/* writer: runs inside and writes to its stdout as fast as it is taken.
 *
 *   writer BYTES [WINDOW]     with a window: before each so many bytes it waits for one byte on its stdin
 *
 * What it writes are lines of 80 printable characters, as programs write, in pieces of 64 KiB. Then it says on its stderr how many
 * microseconds it took, from its first write to the end of its last.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LINE 80

static char piece[65536];

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
  uint64_t bytes = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
  uint64_t window = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
  if (bytes == 0)
    return 2;
  for (size_t i = 0; i < sizeof piece; i++)
    piece[i] = i % LINE == LINE - 1 ? '\n' : (char)('a' + i % 26);
  int64_t began = now();
  for (uint64_t written = 0, allowed = window ? 0 : bytes; written < bytes;) {
    char credit;
    if (written >= allowed) {
      if (read(0, &credit, 1) != 1)
        return 1;
      allowed += window;
    }
    uint64_t most = allowed < bytes ? allowed : bytes;
    ssize_t n = write(1, piece, most - written < sizeof piece ? most - written : sizeof piece);
    if (n < 0)
      return 1;
    written += (uint64_t)n;
  }
  fprintf(stderr, "%lld\n", (long long)((now() - began) / 1000));
  return 0;
}
