/* The process that guards one running sandbox, from its launch until RELEASE. */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "instance.h"
#include "process.h"

struct supervisor {
  struct instance instance;
  struct loop loop;
  struct server server;
  struct output_log log;
  struct process main;             /* the first of the list that its `next` begins */
  struct agent_child *agents;
  struct exec *starting;           /* EXECs whose commands do not execute yet */
  struct watch notes, shell, cgroup_events;
  struct definition definition;    /* of the launch; its texts are gone, its numbers hold for every EXEC */
  char id[NAME_SIZE], socket_name[NAME_SIZE + 8];
  bool init, frozen;
  enum { RUNNING, ENDED, GONE_STATE } state;
  uint64_t kill_at_us;             /* the end of STOP's grace; 0: none */
  uint64_t ordered_us, gone_us;    /* when the end was ordered or seen, and when it was complete */
  uint64_t retry_at_us, retry_us;  /* 0: nothing to try again */
  bool told_incomplete;
  int killed, mounts, cgroups;
  uint64_t oom_kills_told;         /* how many of the cgroup's count have been told as the end of a process */
};

/* ---- exec.c: commands started in the running sandbox ---- */
void exec_begin(struct supervisor *supervisor, struct peer *peer, uint32_t request, const struct fields *fields);
/* Forks a file agent that takes the peer's connection over. */
void exec_files(struct supervisor *supervisor, struct peer *peer, uint32_t request);
void exec_forget(struct supervisor *supervisor, struct peer *peer, uint32_t request, struct process *process);
void exec_forget_peer(struct supervisor *supervisor, struct peer *peer);
/* The sandbox is gone, and with it every process. */
void exec_end_all(struct supervisor *supervisor);
/* Kills what is out of time; answers when the next is, 0 for never. */
uint64_t exec_mind_the_clock(struct supervisor *supervisor, uint64_t now);
/* While the sandbox is being killed: reaps dead children that no request knows of. */
void exec_reap_strays(struct supervisor *supervisor);
struct process *process_find(struct supervisor *supervisor, const char *name);

/* Whether it was the out-of-memory killer that ended the process, by the cgroup's count; an answer of true uses that count up. */
bool supervisor_out_of_memory(struct supervisor *supervisor, const struct process *process, const struct ending *ending);

/* What a child of the launcher says to it over its control socket, one packet each. */
enum control_kind { CONTROL_READY = 1, CONTROL_REPLY };
struct control {
  uint32_t kind;
  uint32_t slot;
  char frame[16384]; /* CONTROL_REPLY: as much of it as the packet brings; the request is filled in by the launcher */
};
/* Sends a packet with the frame (may be NULL) and frees it. */
void control_send(int control, enum control_kind kind, unsigned slot, struct frame *frame);

struct supervisor_order {
  const struct host *host;
  struct order *order;
  int control;
  unsigned slot, isolate;
  bool ready; /* prepare, say so and wait; else the order is there already */
};
_Noreturn void supervisor_run(const struct supervisor_order *order);

#endif
