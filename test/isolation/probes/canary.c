/* Looks for a word in every file that can be read, in names of abstract sockets, and in what /proc says of processes.
 * usage: canary WORD-BACKWARDS   backwards, so that it is not found in the probe itself */
#include "probe.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

static char word[128];
static unsigned looked;

static void look(const char *path) {
  static char text[1 << 20];
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return;
  looked++;
  ssize_t length, kept = 0, total = 0;
  size_t size = strlen(word);
  while ((length = read(fd, text + kept, sizeof text - (size_t)kept)) > 0 && (total += length) < 64 << 20) {
    if (memmem(text, (size_t)(kept + length), word, size)) {
      say("found", "%s", path);
      break;
    }
    ssize_t tail = kept + length < (ssize_t)size ? kept + length : (ssize_t)size;
    memmove(text, text + kept + length - tail, (size_t)tail);
    kept = tail;
  }
  close(fd);
}

static int visit(const char *path, const struct stat *status, int kind, struct FTW *walk) {
  (void)walk;
  bool regular = kind == FTW_F && S_ISREG(status->st_mode);
  if (regular && strncmp(path, "/sys/", 5) != 0 && !strstr(path, "/pagemap") && !strstr(path, "/clear_refs"))
    look(path);
  if (memmem(path, strlen(path), word, strlen(word)))
    say("found", "the name %s", path);
  return 0;
}

int main(int count, char **arguments) {
  char text[16];
  size_t length = count > 1 ? strlen(arguments[1]) : 0;
  for (size_t i = 0; i < length && i < sizeof word - 1; i++)
    word[i] = arguments[1][length - 1 - i];
  nftw("/", visit, 64, FTW_PHYS);
  snprintf(text, sizeof text, "%u", looked);
  say(text, "looked");
}
