/* A process started on request, as its supervisor holds it: stdio, the output kept, and how it ended. */
#ifndef PROCESS_H
#define PROCESS_H

#include "definition.h"
#include "ending.h"
#include "loop.h"
#include "output-log.h"
#include "peer.h"
#include "ring.h"

#include <sys/types.h>

struct waiter { /* an OUTPUT request that waits for something to answer, or for its asker to read what it has been sent */
  struct waiter *next;
  struct peer *peer;
  uint32_t request;
  uint64_t after, max_bytes;
  bool held, wait; /* held: from the oldest record there is when it is answered, whatever `after` says */
};

struct input { /* an INPUT request whose bytes are not all written yet */
  struct peer *peer; /* NULL: the asker is gone; the bytes still go in */
  uint32_t request;
  char *bytes;
  size_t length, written;
  bool active, then_close;
};

struct process {
  struct process *next;
  struct loop *loop;
  char name[NAME_SIZE];
  enum { PROCESS_STARTING, PROCESS_RUNNING, PROCESS_ENDED } state;
  pid_t pid, pid_inside;
  uint64_t start_ticks, started_ms;
  struct watch pidfd;                     /* watched where the process is the supervisor's own child */
  struct watch input_end, output, errors; /* with a terminal all lead to its master; input_end is a duplicate */
  bool terminal;
  bool output_over; /* no more records: what its children still write is read and thrown away */
  size_t read_size;
  struct ring ring;
  struct output_log *log; /* the sandbox's */
  uint64_t logged;        /* while the log is behind: number of the newest record that is in it */
  struct waiter *waiters;
  struct input input;
  struct ending ending;
  uint64_t kill_at_us; /* the end of its time; 0: none */
  bool timed_out;
  bool kill_sent; /* SIGKILL was asked for */
  bool dying;     /* it was, when the out-of-memory killer had just killed somebody */
};

/* Takes over the descriptors (-1: none), also when it fails; they become non-blocking. With `terminal`, `output` is the master. */
int process_open(struct process *process, struct loop *loop, int input, int output, int errors, bool terminal, size_t output_bytes, struct output_log *log);
/* The process ended: takes what still lies in the pipes; after that no output comes any more, its end is in the log, and who waits
 * is answered. */
void process_end(struct process *process, const struct ending *ending);
/* Answers who waits, then closes and frees what it holds, but not the process itself. */
void process_close(struct process *process);
/* Writes what the log has not yet of a process that it is behind of. */
void process_catch_up(struct process *process);
void process_forget_peer(struct process *process, struct peer *peer);
/* A peer has read what it was sent: its requests that waited for that are answered. */
void process_peer_drained(struct process *process);

/* ---- process-output.c, for process.c ---- */
/* Answers who waits, as far as there is something; `at_once`: all of them, since nothing more will come. */
void process_answer(struct process *process, bool at_once);
void process_output_ready(struct watch *watch, uint32_t events);
/* One read; false at the end of the stream. */
bool process_take_output(struct process *process, struct watch *watch);

/* 0, or -1 with errno; ESRCH when it ended. By pidfd; a whole group by number, which is its own while the leader is not reaped. */
int process_signal(struct process *process, int number, bool group);
/* The fields of one `process` line of REPORT. */
void process_put(struct frame *frame, const struct process *process);

/* The requests OUTPUT, INPUT and RESIZE; each sends its reply now or later. */
void process_output(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields);
void process_input(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields);
void process_resize(struct process *process, struct peer *peer, uint32_t request, const struct fields *fields);

#endif
