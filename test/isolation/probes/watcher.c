/* Lies in wait for whoever enters the sandbox: looks at every other process, over and over, and says each thing once that it could see
 * or do. usage: watcher */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static char said[512][160];
static unsigned count, rounds;

static void once(const char *what, const char *value) {
  char line[160];
  snprintf(line, sizeof line, "%.40s: %.110s", what, value);
  for (unsigned i = 0; i < count; i++)
    if (strcmp(said[i], line) == 0)
      return;
  if (count == sizeof said / sizeof *said)
    return;
  strcpy(said[count++], line);
  puts(line);
  fflush(stdout);
}

static void link_of(const char *pid, const char *name, const char *what) {
  char path[300], target[256];
  snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
  ssize_t length = readlink(path, target, sizeof target - 1);
  if (length < 0)
    return;
  target[length] = 0;
  if (strncmp(target, "pipe:", 5) != 0)
    once(what, target);
}

static void try(const char *pid) {
  char path[300], byte;
  struct iovec own = {&byte, 1}, other = {(void *)0x400000, 1};
  DIR *fds;
  link_of(pid, "exe", "exe");
  link_of(pid, "root", "root");
  link_of(pid, "cwd", "cwd");
  snprintf(path, sizeof path, "/proc/%s/fd", pid);
  if ((fds = opendir(path))) {
    for (const struct dirent *entry; (entry = readdir(fds));)
      if (entry->d_name[0] != '.') {
        char name[280];
        snprintf(name, sizeof name, "fd/%s", entry->d_name);
        link_of(pid, name, "fd");
      }
    closedir(fds);
  }
  snprintf(path, sizeof path, "/proc/%s/exe", pid);
  int fd = open(path, O_RDWR);
  if (fd >= 0) {
    link_of(pid, "exe", "exe for writing");
    close(fd);
  }
  if (ptrace(PTRACE_SEIZE, (pid_t)atoi(pid), 0, 0) == 0)
    once("ptrace", pid);
  if (process_vm_readv((pid_t)atoi(pid), &own, 1, &other, 1, 0) == 1)
    once("memory", pid);
}

int main(void) {
  for (;;) {
    DIR *proc = opendir("/proc");
    for (const struct dirent *entry; proc && (entry = readdir(proc));)
      if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && atoi(entry->d_name) != getpid())
        try(entry->d_name);
    if (proc)
      closedir(proc);
    if (++rounds == 10)
      once("watching", "yes");
  }
}
