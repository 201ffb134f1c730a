/* Entering a running sandbox: for a command, or to serve its files. */
#include "agent.h"
#include "instance.h"
#include "mutants.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pid_t fork_command(const struct shell *shell, uint64_t limit, int *pidfd) {
  struct failure failure;
  for (unsigned tries = 0;; tries++) {
    pid_t command = (pid_t)syscall(SYS_clone, CLONE_PARENT | CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, 0);
    int refused = command < 0 && errno == EAGAIN ? cgroup_refused(shell->pids, limit, tries) : 0;
    if (command >= 0)
      return command;
    if (refused >= 0)
      fail(&failure, refused ? LAYER_LIMITS : LAYER_COMMAND, "fork the command"), shell_give_up(shell, &failure);
  }
}

/* Runs as the parent of the command, but only for a moment: CLONE_PARENT makes the command the supervisor's own child, which
 * reaps it and is there when it must die. */
static _Noreturn void spawn_entered(struct shell *shell, const struct definition *definition) {
  struct failure failure;
  int pidfd = -1;
  if (fork_command(shell, definition->limits.pids, &pidfd) > 0)
    _exit(note_send(shell->channel.notes, NOTE_MAIN, pidfd) < 0);
  if (shell_set_limits(definition, &failure) < 0 || (definition->tty && shell_open_terminal(shell, definition, &failure) < 0))
    shell_give_up(shell, &failure);
  if (shell->channel.input < 0 && (shell->channel.input = open("/dev/null", O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) < 0)
    fail(&failure, LAYER_COMMAND, "open /dev/null"), shell_give_up(shell, &failure);
  if (credentials_drop(shell->host, definition, &failure) < 0)
    shell_give_up(shell, &failure);
  shell_become_command(shell, definition);
}

/* Into the sandbox's cgroups, and a better victim for the out-of-memory killer than the host's own (not every kernel lets it be said). */
static int join(const struct shell *shell, struct failure *failure) {
  process_write(getpid(), "oom_score_adj", "500");
  return cgroup_join(shell->cgroup, failure);
}

void shell_enter(struct shell *shell, const struct definition *definition, int target) {
  struct failure failure;
  int flags = 0;
  process_title("enter", "");
  int kept[] = {0, 1, 2, target, shell->channel.notes, shell->channel.failures, shell->channel.output, shell->channel.errors, shell->channel.input < 0 ? 0 : shell->channel.input, shell->pids < 0 ? 0 : shell->pids};
  if (join(shell, &failure) < 0)
    shell_give_up(shell, &failure);
  if (dup2(0, 2) < 0 || keep_only(kept, sizeof kept / sizeof *kept) < 0)
    fail(&failure, LAYER_SUPERVISOR, "close descriptors"), shell_give_up(shell, &failure);
  /* As root: a sandbox's ids have room for fewer keyrings than it may have commands. */
  if (!mutant("no-keyring") && keyring_join() < 0)
    fail(&failure, LAYER_SUPERVISOR, "make a session keyring"), shell_give_up(shell, &failure);
  for (int i = 0; i < NS_COUNT; i++)
    if (shell->isolate & NS_BIT(i))
      flags |= (int)ns_table[i].flag;
  if (setns(target, flags) < 0)
    fail(&failure, LAYER_NAMESPACES, "enter the namespaces"), shell_give_up(shell, &failure);
  close(target);
  if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
    fail(&failure, LAYER_IDS, "become uid 0 inside"), shell_give_up(shell, &failure);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  umask(022);
  if (mutant("enter-executes"))
    mutant_execute("/bin/id");
  spawn_entered(shell, definition);
}

void shell_serve_files(struct shell *shell, int target, int connection, uint32_t request) {
  static const struct definition files = {.capabilities = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID};
  struct failure failure;
  int host = mutant("files-host-side") ? open("/", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
  int kept[] = {0, 1, 2, target, connection, host < 0 ? 0 : host};
  process_title("files", "");
  if (join(shell, &failure) < 0 || dup2(0, 2) < 0 || keep_only(kept, sizeof kept / sizeof *kept) < 0)
    _exit(1);
  if (setns(target, (int)(shell->isolate & NS_BIT(NS_USER) ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS)) < 0 || setgroups(0, NULL) < 0 ||
      setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
    _exit(1);
  if (mutant("agents-load"))
    mutant_load("/etc/ld.so.preload");
  int root = open("/", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if ((host >= 0 && (fchdir(host) < 0 || chroot(".") < 0)) || credentials_drop(shell->host, &files, &failure) < 0)
    _exit(1);
  close(target);
  agent_run(connection, request, root);
}
