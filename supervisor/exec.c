/* Commands started in a running sandbox. The supervisor forks a process that enters the sandbox's namespaces (shell_enter) and leaves
 * the command there as the supervisor's own child. Nothing here waits: a sandbox that is slow to start a command, by its limits or on
 * purpose, holds nobody up. */
#include "supervisor.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALIVE_LIMIT 512
#define START_DEADLINE_US 20000000

/* An EXEC under way. */
struct exec {
  struct exec *next;
  struct supervisor *supervisor;
  struct process *process;
  struct channel channel;
  struct watch notes, failures;
  pid_t entering;
  int terminal;
  struct peer *asker; /* NULL: gone; the command starts all the same */
  uint32_t request;
  uint64_t give_up_us, timeout_ms, output_bytes;
  bool tty, failed, notes_over;
  struct failure failure; /* with `failed`: what is told once it is known whether there is a command to be reaped */
};

/* ---- the start ---- */

static void exec_free(struct exec *exec) {
  struct exec **at = &exec->supervisor->starting;
  while (*at != exec)
    at = &(*at)->next;
  *at = exec->next;
  loop_close(&exec->supervisor->loop, &exec->notes);
  loop_close(&exec->supervisor->loop, &exec->failures);
  exec->channel.notes = exec->channel.failures = -1;
  channel_close(&exec->channel);
  fd_close(&exec->terminal);
  free(exec);
}

/* Nothing of a command that did not start is left: neither it nor the process that was to enter. */
static void exec_failed(struct exec *exec, const struct failure *failure) {
  struct process *process = exec->process;
  if (process->pid > 0) {
    kill(process->pid, SIGKILL);
    waitpid(process->pid, NULL, __WALL);
  }
  if (exec->entering > 0) {
    kill(exec->entering, SIGKILL);
    waitpid(exec->entering, NULL, 0);
  }
  if (exec->asker) {
    struct frame frame;
    frame_begin(&frame, ERROR, exec->request);
    frame_put(&frame, "code", "%s", exec->supervisor->state == RUNNING ? "launch-failed" : "ended");
    frame_put(&frame, "message", "%s: %s", failure->message, strerror(failure->error));
    frame_put(&frame, "layer", "%s", layer_name(failure->layer));
    frame_put(&frame, "errno", "%d", failure->error);
    frame_put(&frame, "guest", "%d", failure->guest);
    frame_end(&frame);
    peer_send(exec->asker, &frame);
  }
  processes_drop(exec->supervisor, process);
  exec_free(exec);
}

static void exec_failed_here(struct exec *exec, const char *message) {
  struct failure failure;
  fail(&failure, LAYER_SUPERVISOR, "%s", message);
  exec_failed(exec, &failure);
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
  int output = exec->tty ? exec->terminal : channel->output;
  if (process->pid <= 0 || (exec->tty && exec->terminal < 0) ||
      process_open(process, &supervisor->loop, channel->input, output, channel->errors, exec->tty, exec->output_bytes, &supervisor->log) < 0) {
    exec_failed_here(exec, "the command is not to be watched");
    return;
  }
  channel->input = channel->output = channel->errors = exec->terminal = -1;
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

/* The one that entered has left the command behind. Its end is quick, as it does nothing after its note. */
static void take_main(struct exec *exec, int pidfd) {
  struct process *process = exec->process;
  if (process->pidfd.fd >= 0) { /* said twice */
    fd_close(&pidfd);
    return;
  }
  process->pidfd.fd = pidfd;
  process->pid = pidfd_number(pidfd);
  process->start_ticks = process_start_ticks(process->pid);
  process->pid_inside = process_pid_inside(process->pid);
  waitpid(exec->entering, NULL, 0);
  exec->entering = -1;
}

static int take_note(struct exec *exec) {
  struct note note;
  int fd;
  int received = note_receive(exec->channel.notes, &note, &fd, MSG_DONTWAIT);
  if (received == 1 && note.kind == NOTE_MAIN && fd >= 0)
    take_main(exec, fd);
  else if (received == 1 && note.kind == NOTE_TERMINAL && exec->terminal < 0)
    exec->terminal = fd;
  else
    fd_close(&fd);
  return received;
}

/* A command may fail before the one that forked it has named it, and would stay a zombie if it were not waited for: PID 1 inside
 * could then never end (pid_namespaces(7)). So its note is awaited, or the end of the notes. */
static void fail_once_known(struct exec *exec) {
  if (exec->failed && (exec->process->pid > 0 || exec->notes_over))
    exec_failed(exec, &exec->failure);
}

static void notes_ready(struct watch *watch, uint32_t events) {
  struct exec *exec = watch->owner;
  (void)events;
  int received = take_note(exec);
  if (received == 0 || (received < 0 && errno != EAGAIN)) {
    loop_remove(&exec->supervisor->loop, watch); /* the failure pipe tells the rest */
    exec->notes_over = true;
  }
  fail_once_known(exec);
}

static void failures_ready(struct watch *watch, uint32_t events) {
  struct exec *exec = watch->owner;
  struct failure failure;
  (void)events;
  ssize_t length = read(watch->fd, &failure, sizeof failure);
  while (take_note(exec) == 1)
    ;
  if (length == 0) {
    exec_started(exec);
  } else if (length == (ssize_t)sizeof failure) {
    failure.message[sizeof failure.message - 1] = 0;
    exec->failure = failure;
    exec->failed = true;
    loop_remove(&exec->supervisor->loop, watch);
    fail_once_known(exec);
  } else {
    exec_failed_here(exec, "the command does not start");
  }
}

static int spawn(struct exec *exec, const struct definition *definition, bool with_stdin) {
  struct supervisor *supervisor = exec->supervisor;
  struct instance *instance = &supervisor->instance;
  struct shell shell = {.host = instance->host, .isolate = instance->isolate, .cgroup = &instance->cgroup};
  struct clone_args arguments = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)instance->cgroup.v2};
  if (channel_open(&exec->channel, &shell.channel) < 0)
    return -1;
  if (!with_stdin || exec->tty) {
    fd_close(&exec->channel.input);
    fd_close(&shell.channel.input);
  }
  exec->entering = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
  if (exec->entering == 0)
    shell_enter(&shell, definition, supervisor->shell.fd);
  int error = errno;
  channel_close(&shell.channel);
  errno = error;
  return exec->entering < 0 ? -1 : 0;
}

static struct exec *new_exec(struct supervisor *supervisor, const char *name) {
  struct exec *exec = calloc(1, sizeof *exec);
  struct process *process = calloc(1, sizeof *process);
  if (!exec || !process) {
    free(exec);
    free(process);
    return NULL;
  }
  *process = (struct process){.loop = &supervisor->loop, .state = PROCESS_STARTING, .pidfd.fd = -1, .input_end.fd = -1, .output.fd = -1, .errors.fd = -1};
  strncpy(process->name, name, sizeof process->name - 1);
  struct process *last = &supervisor->main;
  while (last->next)
    last = last->next;
  last->next = process;
  *exec = (struct exec){
    .next = supervisor->starting, .supervisor = supervisor, .process = process, .channel = CHANNEL_CLOSED, .notes.fd = -1, .failures.fd = -1,
    .entering = -1, .terminal = -1, .give_up_us = now_us() + START_DEADLINE_US,
  };
  supervisor->starting = exec;
  return exec;
}

void exec_begin(struct supervisor *supervisor, struct peer *peer, uint32_t request, const struct fields *fields) {
  static struct definition definition;
  char error[128];
  definition = supervisor->definition;
  memset(definition.arguments, 0, sizeof definition.arguments);
  memset(definition.environment, 0, sizeof definition.environment);
  if (!definition_read_exec(&definition, fields, error)) {
    peer_refuse(peer, request, "invalid", error);
    return;
  }
  const char *name = fields_get(fields, "process");
  if (supervisor->state != RUNNING || supervisor->retry_us || supervisor->shell.fd < 0) {
    peer_refuse(peer, request, "ended", "the sandbox is no more");
    return;
  }
  if (process_find(supervisor, name)) {
    peer_refuse(peer, request, "exists", "a process has this name");
    return;
  }
  struct exec *exec = processes_count(supervisor, false) < ALIVE_LIMIT ? new_exec(supervisor, name) : NULL;
  if (!exec) {
    peer_refuse(peer, request, "busy", "too many processes are alive");
    return;
  }
  exec->asker = peer;
  exec->request = request;
  exec->tty = definition.tty;
  exec->output_bytes = definition.output_bytes;
  exec->timeout_ms = fields_number(fields, "timeout-ms", 0);
  if (spawn(exec, &definition, fields_number(fields, "stdin", 0)) < 0) {
    exec_failed_here(exec, "fork into the sandbox");
    return;
  }
  exec->notes = (struct watch){.fd = exec->channel.notes, .ready = notes_ready, .owner = exec};
  exec->failures = (struct watch){.fd = exec->channel.failures, .ready = failures_ready, .owner = exec};
  if (loop_add(&supervisor->loop, &exec->notes, EPOLLIN) < 0 || loop_add(&supervisor->loop, &exec->failures, EPOLLIN) < 0)
    exec_failed_here(exec, "watch the start");
}

/* ---- what becomes of it ---- */

void exec_forget_peer(struct supervisor *supervisor, struct peer *peer) {
  for (struct exec *exec = supervisor->starting; exec; exec = exec->next)
    if (exec->asker == peer)
      exec->asker = NULL;
  for (struct process *process = &supervisor->main; process; process = process->next)
    process_forget_peer(process, peer);
}

void exec_end_all(struct supervisor *supervisor) {
  while (supervisor->starting) {
    errno = ESRCH;
    exec_failed_here(supervisor->starting, "the sandbox ended");
  }
  processes_end_all(supervisor);
}

/* A command whose forker was killed before it could name it is nobody's but ours; dead, it would keep PID 1 inside from ending. */
void exec_reap_strays(struct supervisor *supervisor) {
  siginfo_t information = {0};
  while (waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && information.si_pid > 0) {
    pid_t pid = information.si_pid;
    bool known = pid == supervisor->instance.shell;
    for (const struct process *process = supervisor->main.next; process; process = process->next)
      known |= process->pid == pid && process->state != PROCESS_ENDED;
    for (const struct exec *exec = supervisor->starting; exec; exec = exec->next)
      known |= exec->entering == pid;
    if (known)
      return; /* it is reaped in its own turn, and the rest after it */
    waitpid(pid, NULL, __WALL);
    information.si_pid = 0;
  }
}

uint64_t exec_mind_the_clock(struct supervisor *supervisor, uint64_t now) {
  uint64_t next = 0;
  for (struct exec *exec = supervisor->starting, *following; exec; exec = following) {
    following = exec->next;
    if (exec->give_up_us <= now) {
      errno = ETIMEDOUT;
      exec_failed_here(exec, "the command does not start");
    } else if (!next || exec->give_up_us < next) {
      next = exec->give_up_us;
    }
  }
  uint64_t end = processes_mind_the_clock(supervisor, now);
  return end && (!next || end < next) ? end : next;
}
