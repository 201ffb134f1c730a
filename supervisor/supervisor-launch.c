/* The launch as the supervisor does it: order, commit, reply to the launcher. */
#include "supervisor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void control_send(int control, enum control_kind kind, unsigned slot, struct frame *frame) {
  struct {
    uint32_t kind, slot;
  } head = {(uint32_t)kind, slot};
  struct iovec parts[] = {{&head, sizeof head}, {frame ? frame->data : NULL, frame ? frame->length : 0}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  if (sendmsg(control, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE)
    log_line(50, "a reply to the launcher is lost: %s", strerror(errno));
  if (frame)
    frame_free(frame);
}

_Noreturn void launch_failed(int control, unsigned slot, const char *code, const struct failure *failure) {
  struct frame frame;
  frame_begin(&frame, ERROR, 1);
  frame_put(&frame, "code", "%s", code);
  frame_put(&frame, "message", "%s: %s", failure->message, strerror(failure->error));
  frame_put(&frame, "layer", "%s", layer_name(failure->layer));
  frame_put(&frame, "errno", "%d", failure->error);
  frame_put(&frame, "guest", "%d", failure->guest);
  frame_end(&frame);
  control_send(control, CONTROL_REPLY, slot, &frame);
  _exit(0);
}

/* A prepared shell waits for its order. It goes when the launcher goes, and the supervisor goes when the shell dies. */
void launch_await_order(struct supervisor *supervisor, int control) {
  struct pollfd watched[] = {{.fd = control, .events = POLLIN}, {.fd = supervisor->instance.shell_pidfd, .events = POLLIN}};
  char go;
  control_send(control, CONTROL_READY, supervisor->instance.cgroup.slot, NULL);
  while (poll(watched, 2, -1) < 0 && errno == EINTR)
    ;
  if (!(watched[0].revents & POLLIN) || recv(control, &go, 1, 0) <= 0) {
    instance_undo(&supervisor->instance, NULL);
    _exit(0);
  }
  supervisor->instance.begun_us = now_us();
  supervisor->instance.phase_count = 0;
}

static int watch_all(struct supervisor *supervisor) {
  struct instance *instance = &supervisor->instance;
  struct channel *channel = &instance->channel;
  struct process *command = &supervisor->main;
  struct watch *watches[] = {&supervisor->last_word, &supervisor->shell, &supervisor->cgroup_events};
  bool terminal = instance->terminal >= 0;
  supervisor->last_word = (struct watch){.fd = channel->last, .ready = supervisor_last_word_ready, .owner = supervisor};
  supervisor->shell = (struct watch){.fd = instance->shell_pidfd, .ready = supervisor_shell_ready, .owner = supervisor};
  supervisor->cgroup_events = (struct watch){.fd = cgroup_events(&instance->cgroup), .ready = supervisor_cgroup_ready, .owner = supervisor};
  if (strays_watch(supervisor) < 0)
    return -1;
  for (int i = 0; i < 3; i++)
    if (watches[i]->fd < 0 || loop_add(&supervisor->loop, watches[i], i == 2 ? EPOLLPRI : EPOLLIN) < 0)
      return -1;
  if (terminal) {
    fd_close(&channel->input);
    fd_close(&channel->output);
    fd_close(&channel->errors);
  }
  /* A sandbox that only holds namespaces for others to use has nothing of its own to say. */
  output_log_init(&supervisor->log, instance->host->sandboxes, supervisor->id, supervisor->definition.hold ? 0 : supervisor->definition.output_bytes);
  *command = (struct process){
    .name = "main", .state = PROCESS_RUNNING, .pid = instance->main, .pid_inside = instance->main_inside, .start_ticks = instance->main_start_ticks,
    .started_ms = wall_ms(), .pidfd.fd = instance->main_pidfd,
  };
  return process_open(command, &supervisor->loop, channel->input, terminal ? instance->terminal : channel->output, channel->errors, terminal,
                      supervisor->definition.output_bytes, &supervisor->log);
}

void launch_commit(struct supervisor *supervisor, int control) {
  struct definition *definition = &supervisor->definition;
  struct instance *instance = &supervisor->instance;
  struct failure failure;
  struct fields fields;
  char error[128];
  if (!fields_open(&fields, instance->order->body, instance->order->length) || !definition_read(definition, &fields, error))
    _exit(1); /* the launcher has read it before */
  supervisor->init = definition->init;
  snprintf(supervisor->id, sizeof supervisor->id, "%s", definition->id);
  snprintf(supervisor->socket_name, sizeof supervisor->socket_name, "%s.sock", definition->id);
  process_title("supervisor", definition->id);
  supervisor->server = (struct server){.handle = requests_handle, .closed = requests_peer_closed, .drained = requests_peer_drained, .owner = supervisor};
  if (loop_open(&supervisor->loop) < 0 || server_listen(&supervisor->server, &supervisor->loop, instance->host->sockets, supervisor->socket_name) < 0) {
    const char *code = errno == EADDRINUSE ? "exists" : "launch-failed";
    fail(&failure, LAYER_SUPERVISOR, "listen on %s", supervisor->socket_name);
    instance_undo(instance, NULL);
    launch_failed(control, instance->cgroup.slot, code, &failure);
  }
  int result = instance_commit(instance, definition, &failure);
  if (result == 0 && watch_all(supervisor) < 0)
    result = fail(&failure, LAYER_SUPERVISOR, "watch the sandbox");
  if (result == 0)
    return;
  instance_undo(instance, supervisor->id);
  unlinkat(instance->host->sockets, supervisor->socket_name, 0);
  launch_failed(control, instance->cgroup.slot, "launch-failed", &failure);
}

void launch_reply(struct supervisor *supervisor, int control) {
  struct frame frame;
  frame_begin(&frame, LAUNCHED, 1);
  frame_put(&frame, "supervisor-pid", "%d", (int)getpid());
  frame_put(&frame, "supervisor-start-ticks", "%llu", (unsigned long long)process_start_ticks(getpid()));
  report_all(&frame, supervisor);
  for (unsigned i = 0; i < supervisor->instance.phase_count; i++)
    frame_put(&frame, "phase", "%s=%llu", supervisor->instance.phases[i].name, (unsigned long long)supervisor->instance.phases[i].microseconds);
  frame_end(&frame);
  control_send(control, CONTROL_REPLY, supervisor->instance.cgroup.slot, &frame);
}
