/* The system calls a sandbox may make: two lists, compiled once by libseccomp(3) at the launcher's start and joined into one filter.
 * The first says no in the field's usual words (EPERM, EAFNOSUPPORT) to what is known and refused; it also looks at arguments: of
 * clone(2), socket(2), ioctl(2), personality(2). What it lets pass comes to the second, the allow-list: what that does not name answers
 * ENOSYS, as a kernel without it would, and i386 and x32 are closed. */
#ifndef SECCOMP_FILTER_H
#define SECCOMP_FILTER_H

#include "failure.h"
#include "host.h"

int seccomp_compile(struct sock_fprog *filter, struct failure *failure);
/* Needs no_new_privs or CAP_SYS_ADMIN. */
int seccomp_install(const struct sock_fprog *filter, struct failure *failure);

#endif
