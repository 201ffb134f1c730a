/* The file agents of a running sandbox: each is a child of the supervisor that serves one connection (agent.c). */
#include "supervisor.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGENTS_LIMIT 32

struct agent_child {
  struct agent_child *next;
  struct supervisor *supervisor;
  pid_t pid;
  struct watch pidfd;
};

static unsigned count_agents(const struct supervisor *supervisor) {
  unsigned counted = 0;
  for (const struct agent_child *agent = supervisor->agents; agent; agent = agent->next)
    counted++;
  return counted;
}

struct watch *file_agents_child(const struct supervisor *supervisor, pid_t pid) {
  struct agent_child *agent = supervisor->agents;
  while (agent && agent->pid != pid)
    agent = agent->next;
  return agent ? &agent->pidfd : NULL;
}

static void agent_ended(struct watch *watch, uint32_t events) {
  struct agent_child *agent = watch->owner, **at = &agent->supervisor->agents;
  (void)events;
  waitpid(agent->pid, NULL, 0);
  while (*at != agent)
    at = &(*at)->next;
  *at = agent->next;
  loop_close(&agent->supervisor->loop, watch);
  free(agent);
}

static int fork_agent(struct supervisor *supervisor, struct agent_child *agent, int connection, uint32_t request) {
  struct instance *instance = &supervisor->instance;
  struct shell shell = {.host = instance->host, .isolate = instance->isolate, .cgroup = &instance->cgroup, .channel = CHANNEL_CLOSED};
  int pidfd = -1;
  struct clone_args arguments = {
    .flags = CLONE_INTO_CGROUP | CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD, .cgroup = (uint64_t)instance->cgroup.v2,
  };
  agent->pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
  if (agent->pid == 0)
    shell_serve_files(&shell, supervisor->shell.fd, connection, request);
  agent->pidfd = (struct watch){.fd = pidfd, .ready = agent_ended, .owner = agent};
  if (agent->pid < 0)
    return -1;
  if (loop_add(&supervisor->loop, &agent->pidfd, EPOLLIN) == 0)
    return 0;
  kill(agent->pid, SIGKILL);
  waitpid(agent->pid, NULL, 0); /* it has hardly begun */
  close(pidfd);
  return -1;
}

void file_agents_start(struct supervisor *supervisor, struct peer *peer, uint32_t request) {
  if (supervisor->state != RUNNING || supervisor->retry_us || supervisor->shell.fd < 0 || !(supervisor->instance.isolate & NS_BIT(NS_MNT))) {
    peer_refuse(peer, request, "ended", "there are no files of a running sandbox");
    return;
  }
  struct agent_child *agent = count_agents(supervisor) < AGENTS_LIMIT ? calloc(1, sizeof *agent) : NULL;
  if (!agent || fork_agent(supervisor, agent, peer->watch.fd, request) < 0) {
    free(agent);
    peer_refuse(peer, request, agent ? "failed" : "busy", "no file agent can be started");
    return;
  }
  agent->supervisor = supervisor;
  agent->next = supervisor->agents;
  supervisor->agents = agent;
  peer->closing = true; /* here; the agent has a descriptor of its own */
}
