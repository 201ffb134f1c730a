/* The process that becomes PID 1 of a sandbox: first a shell that is prepared and waits, then, at the commit, the init or the
 * command itself. It runs the program's own trusted code up to the drop of its credentials; nothing of the sandbox's root has been
 * executed or loaded by then. It is never dumpable, so nothing inside can look into it (proc(5), ptrace(2)). */
#include "instance.h"
#include "loop.h"
#include "mutants.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

/* ---- talking to the supervisor ---- */

_Noreturn void shell_give_up(const struct shell *shell, const struct failure *failure) {
  ssize_t written = write(shell->channel.failures, failure, sizeof *failure);
  _exit(written == (ssize_t)sizeof *failure ? 1 : 2);
}

/* Waits for the supervisor's word; ends with the supervisor. */
static int await_word(const struct shell *shell, int fds[2]) {
  int count = word_await(shell->channel.notes, fds);
  if (count < 0)
    _exit(0);
  return count;
}

/* ---- prepare ---- */

static int compare(const void *a, const void *b) {
  return *(const int *)a - *(const int *)b;
}

int keep_only(int *kept, size_t count) {
  unsigned from = 0, last = mutant("fds-kept") ? FDS_CLOSED_ALWAYS : ~0u;
  qsort(kept, count, sizeof *kept, compare);
  for (size_t i = 0; i < count; i++) {
    if ((unsigned)kept[i] + 1 == from)
      continue;
    if ((unsigned)kept[i] > from && close_range(from, (unsigned)kept[i] - 1, 0) < 0)
      return -1;
    from = (unsigned)kept[i] + 1;
  }
  return close_range(from, last, 0);
}

static int raise_loopback(struct failure *failure) {
  struct ifreq request = {.ifr_name = "lo"};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int result = fd < 0 ? -1 : ioctl(fd, SIOCGIFFLAGS, &request);
  request.ifr_flags |= IFF_UP;
  if (result == 0)
    result = ioctl(fd, SIOCSIFFLAGS, &request);
  if (fd >= 0)
    close(fd);
  return result < 0 ? fail(failure, LAYER_LOOPBACK, "raise lo") : 0;
}

static void prepare(struct shell *shell) {
  struct failure failure;
  process_title("shell", "");
  /* 0 to 2 stay taken, by /dev/null, so that nothing opened later gets in the way of the command's stdio. */
  int kept[] = {0, 1, 2, shell->channel.notes, shell->channel.failures, shell->channel.last, shell->channel.input, shell->channel.output, shell->channel.errors};
  if (cgroup_join(shell->cgroup, &failure) < 0)
    shell_give_up(shell, &failure);
  if (dup2(0, 2) < 0 || keep_only(kept, sizeof kept / sizeof *kept) < 0)
    fail(&failure, LAYER_SUPERVISOR, "close descriptors"), shell_give_up(shell, &failure);
  int none[2];
  await_word(shell, none); /* the maps are written */
  if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
    fail(&failure, LAYER_IDS, "become uid 0 inside"), shell_give_up(shell, &failure);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (!mutant("no-session"))
    setsid();
  umask(022);
  if (!mutant("no-keyring") && keyring_join() < 0)
    fail(&failure, LAYER_SUPERVISOR, "make a session keyring"), shell_give_up(shell, &failure);
  /* The cgroup namespace's root is the cgroup of its maker, and at clone3(2) that is still the supervisor. */
  if ((shell->isolate & NS_BIT(NS_CGROUP)) && unshare(CLONE_NEWCGROUP) < 0)
    fail(&failure, LAYER_NAMESPACES, "unshare the cgroup namespace"), shell_give_up(shell, &failure);
  if ((shell->isolate & NS_BIT(NS_MNT)) && mounts_prepare(shell->isolate, &failure) < 0)
    shell_give_up(shell, &failure);
  if ((shell->isolate & NS_BIT(NS_NET)) && raise_loopback(&failure) < 0)
    shell_give_up(shell, &failure);
  if (note_send(shell->channel.notes, NOTE_PREPARED, -1) < 0)
    _exit(0);
}

/* ---- commit ---- */

static int set_names(const struct shell *shell, const struct definition *definition, struct failure *failure) {
  if (!(shell->isolate & NS_BIT(NS_UTS)))
    return 0;
  const char *name = definition->hostname ? definition->hostname : "localhost";
  if (sethostname(name, strlen(name)) < 0 || setdomainname("(none)", 6) < 0)
    return fail(failure, LAYER_HOSTNAME, "set the hostname");
  return 0;
}

int shell_set_limits(const struct definition *definition, struct failure *failure) {
  struct rlimit files = {definition->open_files, definition->open_files}, core = {1, 1}; /* see keep_core_limit in seccomp-filter.c */
  if (mutant("no-limits"))
    return 0;
  if (setrlimit(RLIMIT_NOFILE, &files) < 0)
    return fail(failure, LAYER_RLIMITS, "RLIMIT_NOFILE %llu", (unsigned long long)definition->open_files);
  if (setrlimit(RLIMIT_CORE, &core) < 0)
    return fail(failure, LAYER_RLIMITS, "RLIMIT_CORE 1");
  return 0;
}

/* A terminal of the sandbox's own devpts: the master goes to the supervisor, the other end becomes the command's stdio. */
int shell_open_terminal(struct shell *shell, const struct definition *definition, struct failure *failure) {
  int unlocked = 0;
  int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
  if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) < 0)
    return fail(failure, LAYER_TERMINAL, "open a terminal");
  int end = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (end < 0 || fchown(end, definition->uid, 5) < 0)
    return fail(failure, LAYER_TERMINAL, "open the terminal's other end");
  if (note_send(shell->channel.notes, NOTE_TERMINAL, master) < 0)
    return fail(failure, LAYER_TERMINAL, "hand the terminal over");
  close(master);
  close(shell->channel.input);
  close(shell->channel.output);
  close(shell->channel.errors);
  shell->channel.input = shell->channel.output = shell->channel.errors = end;
  return 0;
}

/* From here on the process is only the command. Whatever fails is told through the pipe that a successful exec closes. */
static int enter_directory(const char *path, struct failure *failure) {
  struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = mutant("follow-links") ? 0 : RESOLVE_NO_SYMLINKS};
  int directory = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
  if (directory < 0 || fchdir(directory) < 0)
    return fail_guest(failure, LAYER_CWD, errno == ELOOP ? "cwd %s passes through a symbolic link" : "cwd %s", path);
  close(directory);
  return 0;
}

static const char *search_path(char *const *environment) {
  for (; *environment; environment++)
    if (strncmp(*environment, "PATH=", 5) == 0)
      return *environment + 5;
  return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* As execvp(3) does, but never by a shell: a file without a known format is the caller's error. */
static void execute(const struct definition *definition) {
  char path[4096];
  const char *name = definition->arguments[0];
  if (strchr(name, '/')) {
    execve(name, definition->arguments, definition->environment);
    return;
  }
  int error = ENOENT;
  for (const char *at = search_path(definition->environment); at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
    int length = (int)strcspn(at, ":");
    if (snprintf(path, sizeof path, "%.*s/%s", length, at, name) >= (int)sizeof path || path[0] != '/')
      continue;
    execve(path, definition->arguments, definition->environment);
    if (errno != ENOENT && errno != ENOTDIR)
      error = errno;
  }
  errno = error;
}

_Noreturn void shell_become_command(struct shell *shell, const struct definition *definition) {
  struct failure failure;
  sigset_t none;
  sigemptyset(&none);
  if (!mutant("no-session"))
    setsid();
  if (definition->tty && ioctl(shell->channel.input, TIOCSCTTY, 0) < 0)
    fail(&failure, LAYER_TERMINAL, "take the terminal"), shell_give_up(shell, &failure);
  if (dup2(shell->channel.input, 0) < 0 || dup2(shell->channel.output, 1) < 0 || dup2(shell->channel.errors, 2) < 0 || close_range(3, mutant("fds-kept") ? FDS_CLOSED_ALWAYS : ~0u, CLOSE_RANGE_CLOEXEC) < 0)
    fail(&failure, LAYER_SUPERVISOR, "set up stdio"), shell_give_up(shell, &failure);
  for (int number = 1; number < NSIG; number++) /* what is ignored would stay so across exec (signal(7)) */
    signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (enter_directory(definition->cwd, &failure) == 0) {
    execute(definition);
    fail_guest(&failure, LAYER_COMMAND, "execute %s", definition->arguments[0]);
  }
  shell_give_up(shell, &failure);
}

/* The init's stdio is the sandbox's /dev/null, and it holds nothing else of anybody's. `command` -1: it only holds the namespaces. */
static _Noreturn void rule(int last, pid_t command) {
  int null = open("/dev/null", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  for (int fd = 0; fd < 3 && null >= 0; fd++)
    dup2(null, fd);
  int kept[] = {0, 1, 2, last};
  keep_only(kept, 4);
  init_run(last, command);
}

/* clone(2) with CLONE_PIDFD: the descriptor names the command for the supervisor, whatever becomes of its number. */
static _Noreturn void become_init(struct shell *shell, const struct definition *definition) {
  struct failure failure;
  int pidfd = -1, notes = shell->channel.notes, none[2];
  pid_t command = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, 0);
  if (command == 0)
    shell_become_command(shell, definition);
  if (command < 0)
    fail(&failure, LAYER_COMMAND, "fork the command"), shell_give_up(shell, &failure);
  /* The command's stdio is its own before it is told of: whoever closes stdin there has closed the last of it. */
  int kept[] = {0, 1, 2, notes, pidfd, shell->channel.failures, shell->channel.last};
  keep_only(kept, sizeof kept / sizeof *kept);
  if (note_send(notes, NOTE_MAIN, pidfd) < 0)
    _exit(0);
  fd_close(&shell->channel.failures); /* from now on the pipe ends when the command executes */
  await_word(shell, none); /* the supervisor knows the command by now, so it may be reaped */
  munmap(shell->order, sizeof *shell->order);
  rule(shell->channel.last, command);
}

static void commit(struct shell *shell, const struct definition *definition, int lower, int sandbox, struct failure *failure) {
  if (definition->isolate & NS_BIT(NS_MNT)) {
    if (mounts_commit(lower, sandbox, failure) < 0)
      shell_give_up(shell, failure);
    close(lower);
    close(sandbox);
    shell->order->marks[MARK_MOUNTED] = now_us();
    if (mounts_pivot(failure) < 0)
      shell_give_up(shell, failure);
  }
  shell->order->marks[MARK_PIVOTED] = now_us();
  if (set_names(shell, definition, failure) < 0 || shell_set_limits(definition, failure) < 0)
    shell_give_up(shell, failure);
  if (definition->tty && shell_open_terminal(shell, definition, failure) < 0)
    shell_give_up(shell, failure);
  if (credentials_drop(shell->host, definition, failure) < 0)
    shell_give_up(shell, failure);
  shell->order->marks[MARK_DROPPED] = now_us();
}

void shell_run(struct shell *shell) {
  static struct definition definition;
  struct fields fields;
  struct failure failure;
  char error[128];
  int fds[2] = {-1, -1};
  prepare(shell);
  await_word(shell, fds);
  if (!fields_open(&fields, shell->order->body, shell->order->length) || !definition_read(&definition, &fields, error)) {
    errno = EPROTO;
    fail(&failure, LAYER_SUPERVISOR, "the order cannot be read");
    shell_give_up(shell, &failure);
  }
  struct sock_fprog filter = {.len = (unsigned short)shell->order->filter_length, .filter = shell->order->filter};
  definition.filter = filter.len ? &filter : NULL;
  commit(shell, &definition, fds[0], fds[1], &failure);
  if (definition.hold) { /* the failure pipe ends with this, as it does with an exec */
    munmap(shell->order, sizeof *shell->order);
    rule(shell->channel.last, -1);
  }
  if (definition.init)
    become_init(shell, &definition);
  shell_become_command(shell, &definition);
}
