/* A process started on request, as its supervisor holds it: stdio, the output kept, and how it ended. */
#ifndef PROCESS_H
#define PROCESS_H

#include "loop.h"
#include "peer.h"
#include "ring.h"

#include <sys/types.h>

struct waiter { /* an OUTPUT request that waits for something to answer */
  struct waiter *next;
  struct peer *peer;
  uint32_t request;
  uint64_t after, max_bytes;
};

struct input { /* an INPUT request whose bytes are not all written yet */
  struct peer *peer; /* NULL: the asker is gone; the bytes still go in */
  uint32_t request;
  char *bytes;
  size_t length, written;
  bool active, then_close;
};

struct process {
  struct loop *loop;
  pid_t pid;
  int pidfd;
  struct watch input_end, output, errors; /* with a terminal all three lead to its master: input_end is a duplicate */
  bool terminal, ended;
  struct ring ring;
  struct waiter *waiters;
  struct input input;
};

/* Takes over the descriptors (-1: none); they become non-blocking. With `terminal`, `output` is the master. */
int process_open(struct process *process, struct loop *loop, int input, int output, int errors, bool terminal, size_t output_bytes);
/* Reads what is still in the pipes, closes all, answers who waits: no output will come any more. */
void process_close(struct process *process);
/* The process ended; what it forked may still write. */
void process_ended(struct process *process);
void process_forget_peer(struct process *process, struct peer *peer);

/* The requests OUTPUT, INPUT and RESIZE; each sends its reply now or later. */
void process_output(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields);
void process_input(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields);
void process_resize(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields);

#endif
