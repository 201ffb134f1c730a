/* How the start of a command goes on. The one that enters has the sandbox's ids before the command is there, so nothing that it says is taken for true:
 * it has two notes, each once, and the command that it names must be a child of the supervisor that nobody else is known as. It is killed once it has said
 * that, and nobody waits for anybody's end: what is killed is reaped in its own turn. */
#include "exec.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_US 1000000 /* a start that failed is answered by then, whoever is slow to die */

static void exec_settle(struct exec *exec);

/* ---- children ---- */

static void kill_by(const struct watch *pidfd) {
  if (pidfd->fd >= 0)
    syscall(SYS_pidfd_send_signal, pidfd->fd, SIGKILL, NULL, 0);
}

/* Of a child that is dead, or that somebody else has reaped. */
static void reap(struct loop *loop, struct watch *pidfd) {
  siginfo_t information = {0};
  if (pidfd->fd >= 0 && (waitid(P_PIDFD, (id_t)pidfd->fd, &information, WEXITED | WNOHANG | __WALL) < 0 || information.si_pid))
    loop_close(loop, pidfd);
}

static void child_ready(struct watch *watch, uint32_t events) {
  struct exec *exec = watch->owner;
  (void)events;
  reap(&exec->supervisor->loop, watch);
  exec_settle(exec);
}

static int watch_child(struct exec *exec, struct watch *pidfd) {
  pidfd->ready = child_ready;
  pidfd->owner = exec;
  return loop_add(&exec->supervisor->loop, pidfd, EPOLLIN);
}

/* ---- the end of a start ---- */

/* Which may not be watched yet. */
static void close_failures(struct exec *exec) {
  loop_remove(&exec->supervisor->loop, &exec->failures);
  exec->failures.fd = -1;
  fd_close(&exec->channel.failures);
}

static void exec_free(struct exec *exec) {
  struct exec **at = &exec->supervisor->starting;
  struct loop *loop = &exec->supervisor->loop;
  while (*at != exec)
    at = &(*at)->next;
  *at = exec->next;
  loop_remove(loop, &exec->notes);
  loop_close(loop, &exec->entering);
  close_failures(exec);
  notes_close(&exec->channel.notes);
  channel_close(&exec->channel);
  fd_discard(&exec->terminal);
  free(exec);
}

static void answer_failure(struct exec *exec) {
  const struct failure *failure = &exec->failure;
  struct frame frame;
  if (!exec->asker)
    return;
  frame_begin(&frame, ERROR, exec->request);
  frame_put(&frame, "code", "%s", exec->supervisor->state == RUNNING ? "launch-failed" : "ended");
  frame_put(&frame, "message", "%s: %s", failure->message, strerror(failure->error));
  frame_put(&frame, "layer", "%s", layer_name(failure->layer));
  frame_put(&frame, "errno", "%d", failure->error);
  frame_put(&frame, "guest", "%d", failure->guest);
  frame_end(&frame);
  peer_send(exec->asker, &frame);
  exec->asker = NULL;
}

/* The command executes: from now on the process is one like `main`. */
static void exec_started(struct exec *exec) {
  struct supervisor *supervisor = exec->supervisor;
  struct process *process = exec->process;
  struct channel *channel = &exec->channel;
  if (exec->tty) {
    fd_close(&channel->input);
    fd_close(&channel->output);
    fd_close(&channel->errors);
  }
  int input = channel->input, output = exec->tty ? exec->terminal : channel->output, errors = channel->errors;
  if (process->pidfd.fd < 0 || (exec->tty && exec->terminal < 0)) {
    exec_failed_here(exec, LAYER_SUPERVISOR, "the command is not to be watched");
    return;
  }
  channel->input = channel->output = channel->errors = exec->terminal = -1;
  if (process_open(process, &supervisor->loop, input, output, errors, exec->tty, exec->output_bytes, &supervisor->log) < 0) {
    exec_failed_here(exec, LAYER_SUPERVISOR, "the command is not to be watched");
    return;
  }
  process->state = PROCESS_RUNNING;
  process->started_ms = wall_ms();
  process->kill_at_us = exec->timeout_ms ? now_us() + exec->timeout_ms * 1000 : 0;
  process->pidfd.ready = processes_pidfd_ready;
  process->pidfd.owner = process;
  process->pidfd.context = supervisor;
  if (exec->asker) {
    struct frame frame;
    frame_begin(&frame, STARTED, exec->request);
    frame_put(&frame, "pid", "%d", (int)process->pid);
    frame_put(&frame, "pid-inside", "%d", (int)process->pid_inside);
    frame_put(&frame, "start-ticks", "%llu", (unsigned long long)process->start_ticks);
    frame_put(&frame, "started-at", "%llu", (unsigned long long)process->started_ms);
    frame_end(&frame);
    peer_send(exec->asker, &frame);
  }
  exec_free(exec);
  if (loop_add(&supervisor->loop, &process->pidfd, EPOLLIN) < 0)
    process_signal(process, SIGKILL, true);
}

/* The one that entered is waited for in any case. A command may fail before it is named, and would stay a zombie if it were not known: PID 1 inside could
 * then never end (pid_namespaces(7)). So its note is awaited, or the end of the notes. */
static void exec_settle(struct exec *exec) {
  struct process *process = exec->process;
  if (!exec->failed) {
    if (exec->executes && exec->entering.fd < 0)
      exec_started(exec);
    return;
  }
  if (process->pid <= 0 && !exec->notes_over)
    return;
  kill_by(&process->pidfd);
  kill_by(&exec->entering);
  if (process->pidfd.fd >= 0 && process->pidfd.owner != exec)
    watch_child(exec, &process->pidfd); /* where that fails the clock sees to it */
  if (process->pidfd.fd >= 0 || exec->entering.fd >= 0)
    return;
  answer_failure(exec);
  processes_drop(exec->supervisor, process);
  exec_free(exec);
}

static void exec_failed(struct exec *exec, const struct failure *failure) {
  exec->failure = *failure;
  exec->failed = true;
  exec->give_up_us = now_us() + ANSWER_US;
  close_failures(exec);
  exec_settle(exec);
}

/* Nobody is named by it: neither is there anything to wait for. */
static void notes_end(struct exec *exec) {
  loop_remove(&exec->supervisor->loop, &exec->notes);
  exec->notes_over = true;
}

void exec_failed_here(struct exec *exec, enum layer layer, const char *message) {
  struct failure failure;
  fail(&failure, layer, "%s", message);
  notes_end(exec);
  exec_failed(exec, &failure);
}

void exec_out_of_time(struct exec *exec) {
  if (!exec->failed) {
    errno = ETIMEDOUT;
    exec_failed_here(exec, LAYER_SUPERVISOR, "the command does not start");
    return;
  }
  answer_failure(exec);
  notes_end(exec);
  exec->give_up_us = now_us() + ANSWER_US;
  reap(&exec->supervisor->loop, &exec->process->pidfd);
  reap(&exec->supervisor->loop, &exec->entering);
  exec_settle(exec);
}

void exec_over(struct exec *exec, const char *message) {
  struct loop *loop = &exec->supervisor->loop;
  if (!exec->failed)
    fail(&exec->failure, LAYER_SUPERVISOR, "%s", message);
  reap(loop, &exec->process->pidfd);
  reap(loop, &exec->entering);
  answer_failure(exec);
  processes_drop(exec->supervisor, exec->process);
  exec_free(exec);
}

/* ---- what it says ---- */

/* Answers -1 with errno when it is not the command: a child of the supervisor (waitid(2) tells) that is nobody else. */
static int take_main(struct exec *exec, int *pidfd) {
  struct process *process = exec->process;
  siginfo_t information = {0};
  errno = EPROTO;
  if (process->pidfd.fd >= 0 || *pidfd < 0 || waitid(P_PIDFD, (id_t)*pidfd, &information, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
    return -1;
  pid_t pid = pidfd_number(*pidfd);
  errno = EPROTO;
  if (pid <= 0 || exec_child(exec->supervisor, pid))
    return -1;
  process->pidfd.fd = *pidfd;
  *pidfd = -1;
  process->pid = pid;
  process->start_ticks = process_start_ticks(pid);
  process->pid_inside = process_pid_inside(pid);
  kill_by(&exec->entering); /* it has nothing more to do */
  return 0;
}

/* Answers -1 with errno when it is no master of a terminal (ioctl_tty(2)). */
static int take_terminal(struct exec *exec, int *fd) {
  unsigned number;
  bool is_master = *fd >= 0 && ioctl(*fd, TIOCGPTN, &number) == 0;
  errno = EPROTO;
  if (!exec->tty || exec->terminal >= 0 || !is_master)
    return -1;
  exec->terminal = *fd;
  *fd = -1;
  return 0;
}

/* Answers 1; 0 at the end of the notes; -1 with errno, EAGAIN when there is none. */
static int take_note(struct exec *exec) {
  struct note note;
  int fd, received = note_receive(exec->channel.notes, &note, &fd, MSG_DONTWAIT);
  if (received != 1)
    return received;
  errno = EPROTO;
  int taken = note.kind == NOTE_MAIN ? take_main(exec, &fd) : note.kind == NOTE_TERMINAL ? take_terminal(exec, &fd) : -1;
  int error = errno;
  fd_discard(&fd);
  errno = error;
  return taken == 0 ? 1 : -1;
}

/* Takes what has come, two notes at most; answers false when the start has failed by it, and may be no more. */
static bool take_notes(struct exec *exec) {
  int taken = 1;
  while (!exec->notes_over && (taken = take_note(exec)) == 1)
    ;
  if (taken == 0)
    notes_end(exec);
  if (taken >= 0 || errno == EAGAIN)
    return true;
  exec_failed_here(exec, LAYER_SUPERVISOR, "the one that enters says something else");
  return false;
}

static void notes_ready(struct watch *watch, uint32_t events) {
  struct exec *exec = watch->owner;
  (void)events;
  if (take_notes(exec))
    exec_settle(exec);
}

static void failures_ready(struct watch *watch, uint32_t events) {
  struct exec *exec = watch->owner;
  struct failure failure;
  (void)events;
  int received = failure_receive(watch->fd, &failure), error = errno;
  if ((received < 0 && error == EAGAIN) || !take_notes(exec))
    return;
  errno = error;
  if (received == 1) {
    exec_failed(exec, &failure);
  } else if (received == 0) {
    exec->executes = true;
    loop_remove(&exec->supervisor->loop, watch);
    exec_settle(exec);
  } else {
    exec_failed_here(exec, LAYER_SUPERVISOR, "the command does not start");
  }
}

int exec_watch(struct exec *exec) {
  struct loop *loop = &exec->supervisor->loop;
  exec->notes = (struct watch){.fd = exec->channel.notes, .ready = notes_ready, .owner = exec};
  exec->failures = (struct watch){.fd = exec->channel.failures, .ready = failures_ready, .owner = exec};
  return watch_child(exec, &exec->entering) < 0 || loop_add(loop, &exec->notes, EPOLLIN) < 0 || loop_add(loop, &exec->failures, EPOLLIN) < 0 ? -1 : 0;
}
