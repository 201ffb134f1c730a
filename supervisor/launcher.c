/* Theory of operation.
 *
 * One process, one loop. It listens on RUN_DIR/launcher.sock for the daemon, and forks children that each do one thing and speak over
 * a control socket of their own:
 *
 *   ready     a supervisor that has prepared a shell and waits for an order (memory shared with it) and a go
 *   launching the same, or a fresh one, with an order; its one reply is passed on to the asker
 *   running   a supervisor that has answered; it lives on without us, and only its death is still minded
 *   worker    cleans a slot or removes a tree, answers, ends
 *
 * Ready ones are made when nothing else is to do. When the launcher ends, their control sockets do, and they undo themselves; running
 * ones do not notice. A supervisor that dies without releasing leaves a cgroup: its slot is cleaned at once. */
#include "launcher.h"
#include "peer.h"
#include "remove.h"
#include "seccomp-filter.h"
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REFILL_IDLE_US 1000   /* after the last launch: what is asked for comes before what may be */
#define REFILL_PAUSE_US 1000000 /* after a shell that could not be prepared, or died */
#define CLEAN_DEADLINE_MS 10000
#define END_DEADLINE_MS 5000

struct child {
  struct child *next;
  struct launcher *launcher;
  pid_t pid;
  enum { PREPARING, READY, LAUNCHING, SUPERVISING, WORKING } state;
  struct watch control;
  struct order *order;
  struct peer *asker; /* NULL: nobody, or gone */
  bool undoing; /* a worker that cleans up after a launch: what the asker hears is that it failed */
  uint32_t request, reply_type;
  unsigned slot;
  char id[65];
};

struct launcher {
  struct host *host;
  struct loop loop;
  struct server server;
  struct watch signals;
  struct child *children;
  unsigned next_slot;
  uint64_t refill_after_us;
  bool ending;
  struct failure problem; /* what keeps this machine from launching; message empty: nothing */
};

/* ---- children ---- */

static void drop_order(struct child *child) {
  if (child->order)
    munmap(child->order, sizeof *child->order);
  child->order = NULL;
}

static void child_free(struct child *child) {
  struct child **at = &child->launcher->children;
  while (*at != child)
    at = &(*at)->next;
  *at = child->next;
  loop_close(&child->launcher->loop, &child->control);
  drop_order(child);
  free(child);
}

/* What its cgroup has taken; -1: none was made. An order is held from before that until the launch is answered. */
static long slot_of(const struct child *child) {
  return child->order ? (long)child->order->slot_taken - 1 : (long)child->slot;
}

static void reply(struct child *child, struct frame *frame) {
  if (child->asker)
    peer_send(child->asker, frame);
  else
    frame_free(frame);
  child->asker = NULL;
}

static void note_problem(struct launcher *launcher, const char *frame, size_t length) {
  struct fields fields;
  if (length < sizeof(struct wire_header) || !fields_open(&fields, frame + sizeof(struct wire_header), length - sizeof(struct wire_header)))
    return;
  const char *message = fields_get(&fields, "message"), *layer = fields_get(&fields, "layer");
  launcher->problem.error = (int)fields_number(&fields, "errno", 0);
  for (int i = 0; layer && i < LAYER_COUNT; i++)
    if (strcmp(layer, layer_name((enum layer)i)) == 0)
      launcher->problem.layer = (enum layer)i;
  snprintf(launcher->problem.message, sizeof launcher->problem.message, "%s", message ? message : "a shell cannot be prepared");
  launcher->refill_after_us = now_us() + REFILL_PAUSE_US;
  log_line(50, "a shell cannot be prepared: %s", launcher->problem.message);
}

static void control_ready(struct watch *watch, uint32_t events) {
  static struct control control;
  struct child *child = watch->owner;
  ssize_t length = recv(watch->fd, &control, sizeof control, MSG_DONTWAIT);
  size_t head = offsetof(struct control, frame);
  (void)events;
  if (length < 0 && errno == EAGAIN)
    return;
  if (length < (ssize_t)head) { /* its end: what it leaves is minded when it is reaped */
    loop_close(&child->launcher->loop, watch);
    return;
  }
  child->slot = control.slot;
  size_t size = (size_t)length - head;
  if (control.kind == CONTROL_READY) {
    child->state = READY;
    child->launcher->problem.message[0] = 0;
  } else if (child->state == PREPARING) {
    note_problem(child->launcher, control.frame, size);
  } else if (size >= sizeof(struct wire_header)) {
    struct frame frame = {.data = malloc(size), .length = size, .capacity = size};
    frame.failed = !frame.data;
    if (frame.data) {
      memcpy(frame.data, control.frame, size);
      struct wire_header *header = (struct wire_header *)(void *)frame.data;
      header->request = child->request;
      if (child->state == LAUNCHING && header->type == LAUNCHED)
        child->state = SUPERVISING;
    }
    if (child->undoing)
      frame_free(&frame), frame_error(&frame, child->request, "launch-failed", "the supervisor ended during the launch");
    reply(child, &frame);
    drop_order(child);
    if (child->launcher->refill_after_us < now_us() + REFILL_IDLE_US)
      child->launcher->refill_after_us = now_us() + REFILL_IDLE_US;
  }
}

/* In the child: nothing of the launcher's stays open but the log, the directories and the control socket. */
static void leave_launcher(const struct launcher *launcher, int control) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0)
    dup2(null, 0), dup2(null, 1);
  int kept[] = {0, 1, 2, control, launcher->host->sandboxes, launcher->host->sockets};
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (keep_only(kept, sizeof kept / sizeof *kept) < 0)
    _exit(71);
}

/* Forks; in the child answers with `*control` set and child NULL. On failure NULL with `*control` -1. */
static struct child *fork_child(struct launcher *launcher, struct order *order, int *control) {
  int pair[2] = {-1, -1};
  struct child *child = calloc(1, sizeof *child);
  *control = -1;
  if (!child || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    free(child);
    return NULL;
  }
  pid_t pid = fork();
  if (pid == 0) {
    *control = pair[1];
    leave_launcher(launcher, pair[1]);
    return NULL;
  }
  int error = errno;
  close(pair[1]);
  *child = (struct child){.next = launcher->children, .launcher = launcher, .pid = pid, .order = order};
  child->control = (struct watch){.fd = pair[0], .ready = control_ready, .owner = child};
  if (pid < 0 || loop_add(&launcher->loop, &child->control, EPOLLIN) < 0) {
    close(pair[0]);
    free(child);
    errno = error;
    return NULL;
  }
  launcher->children = child;
  return child;
}

static struct child *start_supervisor(struct launcher *launcher, struct order *order, unsigned isolate, bool ready) {
  int control;
  unsigned slot = launcher->next_slot;
  launcher->next_slot = (slot + 1) % SLOT_LIMIT;
  struct child *child = fork_child(launcher, order, &control);
  if (child)
    child->slot = slot;
  if (child || control < 0)
    return child;
  struct supervisor_order supervisor_order = {.host = launcher->host, .order = order, .control = control, .slot = slot, .isolate = isolate, .ready = ready};
  supervisor_run(&supervisor_order);
}

static struct order *new_order(void) {
  void *order = mmap(NULL, sizeof(struct order), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return order == MAP_FAILED ? NULL : order;
}

/* ---- ready shells ---- */

static unsigned count_children(const struct launcher *launcher, int state) {
  unsigned count = 0;
  for (const struct child *child = launcher->children; child; child = child->next)
    count += (int)child->state == state;
  return count;
}

/* Microseconds until a shell is to be prepared, -1 for none. One at start shows whether this machine can do it at all, also where none
 * are wanted; a machine whose cgroups or filter are missing is not tried. */
static int64_t refill_pause(const struct launcher *launcher, bool probed) {
  unsigned target = launcher->host->ready_target, there = count_children(launcher, READY) + count_children(launcher, PREPARING);
  bool hopeless = launcher->problem.message[0] && !launcher->refill_after_us;
  uint64_t now = now_us();
  if (hopeless || count_children(launcher, LAUNCHING) || !(there < target || (!probed && there == 0)))
    return -1;
  return launcher->refill_after_us > now ? (int64_t)(launcher->refill_after_us - now) : 0;
}

static void refill(struct launcher *launcher) {
  struct order *order = new_order();
  struct child *child = order ? start_supervisor(launcher, order, NS_DEFAULT, true) : NULL;
  if (child) {
    child->state = PREPARING;
    return;
  }
  if (order)
    munmap(order, sizeof *order);
  launcher->refill_after_us = now_us() + REFILL_PAUSE_US;
  log_line(50, "a shell cannot be started: %s", strerror(errno));
}

static void drop_surplus(struct launcher *launcher) {
  unsigned ready = count_children(launcher, READY);
  for (struct child *child = launcher->children; child && ready > launcher->host->ready_target; child = child->next)
    if (child->state == READY && child->control.fd >= 0) {
      loop_close(&launcher->loop, &child->control); /* it undoes itself and is reaped */
      child->state = WORKING;
      ready--;
    }
}

/* ---- workers ---- */

static void reply_gone(int control, unsigned slot, int killed, int cgroups, uint64_t begun_us) {
  struct frame frame;
  frame_begin(&frame, CLEANED, 1);
  frame_put(&frame, "killed", "%d", killed);
  frame_put(&frame, "cgroups", "%d", cgroups > 0 ? cgroups : 0);
  frame_put(&frame, "mounts", "0");
  frame_put(&frame, "milliseconds", "%llu", (unsigned long long)(now_us() - begun_us + 500) / 1000);
  frame_put(&frame, "complete", "%d", cgroups >= 0);
  if (cgroups < 0)
    frame_put(&frame, "remaining", "cgroup %u: %s", slot, strerror(errno));
  frame_end(&frame);
  control_send(control, CONTROL_REPLY, slot, &frame);
}

static _Noreturn void clean(const struct launcher *launcher, int control, unsigned slot, const char *id) {
  struct cgroup cgroup;
  char socket_name[80];
  uint64_t begun = now_us();
  int killed = 0, cgroups = 0;
  if (cgroup_open(&cgroup, &launcher->host->cgroups, slot) == 0) {
    killed = cgroup_count(&cgroup);
    for (int tries = 0; (cgroups = cgroup_remove(&cgroup)) < 0 && tries < CLEAN_DEADLINE_MS; tries++) {
      cgroup_kill(&cgroup);
      usleep(1000);
    }
  }
  snprintf(socket_name, sizeof socket_name, "%s.sock", id);
  unlinkat(launcher->host->sockets, socket_name, 0);
  reply_gone(control, slot, killed > 0 ? killed : 0, cgroups, begun);
  _exit(0);
}

static _Noreturn void remove_files(const struct launcher *launcher, int control, const char *id) {
  struct removed removed;
  struct frame frame;
  if (remove_tree(launcher->host->sandboxes, id, &removed) < 0) {
    frame_error(&frame, 1, "failed", "%s", strerror(errno));
  } else {
    frame_begin(&frame, REMOVED, 1);
    frame_put(&frame, "files", "%llu", (unsigned long long)removed.files);
    frame_put(&frame, "bytes", "%llu", (unsigned long long)removed.bytes);
    frame_end(&frame);
  }
  control_send(control, CONTROL_REPLY, 0, &frame);
  _exit(0);
}

/* ---- requests ---- */

static const struct rule no_rules[] = {{0}};
static const struct rule clean_rules[] = {{"id", RULE_ID, 0, 0, false, false}, {"slot", RULE_NUMBER, 0, SLOT_LIMIT - 1, false, false},
                                           {"force", RULE_NUMBER, 0, 1, true, false}, {0}};
static const struct rule remove_rules[] = {{"id", RULE_ID, 0, 0, false, false}, {0}};

static void refuse(struct peer *peer, uint32_t request, const char *code, const char *message) {
  struct frame frame;
  frame_error(&frame, request, code, "%s", message);
  peer_send(peer, &frame);
}

static void welcome(struct launcher *launcher, struct peer *peer, uint32_t request) {
  struct frame frame;
  const struct host *host = launcher->host;
  frame_begin(&frame, WELCOME, request);
  frame_put(&frame, "pid", "%d", (int)getpid());
  frame_put(&frame, "start-ticks", "%llu", (unsigned long long)process_start_ticks(getpid()));
  frame_put(&frame, "version", "%s", PROGRAM_VERSION);
  frame_put(&frame, "detached", "%d", host->detached);
  frame_put(&frame, "ready", "%u", count_children(launcher, READY));
  frame_put(&frame, "ready-target", "%u", host->ready_target);
  frame_put(&frame, "supervisors", "%u", count_children(launcher, SUPERVISING));
  frame_put(&frame, "cgroup-layout", "%s", host->cgroups.layout);
  frame_put(&frame, "cgroup-parent", "%s", host->cgroup_parent);
  frame_put(&frame, "uid-base", "%u", host->id_base);
  for (int i = 0; i < NS_COUNT; i++) {
    char key[16];
    snprintf(key, sizeof key, "ns-%s", ns_table[i].name);
    frame_put(&frame, key, "%llu", (unsigned long long)host->ns_inode[i]);
  }
  if (launcher->problem.message[0])
    frame_put(&frame, "problem", "%s %d %s", layer_name(launcher->problem.layer), launcher->problem.error, launcher->problem.message);
  frame_end(&frame);
  peer_send(peer, &frame);
}

static struct child *take_ready(struct launcher *launcher, unsigned isolate) {
  for (struct child *child = launcher->children; isolate == NS_DEFAULT && child; child = child->next)
    if (child->state == READY && child->control.fd >= 0)
      return child;
  return NULL;
}

static void fill_order(struct order *order, const struct fields *fields) {
  order->length = (uint32_t)(fields->end - fields->start);
  memcpy(order->body, fields->start, order->length);
}

static struct child *begin_launch(struct launcher *launcher, const struct definition *definition, const struct fields *fields) {
  struct child *child = take_ready(launcher, definition->isolate);
  if (child) {
    fill_order(child->order, fields);
    if (send(child->control.fd, "g", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
      return child;
    loop_close(&launcher->loop, &child->control); /* it died just now, and is cleaned after when it is reaped: a fresh one then */
  }
  struct order *order = new_order();
  if (!order)
    return NULL;
  fill_order(order, fields);
  child = start_supervisor(launcher, order, definition->isolate, false);
  if (!child)
    munmap(order, sizeof *order);
  return child;
}

static void launch(struct launcher *launcher, struct peer *peer, uint32_t request, const struct fields *fields) {
  static struct definition definition;
  char error[128];
  if (!definition_read(&definition, fields, error)) {
    refuse(peer, request, "invalid", error);
    return;
  }
  struct child *child = launcher->host->cgroups.v2[0] ? begin_launch(launcher, &definition, fields) : NULL;
  if (child) {
    child->state = LAUNCHING;
    child->asker = peer;
    child->request = request;
    snprintf(child->id, sizeof child->id, "%s", definition.id);
    return;
  }
  struct failure failure = launcher->problem;
  struct frame frame;
  if (!failure.message[0])
    fail(&failure, LAYER_SUPERVISOR, "fork");
  frame_begin(&frame, ERROR, request);
  frame_put(&frame, "code", "launch-failed");
  frame_put(&frame, "message", "%s", failure.message);
  frame_put(&frame, "layer", "%s", layer_name(failure.layer));
  frame_put(&frame, "errno", "%d", failure.error);
  frame_put(&frame, "guest", "0");
  frame_end(&frame);
  peer_send(peer, &frame);
}

/* The supervisor of a sandbox, ours by its slot or an adopted one by its socket; -1: there is none. Not reaped, or held by a
 * descriptor, so that the kill goes to nobody else. */
static int open_supervisor(const struct launcher *launcher, unsigned slot, const char *id) {
  char name[80];
  for (const struct child *child = launcher->children; child; child = child->next)
    if (child->state != WORKING && slot_of(child) == (long)slot)
      return (int)syscall(SYS_pidfd_open, child->pid, 0);
  snprintf(name, sizeof name, "%s.sock", id);
  pid_t pid = server_pid(launcher->host->sockets, name);
  int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
  if (pidfd >= 0 && server_pid(launcher->host->sockets, name) != pid) /* it ended meanwhile, and its number may be another's */
    fd_close(&pidfd);
  return pidfd;
}

/* A worker for CLEAN (`slot`) or REMOVE (-1). `peer` may be NULL: the launcher's own wish. Answers NULL where none could be started. */
static struct child *start_worker(struct launcher *launcher, struct peer *peer, uint32_t request, long slot, const char *id) {
  int control;
  struct child *child = fork_child(launcher, NULL, &control);
  if (child) {
    child->state = WORKING;
    child->asker = peer;
    child->request = request;
    return child;
  }
  if (control < 0)
    return NULL;
  process_title("worker", id);
  if (slot >= 0)
    clean(launcher, control, (unsigned)slot, id);
  remove_files(launcher, control, id);
}

static void ask_worker(struct launcher *launcher, struct peer *peer, uint32_t request, long slot, const char *id) {
  if (!start_worker(launcher, peer, request, slot, id))
    refuse(peer, request, "failed", strerror(errno));
}

static bool socket_exists(const struct launcher *launcher, const char *id) {
  char name[80];
  snprintf(name, sizeof name, "%s.sock", id);
  return faccessat(launcher->host->sockets, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void handle(struct server *server, struct peer *peer, const struct wire_header *header, const struct fields *fields) {
  struct launcher *launcher = server->owner;
  char error[128] = "no such request here";
  const char *id = fields_get(fields, "id");
  unsigned slot = (unsigned)fields_number(fields, "slot", 0);
  if (header->type == LAUNCH)
    launch(launcher, peer, header->request, fields);
  else if (header->type == HELLO && fields_check(fields, no_rules, error))
    welcome(launcher, peer, header->request);
  else if (header->type == END && fields_check(fields, no_rules, error)) {
    struct frame frame;
    frame_begin(&frame, DONE, header->request);
    frame_end(&frame);
    peer_send(peer, &frame);
    launcher->ending = true;
  } else if (header->type == CLEAN && fields_check(fields, clean_rules, error)) {
    int supervisor = open_supervisor(launcher, slot, id);
    if (supervisor >= 0 && fields_number(fields, "force", 0))
      syscall(SYS_pidfd_send_signal, supervisor, SIGKILL, NULL, 0);
    else if (supervisor >= 0)
      refuse(peer, header->request, "running", "a supervisor holds this slot");
    if (supervisor < 0 || fields_number(fields, "force", 0))
      ask_worker(launcher, peer, header->request, slot, id);
    fd_close(&supervisor);
  } else if (header->type == REMOVE && fields_check(fields, remove_rules, error)) {
    if (socket_exists(launcher, id))
      refuse(peer, header->request, "running", "a supervisor holds these files");
    else
      ask_worker(launcher, peer, header->request, -1, id);
  } else
    refuse(peer, header->request, "invalid", error);
}

static void peer_closed(struct server *server, struct peer *peer) {
  struct launcher *launcher = server->owner;
  for (struct child *child = launcher->children; child; child = child->next)
    if (child->asker == peer)
      child->asker = NULL;
}

/* ---- the ends of children, and our own ---- */

/* Whoever waits for its launch is answered when all of that is undone. */
static void clean_after(struct child *child) {
  long slot = slot_of(child);
  struct child *worker = slot < 0 ? NULL : start_worker(child->launcher, child->asker, child->request, slot, child->id[0] ? child->id : "none");
  if (!worker)
    return;
  worker->undoing = true;
  child->asker = NULL;
}

static void child_ended(struct child *child, int status) {
  struct launcher *launcher = child->launcher;
  struct frame frame;
  if (child->control.fd >= 0 && child->asker) /* its reply may still lie in the socket */
    control_ready(&child->control, EPOLLIN);
  bool orderly = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!orderly && child->state != WORKING) {
    log_line(50, "supervisor %d (%s) of slot %ld ended by %s %d; its sandbox is cleaned", (int)child->pid, child->id[0] ? child->id : "ready", slot_of(child),
             WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (child->state == PREPARING || child->state == READY)
      launcher->refill_after_us = now_us() + REFILL_PAUSE_US / 10;
    clean_after(child);
  }
  if (child->asker) {
    bool launch = child->state == LAUNCHING || child->undoing;
    frame_error(&frame, child->request, launch ? "launch-failed" : "failed", "the process that should answer ended");
    reply(child, &frame);
  }
  child_free(child);
}

static void reap(struct launcher *launcher) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    for (struct child *child = launcher->children; child; child = child->next)
      if (child->pid == pid) {
        child_ended(child, status);
        break;
      }
}

static void signals_ready(struct watch *watch, uint32_t events) {
  struct launcher *launcher = watch->owner;
  struct signalfd_siginfo information;
  (void)events;
  if (read(watch->fd, &information, sizeof information) != (ssize_t)sizeof information)
    return;
  if (information.ssi_signo == SIGCHLD)
    reap(launcher);
  else
    launcher->ending = true;
}

static bool anything_to_await(const struct launcher *launcher) {
  for (const struct child *child = launcher->children; child; child = child->next)
    if (child->state != SUPERVISING)
      return true;
  return false;
}

/* No new work; what is launching is finished, what is ready undoes itself. Running ones stay. */
static void end_launcher(struct launcher *launcher) {
  uint64_t until = now_us() + END_DEADLINE_MS * 1000;
  loop_close(&launcher->loop, &launcher->server.listener);
  unlinkat(launcher->host->sockets, "../launcher.sock", 0);
  launcher->host->ready_target = 0;
  for (struct child *child = launcher->children; child; child = child->next)
    if (child->state == PREPARING)
      loop_close(&launcher->loop, &child->control);
  drop_surplus(launcher);
  while (anything_to_await(launcher) && now_us() < until)
    loop_once(&launcher->loop, 100);
  server_close(&launcher->server);
  cgroup_host_close(&launcher->host->cgroups, launcher->host->cgroup_parent);
}

static int open_signals(struct launcher *launcher) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); /* a log that may not grow is an error of its write */
  signal(SIGHUP, SIG_IGN);
  if (sigprocmask(SIG_BLOCK, &wanted, NULL) < 0)
    return -1;
  launcher->signals = (struct watch){.fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK), .ready = signals_ready, .owner = launcher};
  return launcher->signals.fd < 0 ? -1 : loop_add(&launcher->loop, &launcher->signals, EPOLLIN);
}

int launcher_run(struct host *host) {
  static struct launcher launcher;
  bool probed = false;
  launcher = (struct launcher){.host = host, .next_slot = (unsigned)(now_us() / 1000 % SLOT_LIMIT)};
  launcher.server = (struct server){.handle = handle, .closed = peer_closed, .owner = &launcher};
  /* Orphans of a supervisor that was killed come to us: a zombie that the host's PID 1 is slow to reap would keep PID 1 inside from
   * ending (prctl(2), pid_namespaces(7)). */
  if (loop_open(&launcher.loop) < 0 || open_signals(&launcher) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
    log_line(50, "cannot start: %s", strerror(errno));
    return 1;
  }
  if (seccomp_compile(&host->filter, &launcher.problem) < 0 || cgroup_host_open(&host->cgroups, host->cgroup_parent, &launcher.problem) < 0)
    log_line(50, "launches are refused: %s: %s", launcher.problem.message, strerror(launcher.problem.error));
  if (server_listen(&launcher.server, &launcher.loop, host->sockets, "../launcher.sock") < 0) {
    log_line(50, errno == EADDRINUSE ? "another launcher answers on %s/launcher.sock" : "cannot listen on %s/launcher.sock", host->run_dir);
    return 1;
  }
  log_line(30, "launcher ready: cgroups %s, ids from %u, %u shells to be kept ready", host->cgroups.layout, host->id_base, host->ready_target);
  while (!launcher.ending) {
    int64_t pause = refill_pause(&launcher, probed);
    if (loop_once(&launcher.loop, pause < 0 ? -1 : (int)((pause + 999) / 1000)) == 0 && pause == 0) {
      refill(&launcher);
      probed = true;
    }
    drop_surplus(&launcher);
  }
  end_launcher(&launcher);
  log_line(30, "launcher ended; %u sandboxes run on", count_children(&launcher, SUPERVISING));
  return 0;
}
