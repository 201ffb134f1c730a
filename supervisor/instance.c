/* The host side of a launch. It undoes what it did, in reverse order, where a step fails; the steps of the inside are in shell.c. */
#include "instance.h"
#include "loop.h"
#include "mutants.h"
#include "quota.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define INSIDE_DEADLINE_MS 20000 /* a shell that does not answer within is killed; a launch takes milliseconds */

/* The shell is quicker at times than the supervisor's own look at the clock: such a phase took no time of its own. */
static void phase_until(struct instance *instance, const char *name, uint64_t end_us) {
  if (instance->phase_count == PHASE_LIMIT || !end_us)
    return;
  if (end_us < instance->begun_us)
    end_us = instance->begun_us;
  instance->phases[instance->phase_count++] = (struct phase){name, end_us - instance->begun_us};
  instance->begun_us = end_us;
}

static void phase(struct instance *instance, const char *name) {
  phase_until(instance, name, now_us());
}

/* ---- the shell's words ---- */

/* Waits for a note of the shell, or for its failure. `fd` takes a descriptor that comes along. */
static int await_note(struct instance *instance, struct note *note, int *fd, struct failure *failure) {
  struct pollfd watched[] = {{.fd = instance->channel.notes, .events = POLLIN}, {.fd = instance->channel.failures, .events = POLLIN}};
  int ready = poll(watched, 2, INSIDE_DEADLINE_MS);
  if (ready <= 0) {
    errno = ready == 0 ? ETIMEDOUT : errno;
    return fail(failure, LAYER_SUPERVISOR, "the shell does not answer");
  }
  /* Whatever poll saw: a note may have come, and the pipe ended after it, between its looks at the one and the other. */
  if (note_receive(instance->channel.notes, note, fd, MSG_DONTWAIT) == 1)
    return 0;
  if (watched[1].revents && failure_receive(instance->channel.failures, failure) == 1)
    return -1;
  errno = ECHILD;
  return fail(failure, LAYER_SUPERVISOR, "the shell died");
}

static int send_word(struct instance *instance, const int *fds, int count, struct failure *failure) {
  return word_send(instance->channel.notes, fds, count) < 0 ? fail(failure, LAYER_SUPERVISOR, "speak to the shell") : 0;
}

/* ---- prepare ---- */

/* The user namespace's owner is the instance's own first uid, so that what the kernel counts per owner (inotify, namespaces, keys) is
 * counted for it and not for root. The capabilities stay effective meanwhile (SECBIT_NO_SETUID_FIXUP, capabilities(7)). */
static pid_t clone_shell(struct instance *instance, int *pidfd) {
  bool user = instance->isolate & NS_BIT(NS_USER);
  struct clone_args arguments = {
    .flags = CLONE_PIDFD | CLONE_INTO_CGROUP,
    .pidfd = (uint64_t)(uintptr_t)pidfd,
    .exit_signal = SIGCHLD,
    .cgroup = (uint64_t)instance->cgroup.v2,
  };
  for (int i = 0; i < NS_COUNT; i++)
    if ((instance->isolate & NS_BIT(i)) && i != NS_CGROUP)
      arguments.flags |= ns_table[i].flag;
  if (user && !mutant("root-owner") && (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0 || setresuid((uid_t)-1, instance->uid_base, (uid_t)-1) < 0))
    return -1;
  pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
  int error = errno;
  if (pid != 0 && user && !mutant("root-owner")) {
    if (setresuid((uid_t)-1, 0, (uid_t)-1) < 0 || prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) < 0)
      _exit(70); /* a supervisor that is not root again may not go on; the shell dies with it */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  }
  errno = error;
  return pid;
}

static int write_maps(struct instance *instance, struct failure *failure) {
  char map[48], path[48];
  if (!(instance->isolate & NS_BIT(NS_USER)))
    return 0;
  snprintf(map, sizeof map, "0 %u %u\n", instance->uid_base, ID_RANGE);
  if (process_write(instance->shell, "gid_map", map) < 0 || process_write(instance->shell, "uid_map", map) < 0)
    return fail(failure, LAYER_IDS, "map ids from %u", instance->uid_base);
  snprintf(path, sizeof path, "/proc/%d/ns/user", (int)instance->shell);
  instance->user_ns = open(path, O_RDONLY | O_CLOEXEC);
  return instance->user_ns < 0 ? fail(failure, LAYER_IDS, "open the user namespace") : 0;
}

static int start_shell(struct instance *instance, struct shell *shell, struct failure *failure) {
  struct note note = {0};
  int fd = -1;
  instance->shell = clone_shell(instance, &instance->shell_pidfd);
  if (instance->shell < 0)
    return fail(failure, LAYER_NAMESPACES, "clone3");
  if (instance->shell == 0)
    shell_run(shell);
  channel_close(&shell->channel);
  if (write_maps(instance, failure) < 0)
    return -1;
  process_write(instance->shell, "oom_score_adj", "500"); /* what runs inside is the better victim; not every kernel lets it be said */
  if (send_word(instance, NULL, 0, failure) < 0 || await_note(instance, &note, &fd, failure) < 0)
    return -1;
  if (note.kind != NOTE_PREPARED) {
    errno = EPROTO;
    return fail(failure, LAYER_SUPERVISOR, "the shell says something else");
  }
  /* The command's own: it stays in them or is cloned into them. A command that ends at once has none to be read any more. */
  return process_namespaces(instance->shell, instance->ns_inode) < 0 ? fail(failure, LAYER_SUPERVISOR, "read the shell's namespaces") : 0;
}

int instance_prepare(struct instance *instance, const struct host *host, unsigned slot, unsigned isolate, struct failure *failure) {
  isolate = mutant_isolation(isolate);
  struct shell shell = {.host = host, .order = instance->order, .isolate = isolate, .cgroup = &instance->cgroup, .channel = CHANNEL_CLOSED};
  *instance = (struct instance){
    .host = host, .order = instance->order, .isolate = isolate, .shell = -1, .shell_pidfd = -1, .channel = CHANNEL_CLOSED, .user_ns = -1, .terminal = -1, .disk = DISK_NONE, .main = -1, .main_pidfd = -1, .begun_us = now_us(), .cgroup = {.v2 = -1, .tasks = {-1, -1, -1}},
  };
  if (cgroup_make(&instance->cgroup, &host->cgroups, slot, failure) < 0)
    return -1;
  instance->order->slot_taken = instance->cgroup.slot + 1;
  instance->uid_base = isolate & NS_BIT(NS_USER) ? host->id_base + instance->cgroup.slot * ID_RANGE : 0;
  if (channel_open(&instance->channel, &shell.channel) < 0)
    fail(failure, LAYER_SUPERVISOR, "open pipes");
  else if (start_shell(instance, &shell, failure) == 0) {
    phase(instance, "prepare");
    return 0;
  }
  channel_close(&shell.channel);
  instance_undo(instance, NULL);
  return -1;
}

/* ---- commit ---- */

/* Opens the root's tree and the sandbox's files for the shell and sends them. */
static int send_mounts(struct instance *instance, const struct definition *definition, struct failure *failure) {
  char tree[PATH_MAX];
  int fds[2] = {-1, -1};
  if (!definition->root)
    return send_word(instance, fds, 0, failure);
  snprintf(tree, sizeof tree, "%s/roots/%s/tree", instance->host->state_dir, definition->root);
  fds[0] = instance_open_tree(instance, AT_FDCWD, tree);
  if (fds[0] < 0)
    return fail(failure, LAYER_ROOT, "open %s", tree);
  fds[1] = instance_open_files(instance, definition, failure);
  int result = fds[1] < 0 ? -1 : send_word(instance, fds, 2, failure);
  fd_close(&fds[0]);
  fd_close(&fds[1]);
  return result;
}

/* Who the command is, read while it starts: nobody reaps it before the supervisor's word, so the number is still its own even when
 * it has ended. */
static int identify(struct instance *instance, pid_t main, struct failure *failure) {
  instance->main = main;
  instance->main_start_ticks = process_start_ticks(main);
  instance->main_inside = process_pid_inside(main);
  if (main <= 0 || !instance->main_start_ticks || !instance->main_inside)
    return fail(failure, LAYER_SUPERVISOR, "read process %d", (int)main);
  return 0;
}

/* Takes the shell's notes until the command executes: the failure pipe then closes without a word. */
static int await_command(struct instance *instance, const struct definition *definition, struct failure *failure) {
  bool told = false;
  while (definition->init && !told) {
    struct note note = {0};
    int fd;
    if (await_note(instance, &note, &fd, failure) < 0)
      return -1;
    if (note.kind != NOTE_TERMINAL && note.kind != NOTE_MAIN) {
      fd_close(&fd);
      errno = EPROTO;
      return fail(failure, LAYER_SUPERVISOR, "the shell says something else");
    }
    told = note.kind == NOTE_MAIN;
    *(told ? &instance->main_pidfd : &instance->terminal) = fd;
    if (told && (identify(instance, pidfd_number(fd), failure) < 0 || send_word(instance, NULL, 0, failure) < 0))
      return -1;
  }
  struct pollfd executed = {.fd = instance->channel.failures, .events = POLLIN};
  int ready = poll(&executed, 1, INSIDE_DEADLINE_MS);
  errno = ready == 0 ? ETIMEDOUT : errno;
  int received = ready == 1 ? failure_receive(instance->channel.failures, failure) : -1;
  if (received == 0)
    return 0;
  return received == 1 ? -1 : fail(failure, LAYER_SUPERVISOR, "the command does not start");
}

/* Without an init the shell itself is the command; the notes it left on its way (phases, terminal) are taken afterwards. */
static void drain_notes(struct instance *instance) {
  struct pollfd waiting = {.fd = instance->channel.notes, .events = POLLIN};
  while (poll(&waiting, 1, 0) == 1 && (waiting.revents & POLLIN)) {
    struct note note = {0};
    struct failure ignored;
    int fd;
    if (await_note(instance, &note, &fd, &ignored) < 0)
      return;
    if (note.kind == NOTE_TERMINAL && instance->terminal < 0)
      instance->terminal = fd;
    else
      fd_close(&fd);
  }
}

/* A filter of its own: for the shell, which was made before, and for those that come by EXEC. */
static int make_filter(struct instance *instance, struct definition *definition, struct failure *failure) {
  if (!definition->seccomp.allowed[0] && !definition->seccomp.denied[0])
    return 0;
  if (seccomp_compile(&instance->filter, &definition->seccomp, failure) < 0)
    return -1;
  memcpy(instance->order->filter, instance->filter.filter, instance->filter.len * sizeof *instance->filter.filter);
  instance->order->filter_length = instance->filter.len;
  definition->filter = &instance->filter;
  return 0;
}

int instance_commit(struct instance *instance, struct definition *definition, struct failure *failure) {
  if (channel_give(&instance->channel, instance->uid_base + definition->uid, instance->uid_base + definition->gid) < 0)
    return fail(failure, LAYER_USER, "give stdio to uid %u, gid %u", (unsigned)definition->uid, (unsigned)definition->gid);
  if (make_filter(instance, definition, failure) < 0 || cgroup_limit(&instance->cgroup, &definition->limits, failure) < 0 || send_mounts(instance, definition, failure) < 0)
    return -1;
  phase(instance, "root");
  if (await_command(instance, definition, failure) < 0)
    return -1;
  const uint64_t *marks = instance->order->marks;
  phase_until(instance, "mounts", marks[MARK_MOUNTED]);
  phase_until(instance, "pivot", marks[MARK_PIVOTED]);
  phase_until(instance, "drop", marks[MARK_DROPPED]);
  phase(instance, "exec");
  if (!definition->init) {
    drain_notes(instance);
    instance->main_pidfd = fcntl(instance->shell_pidfd, F_DUPFD_CLOEXEC, 3);
    if (identify(instance, instance->shell, failure) < 0)
      return -1;
  }
  if (disk_is_quota(&instance->disk) && quota_change(&instance->disk, definition->disk_bytes) < 0)
    return fail(failure, LAYER_DISK, "bound the sandbox's files by project quota");
  phase(instance, "report");
  notes_close(&instance->channel.notes);
  fd_close(&instance->channel.failures);
  fd_close(&instance->user_ns);
  return 0;
}

/* ---- undo ---- */

void instance_undo(struct instance *instance, const char *id) {
  cgroup_kill(&instance->cgroup);
  if (instance->shell > 0) {
    kill(instance->shell, SIGKILL); /* not reaped yet, so the number is still its own */
    waitpid(instance->shell, NULL, 0);
  }
  fd_close(&instance->shell_pidfd);
  fd_close(&instance->main_pidfd);
  channel_close(&instance->channel);
  fd_close(&instance->user_ns);
  fd_close(&instance->terminal);
  disk_close(&instance->disk);
  if (id)
    instance_remove_files(instance, id);
  for (int tries = 0; instance->cgroup.v2 >= 0 && cgroup_remove(&instance->cgroup) < 0; tries++) {
    if (tries == 1000) {
      log_line(50, "cgroup %u cannot be removed: %s", instance->cgroup.slot, strerror(errno));
      break;
    }
    usleep(1000);
  }
}
