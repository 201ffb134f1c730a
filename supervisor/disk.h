/* A sandbox's own filesystem, of a size that bounds what it can write: STATE_DIR/sandboxes/ID/disk, an image with ext4(5) in it. */
#ifndef DISK_H
#define DISK_H

#include "failure.h"

#include <stdbool.h>
#include <stdint.h>

struct disk {
  int loop; /* the loop device; -1: the sandbox has no image */
  int top;  /* the filesystem's top directory, through the mount that the sandbox gets; or the directory that a quota bounds (quota.h); -1: nothing bounds it */
};
#define DISK_NONE ((struct disk){-1, -1})
static inline bool disk_is_quota(const struct disk *disk) {
  return disk->loop < 0 && disk->top >= 0;
}

/* Whether this sandbox has an image. */
bool disk_exists(int sandboxes, const char *id);
/* Attaches and mounts the image, which exists, with `upper` and `work` in it. Answers the mount, detached: in no mount namespace. The
 * caller closes it, and by disk_close what `disk` holds. -1 with the layer `disk` on failure. */
int disk_open(struct disk *disk, int sandboxes, const char *id, struct failure *failure);
struct disk_use {
  uint64_t size, used, available; /* bytes: of the image or the quota, of its filesystem's blocks */
};
int disk_measure(const struct disk *disk, struct disk_use *use);
/* Lets go; the kernel unmounts and detaches when nobody else holds the mount. */
void disk_close(struct disk *disk);
/* Whether the kernel has let go of this sandbox's image; true where there is none. */
bool disk_released(int sandboxes, const char *id);

#endif
