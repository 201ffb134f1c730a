/* A bound on what a sandbox writes that the host's own filesystem keeps: project quota, as ext4(5) and xfs(5) have it when they are mounted with `prjquota`. */
#ifndef QUOTA_H
#define QUOTA_H

#include "disk.h"
#include "remove.h"

/* Bounds the sandbox's files, which exist, by this many bytes, and a file for each 16 KiB of them; until quota_change, by a little more than that or than they take.
 * They are made a project of their own unless they are one. The caller closes `disk`, by which disk_measure tells what is used. -1 with the layer `disk` on failure. */
int quota_open(struct disk *disk, int sandboxes, const char *id, uint64_t bytes, struct failure *failure);
/* Bounds them by this many bytes. What is more is kept; nothing is added to it. -1 with errno. */
int quota_change(const struct disk *disk, uint64_t bytes);
/* remove_tree of a sandbox's files; a bound that they had is forgotten. */
int quota_remove_tree(int sandboxes, const char *id, struct removed *removed);

#endif
