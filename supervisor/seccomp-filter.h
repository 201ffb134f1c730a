/* The system calls a sandbox may make: two filters, compiled once by libseccomp(3) at the launcher's start.
 * The first is the allow-list: what it does not name answers ENOSYS, as a kernel without it would, and i386 and x32 are closed.
 * The second, newer one says no in the field's usual words (EPERM, EAFNOSUPPORT) to what is known and refused, whatever the first says;
 * it also looks at arguments: of clone(2), socket(2), ioctl(2), personality(2). Of equal refusals the newest filter's counts (seccomp(2)). */
#ifndef SECCOMP_FILTER_H
#define SECCOMP_FILTER_H

#include "failure.h"
#include "host.h"

int seccomp_compile(struct sock_fprog filters[2], struct failure *failure);
/* Needs no_new_privs or CAP_SYS_ADMIN. */
int seccomp_install(const struct sock_fprog filters[2], struct failure *failure);

#endif
