/* The system calls a sandbox may make: two lists, compiled by libseccomp(3), at the launcher's start where a definition changes nothing, and joined into one filter.
 * The first says no in the field's usual words (EPERM, EAFNOSUPPORT) to what is known and refused; it also looks at arguments: of
 * clone(2), socket(2), ioctl(2), personality(2). What it lets pass comes to the second, the allow-list: what that does not name answers
 * ENOSYS, as a kernel without it would, and i386 and x32 are closed. A definition chooses between two allow-lists, and may change them. */
#ifndef SECCOMP_FILTER_H
#define SECCOMP_FILTER_H

#include "failure.h"
#include "host.h"

#define SECCOMP_CHANGES 64 /* names added, and names taken away */

/* A profile and what a definition changes of it. The lists end with NULL. */
struct seccomp_choice {
  bool strict;
  const char *allowed[SECCOMP_CHANGES + 1], *denied[SECCOMP_CHANGES + 1];
};

/* Whether a definition may name the call so. */
bool seccomp_may_allow(const char *name);
bool seccomp_may_deny(const char *name);

/* The caller frees `filter->filter`. */
int seccomp_compile(struct sock_fprog *filter, const struct seccomp_choice *choice, struct failure *failure);
/* Needs no_new_privs or CAP_SYS_ADMIN. */
int seccomp_install(const struct sock_fprog *filter, struct failure *failure);

#endif
