/* The process that guards one running sandbox, from its launch until RELEASE. */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "instance.h"
#include "process.h"

/* Kills for want of memory: the cgroup's count when it was last read, and how many of these were nobody's end yet; see oom.c. */
struct oom {
  struct watch events;
  uint64_t kills, untold;
  uint64_t settle_at_us;         /* when to see who is dying of them; 0: that is known */
  uint64_t look_at_us, pause_us; /* when to read the count again; 0: when it changes */
};

/* Dead children that nobody here knows of; see strays.c. */
struct strays {
  struct watch signals;
  uint64_t look_at_us; /* 0: there are none */
};

struct supervisor {
  struct instance instance;
  struct loop loop;
  struct server server;
  struct output_log log;
  struct process main;             /* the first of the list that its `next` begins */
  struct agent_child *agents;
  struct exec *starting;           /* EXECs whose commands do not execute yet */
  struct watch last_word, shell, cgroup_events;
  struct definition definition;    /* of the launch; its texts are gone, its numbers hold for every EXEC */
  char id[NAME_SIZE], socket_name[NAME_SIZE + 8];
  bool init, frozen;
  enum { RUNNING, ENDED, GONE_STATE } state;
  uint64_t kill_at_us;             /* the end of STOP's grace; 0: none */
  uint64_t ordered_us, killed_us, gone_us; /* when the end was ordered or seen, when all was killed, and when it was complete */
  uint64_t retry_at_us, retry_us;  /* 0: nothing to try again */
  bool told_incomplete, disk_held;
  int killed, mounts, cgroups;
  int held_errno;                  /* why a cgroup could not be removed */
  struct oom oom;
  struct strays strays;
};

/* ---- exec.c: commands started in the running sandbox ---- */
void exec_begin(struct supervisor *supervisor, struct peer *peer, uint32_t request, const struct fields *fields);
void exec_forget_peer(struct supervisor *supervisor, struct peer *peer);
/* The sandbox is gone, and with it every process. */
void exec_end_all(struct supervisor *supervisor);
/* Kills what is out of time; answers when the next is, 0 for never. */
uint64_t exec_mind_the_clock(struct supervisor *supervisor, uint64_t now);
/* The pidfd of a child that is known here and reaped in its own turn, without `ready` before it is watched; NULL when it is nobody's. */
struct watch *exec_child(struct supervisor *supervisor, pid_t pid);

/* ---- processes.c: those that were started by a request; the main process is the first of the list and not counted ---- */
struct process *process_find(struct supervisor *supervisor, const char *name);
unsigned processes_count(const struct supervisor *supervisor, bool ended);
void processes_forget(struct supervisor *supervisor, struct peer *peer, uint32_t request, struct process *process);
/* Takes it out of the list and frees it. */
void processes_drop(struct supervisor *supervisor, struct process *process);
/* Of a pidfd whose owner is the process and whose context the supervisor. */
void processes_pidfd_ready(struct watch *watch, uint32_t events);
/* All are dead: they are reaped and told. */
void processes_end_all(struct supervisor *supervisor);
/* As exec_mind_the_clock, of those that run. */
uint64_t processes_mind_the_clock(struct supervisor *supervisor, uint64_t now);

/* ---- file-agents.c ---- */
/* Forks a file agent that takes the peer's connection over. */
void file_agents_start(struct supervisor *supervisor, struct peer *peer, uint32_t request);
/* NULL: it is none. */
struct watch *file_agents_child(const struct supervisor *supervisor, pid_t pid);

/* ---- report.c: fields of what is told ---- */
void report_ending(struct frame *frame, const struct supervisor *supervisor);
void report_receipt(struct frame *frame, const struct supervisor *supervisor);
void report_all(struct frame *frame, const struct supervisor *supervisor);

/* ---- requests.c ---- */
void requests_handle(struct server *server, struct peer *peer, const struct wire_header *header, const struct fields *fields);
void requests_peer_closed(struct server *server, struct peer *peer);
void requests_peer_drained(struct server *server, struct peer *peer);

/* Kills all of the sandbox at once. */
void supervisor_kill(struct supervisor *supervisor);

/* ---- oom.c ---- */
/* Watches the count; where that fails it is read at each SIGKILL all the same. */
void oom_watch(struct supervisor *supervisor);
/* Does what is due; answers when the next is, 0 for never. */
uint64_t oom_mind_the_clock(struct supervisor *supervisor, uint64_t now);
/* Whether it was the out-of-memory killer that ended the process, by the cgroup's count; an answer of true uses that count up. */
bool supervisor_out_of_memory(struct supervisor *supervisor, const struct process *process, const struct ending *ending);

/* ---- strays.c ---- */
/* Answers -1 with errno. */
int strays_watch(struct supervisor *supervisor);
/* Reaps some, where it is time; answers when it is again, 0 for never. */
uint64_t strays_mind_the_clock(struct supervisor *supervisor, uint64_t now);

/* What a child of the launcher says to it over its control socket, one packet each. */
enum control_kind { CONTROL_READY = 1, CONTROL_REPLY };
struct control {
  uint32_t kind;
  uint32_t slot;
  char frame[16384]; /* CONTROL_REPLY: as much of it as the packet brings; the request is filled in by the launcher */
};
/* Sends a packet with the frame (may be NULL) and frees it. */
void control_send(int control, enum control_kind kind, unsigned slot, struct frame *frame);

/* ---- supervisor-launch.c ---- */
/* Undone by then: tells the launcher, and ends. */
_Noreturn void launch_failed(int control, unsigned slot, const char *code, const struct failure *failure);
/* Says that it is ready, and waits; ends when none comes. */
void launch_await_order(struct supervisor *supervisor, int control);
/* The sandbox of the order runs afterwards, and is watched; else it ends by launch_failed. */
void launch_commit(struct supervisor *supervisor, int control);
void launch_reply(struct supervisor *supervisor, int control);

/* ---- supervisor.c: what is watched while it runs ---- */
void supervisor_last_word_ready(struct watch *watch, uint32_t events);
void supervisor_shell_ready(struct watch *watch, uint32_t events);
void supervisor_cgroup_ready(struct watch *watch, uint32_t events);

struct supervisor_order {
  const struct host *host;
  struct order *order;
  int control;
  unsigned slot, isolate;
  bool ready; /* prepare, say so and wait; else the order is there already */
};
_Noreturn void supervisor_run(const struct supervisor_order *order);

#endif
