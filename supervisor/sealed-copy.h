/* The program executed from a copy in memory that nobody can change. */
#ifndef SEALED_COPY_H
#define SEALED_COPY_H

/* Executes the program anew from its copy, with the same arguments and environment, unless it already is the copy. Returns -1 with
 * errno where that cannot be. */
int sealed_copy_run(char **arguments);

#endif
