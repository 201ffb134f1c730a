/* The process that forks supervisors for the daemon, so that Node never forks on the launch path. */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include "host.h"

/* Runs until SIGTERM or SIGINT. Answers the program's exit code. */
int launcher_run(struct host *host);

#endif
