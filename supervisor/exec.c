/* Commands started in a running sandbox. The supervisor forks a process that enters the sandbox's namespaces (shell_enter) and leaves
 * the command there as the supervisor's own child. Nothing here waits: a sandbox that is slow to start a command, by its limits or on
 * purpose, holds nobody up. How a start goes on is in exec-start.c. */
#include "exec.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALIVE_LIMIT 512
#define START_DEADLINE_US 20000000

/* Answers -1 with errno; of EAGAIN `layer` tells whose limit it was. */
static int spawn(struct exec *exec, const struct definition *definition, bool with_stdin, enum layer *layer) {
  struct supervisor *supervisor = exec->supervisor;
  struct instance *instance = &supervisor->instance;
  struct shell shell = {.host = instance->host, .isolate = instance->isolate, .cgroup = &instance->cgroup};
  int pidfd = -1;
  struct clone_args arguments = {
    .flags = CLONE_INTO_CGROUP | CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD, .cgroup = (uint64_t)instance->cgroup.v2,
  };
  if (channel_open(&exec->channel, &shell.channel) < 0)
    return -1;
  if (!with_stdin || exec->tty) {
    fd_close(&exec->channel.input);
    fd_close(&shell.channel.input);
  }
  fd_close(&exec->channel.last);
  fd_close(&shell.channel.last);
  *layer = LAYER_USER;
  if (channel_give(&exec->channel, instance->uid_base + definition->uid, instance->uid_base + definition->gid) < 0) {
    int error = errno;
    channel_close(&shell.channel);
    errno = error;
    return -1;
  }
  shell.pids = cgroup_open_pids(&instance->cgroup);
  pid_t entering;
  int refused;
  for (unsigned tries = 0;; tries++) {
    entering = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    refused = entering < 0 && errno == EAGAIN ? cgroup_refused(shell.pids, definition->limits.pids, tries) : 0;
    if (entering >= 0 || refused >= 0)
      break;
  }
  if (entering == 0)
    shell_enter(&shell, definition, supervisor->shell.fd);
  int error = errno;
  *layer = refused > 0 ? LAYER_LIMITS : LAYER_SUPERVISOR;
  channel_close(&shell.channel);
  fd_close(&shell.pids);
  exec->entering_pid = entering;
  if (entering > 0)
    exec->entering.fd = pidfd;
  errno = error;
  return entering < 0 ? -1 : 0;
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
    .entering.fd = -1, .terminal = -1, .begun_ticks = boot_ticks(), .give_up_us = now_us() + START_DEADLINE_US,
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
  enum layer layer = LAYER_SUPERVISOR;
  if (spawn(exec, &definition, fields_number(fields, "stdin", 0), &layer) < 0)
    exec_failed_here(exec, layer, "fork into the sandbox");
  else if (exec_watch(exec) < 0)
    exec_failed_here(exec, LAYER_SUPERVISOR, "watch the start");
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
    exec_over(supervisor->starting, "the sandbox ended");
  }
  processes_end_all(supervisor);
}

struct watch *exec_child(struct supervisor *supervisor, pid_t pid) {
  if (pid == supervisor->instance.shell && supervisor->shell.fd >= 0)
    return &supervisor->shell;
  for (struct process *process = supervisor->main.next; process; process = process->next)
    if (process->pid == pid && process->pidfd.fd >= 0)
      return &process->pidfd;
  for (struct exec *exec = supervisor->starting; exec; exec = exec->next)
    if (exec->entering_pid == pid && exec->entering.fd >= 0)
      return &exec->entering;
  return file_agents_child(supervisor, pid);
}

uint64_t exec_mind_the_clock(struct supervisor *supervisor, uint64_t now) {
  uint64_t next = 0;
  for (struct exec *exec = supervisor->starting, *following; exec; exec = following) {
    following = exec->next;
    if (exec->give_up_us <= now)
      exec_out_of_time(exec); /* and has another time set, or is no more */
  }
  for (const struct exec *exec = supervisor->starting; exec; exec = exec->next)
    if (!next || exec->give_up_us < next)
      next = exec->give_up_us;
  uint64_t end = processes_mind_the_clock(supervisor, now);
  return end && (!next || end < next) ? end : next;
}
