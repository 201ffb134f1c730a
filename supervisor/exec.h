/* An EXEC under way, from the fork to the moment when the command executes or nothing of it is left. */
#ifndef EXEC_H
#define EXEC_H

#include "supervisor.h"

struct exec {
  struct exec *next;
  struct supervisor *supervisor;
  struct process *process;
  struct channel channel;
  struct watch notes, failures;
  pid_t entering_pid;
  struct watch entering; /* the one that enters and leaves the command behind, by its pidfd; -1: it is reaped */
  int terminal;
  struct peer *asker; /* NULL: gone, or answered; the command starts all the same */
  uint32_t request;
  uint64_t begun_ticks; /* as process_start_ticks, before the fork */
  uint64_t give_up_us, timeout_ms, output_bytes;
  bool tty, executes, failed, notes_over;
  struct failure failure; /* with `failed` */
};

/* ---- exec-start.c ---- */
/* From here on the start goes its way. Answers -1 with errno. */
int exec_watch(struct exec *exec);
/* Notes the present errno, and kills what there is; the asker is answered when that is reaped. The EXEC may be no more afterwards. */
void exec_failed_here(struct exec *exec, enum layer layer, const char *message);
/* The same, and nothing is waited for: the EXEC is no more. */
void exec_over(struct exec *exec, const char *message);
/* Its time is over: it fails; one that has failed is answered, and what does not die is killed anew. */
void exec_out_of_time(struct exec *exec);

#endif
