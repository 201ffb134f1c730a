/* The small files of cgroups, for cgroup.c and cgroup-limits.c. */
#ifndef CGROUP_FILES_H
#define CGROUP_FILES_H

#include "cgroup.h"

#include <limits.h>
#include <sys/types.h>

enum { MEMORY, CPU, PIDS };
extern const char *const cgroup_controllers[3];

/* The text of a file, ended by NUL; -1 with errno. */
ssize_t cgroup_read(int directory, const char *name, char *text, size_t size);
int cgroup_write(int directory, const char *name, const char *text);
int cgroup_write_path(const char *directory, const char *name, const char *text);
/* Locks the version 2 directory that was just made at `path`: what is locked has an owner. Answers 1; 0 when it was swept away meanwhile; -1 with errno. */
int cgroup_take(int directory, const char *path);
/* The directory of a version 1 controller. */
void cgroup_v1_path(char path[PATH_MAX + 24], const struct cgroup *cgroup, int controller);

#endif
