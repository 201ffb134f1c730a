/* Removes a directory with all below it, by descriptors alone: no link is followed, no mount is crossed, no path is too deep. */
#ifndef REMOVE_H
#define REMOVE_H

#include <stdint.h>

struct removed {
  uint64_t files; /* directory entries, directories included */
  uint64_t bytes; /* that were allocated on disk */
  char left[256]; /* after a failure: the path of what is in the way, its end; what is not printable ASCII is '?' */
};

/* `name` in the directory `parent`. Answers 0 also where it was not there; -1 with errno otherwise (EXDEV: a mount lies below). */
int remove_tree(int parent, const char *name, struct removed *removed);

#endif
