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
#include "children.h"
#include "notify.h"
#include "seccomp-filter.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_DEADLINE_MS 5000
#define LISTEN_PATIENCE_US 500000
#define REAPED_AT_ONCE 64
#define SWEEP_AFTER_US 5000000 /* by then the daemon has had cleaned what it knows of, and told of it */

/* ---- ready shells ---- */

unsigned launcher_count(const struct launcher *launcher, int state) {
  unsigned count = 0;
  for (const struct child *child = launcher->children; child; child = child->next)
    count += (int)child->state == state;
  return count;
}

/* Microseconds until a shell is to be prepared, -1 for none. One at start shows whether this machine can do it at all, also where none
 * are wanted; a machine whose cgroups or filter are missing is not tried. */
static int64_t refill_pause(const struct launcher *launcher, bool probed) {
  unsigned target = launcher->host->ready_target, there = launcher_count(launcher, READY) + launcher_count(launcher, PREPARING);
  bool hopeless = launcher->problem.message[0] && !launcher->refill_after_us;
  uint64_t now = now_us();
  if (hopeless || launcher_count(launcher, LAUNCHING) || !(there < target || (!probed && there == 0)))
    return -1;
  return launcher->refill_after_us > now ? (int64_t)(launcher->refill_after_us - now) : 0;
}

static void refill(struct launcher *launcher) {
  struct order *order = child_new_order();
  struct child *child = order ? child_start_supervisor(launcher, order, NS_DEFAULT, true) : NULL;
  if (child) {
    child->state = PREPARING;
    return;
  }
  if (order)
    munmap(order, sizeof *order);
  launcher->refill_after_us = now_us() + REFILL_PAUSE_US;
  log_line(50, "a shell cannot be started: %s", strerror(errno));
}

/* Microseconds until what nobody minds any more is to be removed, -1 for never. */
static int64_t sweep_pause(const struct launcher *launcher) {
  uint64_t now = now_us();
  if (!launcher->sweep_at_us)
    return -1;
  return launcher->sweep_at_us > now ? (int64_t)(launcher->sweep_at_us - now) : 0;
}

static void sweep(struct launcher *launcher) {
  int removed = cgroup_sweep(&launcher->host->cgroups);
  launcher->sweep_at_us = 0;
  if (removed > 0)
    log_line(30, "removed the cgroups of %d slots that nobody minded", removed);
}

static void drop_surplus(struct launcher *launcher) {
  unsigned ready = launcher_count(launcher, READY);
  for (struct child *child = launcher->children; child && ready > launcher->host->ready_target; child = child->next)
    if (child->state == READY && child->control.fd >= 0) {
      child_let_go(child);
      ready--;
    }
}

/* ---- the ends of children, and our own ---- */

/* Whoever waits for its launch is answered when all of that is undone. */
static void clean_after(struct child *child) {
  long slot = child_slot(child);
  struct child *worker = slot < 0 ? NULL : child_start_worker(child->launcher, child->asker, child->request, slot, child->id[0] ? child->id : "none");
  if (!worker)
    return;
  worker->undoing = true;
  child->asker = NULL;
}

static void child_ended(struct child *child, int status) {
  struct launcher *launcher = child->launcher;
  struct frame frame;
  if (child->control.fd >= 0 && child->asker) /* its reply may still lie in the socket */
    child_control_ready(&child->control, EPOLLIN);
  bool orderly = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!orderly && child->state != WORKING) {
    log_line(50, "supervisor %d (%s) of slot %ld ended by %s %d; its sandbox is cleaned", (int)child->pid, child->id[0] ? child->id : "ready", child_slot(child),
             WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (child->state == PREPARING || child->state == READY)
      launcher->refill_after_us = now_us() + REFILL_PAUSE_US / 10;
    clean_after(child);
  }
  if (child->asker && child->answer.data) {
    child_reply(child, &child->answer);
  } else if (child->asker) {
    bool launch = child->state == LAUNCHING || child->undoing;
    frame_error(&frame, child->request, launch ? "launch-failed" : "failed", "the process that should answer ended");
    child_reply(child, &frame);
  }
  child_free(child);
}

/* Orphans of sandboxes that share the host's pids come to us too, and how many is theirs to say: the rest has its turn after all else that is ready. */
static void reap(struct launcher *launcher) {
  int status;
  for (int reaped = 0; reaped < REAPED_AT_ONCE; reaped++) {
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0)
      return;
    for (struct child *child = launcher->children; child; child = child->next)
      if (child->pid == pid) {
        child_ended(child, status);
        break;
      }
  }
  raise(SIGCHLD);
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
  notify_send(launcher->host->notify_socket, "STOPPING=1");
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

/* One for each profile: what no definition changes is compiled once. */
static int compile_filters(struct host *host, struct failure *failure) {
  static const struct seccomp_choice usual = {0}, strict = {.strict = true};
  return seccomp_compile(&host->filters[0], &usual, failure) < 0 ? -1 : seccomp_compile(&host->filters[1], &strict, failure);
}

/* What a launcher that was killed had forked just then holds its socket until it has closed all that it was forked with. */
static int listen_alone(struct launcher *launcher) {
  uint64_t until = now_us() + LISTEN_PATIENCE_US;
  int result;
  while ((result = server_listen(&launcher->server, &launcher->loop, launcher->host->sockets, "../launcher.sock")) < 0 && errno == EADDRINUSE &&
         now_us() < until)
    usleep(5000);
  return result;
}

int launcher_run(struct host *host) {
  static struct launcher launcher;
  bool probed = false;
  launcher = (struct launcher){.host = host, .next_slot = (unsigned)(now_us() / 1000 % SLOT_LIMIT), .sweep_at_us = now_us() + SWEEP_AFTER_US};
  launcher.server = (struct server){.handle = launcher_handle, .closed = launcher_peer_closed, .owner = &launcher};
  /* Orphans of a supervisor that was killed come to us: a zombie that the host's PID 1 is slow to reap would keep PID 1 inside from
   * ending (prctl(2), pid_namespaces(7)). */
  if (loop_open(&launcher.loop) < 0 || open_signals(&launcher) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
    log_line(50, "cannot start: %s", strerror(errno));
    return 1;
  }
  if (compile_filters(host, &launcher.problem) < 0 || cgroup_host_open(&host->cgroups, host->cgroup_parent, &launcher.problem) < 0)
    log_line(50, "launches are refused: %s: %s", launcher.problem.message, strerror(launcher.problem.error));
  if (listen_alone(&launcher) < 0) {
    log_line(50, errno == EADDRINUSE ? "another launcher answers on %s/launcher.sock" : "cannot listen on %s/launcher.sock", host->run_dir);
    return 1;
  }
  log_line(30, "launcher ready: cgroups %s, ids from %u, %u shells to be kept ready", host->cgroups.layout, host->id_base, host->ready_target);
  if (notify_send(host->notify_socket, "READY=1") < 0)
    log_line(40, "the service manager was not told: %s", strerror(errno));
  while (!launcher.ending) {
    int64_t refill_in = refill_pause(&launcher, probed), sweep_in = sweep_pause(&launcher);
    int64_t pause = refill_in < 0 || (sweep_in >= 0 && sweep_in < refill_in) ? sweep_in : refill_in;
    if (loop_once(&launcher.loop, pause < 0 ? -1 : (int)((pause + 999) / 1000)) == 0) {
      if (sweep_in == 0)
        sweep(&launcher);
      if (refill_in == 0) {
        refill(&launcher);
        probed = true;
      }
    }
    drop_surplus(&launcher);
  }
  end_launcher(&launcher);
  log_line(30, "launcher ended; %u sandboxes run on", launcher_count(&launcher, SUPERVISING));
  return 0;
}
