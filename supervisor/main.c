/* unshared-supervisor: the native part of unshared. See PROTOCOL.md for its contract, launcher.c and supervisor.c for how it works. */
#include "host.h"
#include "instance.h"
#include "launcher.h"
#include "mutants.h"
#include "sealed-copy.h"
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
  "usage: unshared-supervisor launcher --run-dir DIR --state-dir DIR [options]\n"
  "       unshared-supervisor notify     sends each line of stdin to NOTIFY_SOCKET (sd_notify(3))\n"
  "\n"
  "Forks and supervises sandboxes for the unshared daemon; listens on RUN_DIR/launcher.sock.\n"
  "\n"
  "  --run-dir DIR         sockets of this boot\n"
  "  --state-dir DIR       roots/ and sandboxes/\n"
  "  --cgroup-parent NAME  cgroup below which every sandbox gets its own (unshared)\n"
  "  --id-base N           first host uid and gid lent to sandboxes (1000000000)\n"
  "  --ready-shells N      prepared shells to keep, 0 to 256 (4)\n"
  "  --detached            a daemon started it and ends it\n"
  "  --version             print the version\n";

static struct {
  char *start;
  size_t size;
} argument_area;

void process_title(const char *name, const char *detail) {
  memset(argument_area.start, 0, argument_area.size);
  snprintf(argument_area.start, argument_area.size, "unshared-%s %s", name, detail);
  prctl(PR_SET_NAME, name, 0, 0, 0);
}

static const char *copy(const char *text) {
  char *copied = strdup(text);
  if (!copied) {
    perror("unshared-supervisor");
    exit(1);
  }
  return copied;
}

static int open_directory(const char *parent, const char *name, mode_t mode) {
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "%s/%s", parent, name) >= PATH_MAX || (mkdir(path, mode) < 0 && errno != EEXIST)) {
    fprintf(stderr, "unshared-supervisor: %s/%s: %s\n", parent, name, strerror(errno));
    exit(1);
  }
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    fprintf(stderr, "unshared-supervisor: %s: %s\n", path, strerror(errno));
    exit(1);
  }
  return fd;
}

static unsigned long number(const char *text, unsigned long most) {
  char *end;
  errno = 0;
  unsigned long value = strtoul(text, &end, 10);
  if (errno || *end || end == text || *text == '-' || value > most) {
    fprintf(stderr, "unshared-supervisor: %s is not a number up to %lu\n", text, most);
    exit(2);
  }
  return value;
}

static void read_flags(struct host *host, int count, char **arguments) {
  static const struct option options[] = {
    {"run-dir", required_argument, NULL, 'r'}, {"state-dir", required_argument, NULL, 's'},    {"cgroup-parent", required_argument, NULL, 'c'},
    {"id-base", required_argument, NULL, 'i'}, {"ready-shells", required_argument, NULL, 'n'}, {"detached", no_argument, NULL, 'd'}, {0},
  };
  for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
    switch (option) {
    case 'r':
      host->run_dir = copy(optarg);
      break;
    case 's':
      host->state_dir = copy(optarg);
      break;
    case 'c':
      host->cgroup_parent = copy(optarg);
      break;
    case 'i': /* the last slot's range must still fit into 32 bits */
      host->id_base = (uint32_t)number(optarg, UINT32_MAX - (unsigned long)SLOT_LIMIT * ID_RANGE);
      break;
    case 'n':
      host->ready_target = (unsigned)number(optarg, 256);
      break;
    case 'd':
      host->detached = true;
      break;
    default:
      fputs(usage, stderr);
      exit(2);
    }
  }
  if (!host->run_dir || !host->state_dir || optind != count || host->run_dir[0] != '/' || host->state_dir[0] != '/') {
    fputs(usage, stderr);
    exit(2);
  }
}

static int last_capability(void) {
  int fd = open("/proc/sys/kernel/cap_last_cap", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  char text[16] = "";
  if (fd < 0 || read(fd, text, sizeof text - 1) <= 0) {
    perror("unshared-supervisor: /proc/sys/kernel/cap_last_cap");
    exit(1);
  }
  close(fd);
  return atoi(text);
}

int main(int count, char **arguments) {
  static struct host host = {.cgroup_parent = "unshared", .id_base = 1000000000, .ready_target = 4};
  if (count > 1 && strcmp(arguments[1], "--version") == 0)
    return puts(PROGRAM_VERSION) < 0;
  if (count > 1 && strcmp(arguments[1], "launcher") == 0 && !mutant("not-sealed") && sealed_copy_run(arguments) < 0) {
    perror("unshared-supervisor: a sealed copy of the program cannot be executed (sysctl vm.memfd_noexec?)");
    return 1;
  }
  host.notify_socket = notify_take_socket();
  if (count == 2 && strcmp(arguments[1], "notify") == 0)
    return notify_run(host.notify_socket);
  if (count < 2 || strcmp(arguments[1], "launcher") != 0) {
    bool help = count > 1 && strcmp(arguments[1], "--help") == 0;
    fputs(usage, help ? stdout : stderr);
    return help ? 0 : 2;
  }
  prctl(PR_SET_NAME, "unshared-launch", 0, 0, 0); /* instead of the sealed copy's */
  argument_area.start = arguments[0];
  argument_area.size = (size_t)(arguments[count - 1] + strlen(arguments[count - 1]) - arguments[0]);
  read_flags(&host, count - 1, arguments + 1);
  host.last_capability = last_capability();
  if (privileges_give_up(host.last_capability) < 0) {
    perror("unshared-supervisor: privileges that are never needed cannot be given up");
    return 1;
  }
  host.sandboxes = open_directory(host.state_dir, "sandboxes", 0700);
  host.sockets = open_directory(host.run_dir, "sandboxes", 0700);
  if (process_namespaces(getpid(), host.ns_inode) < 0) {
    perror("unshared-supervisor: /proc/self/ns");
    return 1;
  }
  return launcher_run(&host);
}
