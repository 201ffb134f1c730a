/* Every system call by number, in the three ways that an x86-64 kernel may be asked. usage: sweep x86-64|x32|i386
 * Each with arguments that no call can do harm with, in a process of its own. */
#include "probe.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define X32 0x40000000l
#define PATIENCE_MS 1000 /* for calls that wait, once each */

static long native(long number) {
  return syscall(number, -1l, -1l, -1l, -1l, -1l, -1l) == -1 ? -errno : 0;
}

#ifdef __x86_64__
static long i386(long number) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(-1l), "c"(-1l), "d"(-1l), "S"(-1l), "D"(-1l) : "memory", "r8", "r9", "r10", "r11");
  return (int)result < 0 && (int)result > -4096 ? (int)result : 0;
}
#else
static long i386(long number) {
  (void)number;
  return -ENOSYS;
}
#endif

/* Waits for the child, but not for ever. */
static int await(pid_t child, int *status) {
  sigset_t ended;
  sigemptyset(&ended);
  sigaddset(&ended, SIGCHLD);
  struct timespec patience = {PATIENCE_MS / 1000, PATIENCE_MS % 1000 * 1000000};
  for (;;) {
    if (waitpid(child, status, WNOHANG) == child)
      return 0;
    if (sigtimedwait(&ended, NULL, &patience) < 0 && errno == EAGAIN)
      break;
  }
  kill(child, SIGKILL);
  waitpid(child, status, 0);
  return -1;
}

static void attempt(const char *abi, long number, long (*call)(long), long asked) {
  static struct {
    int returned;
    long result;
  } *shared;
  char text[32];
  int status;
  if (!shared)
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  shared->returned = 0;
  pid_t child = fork();
  if (child == 0) {
    pid_t self = getpid();
    long result = call(asked);
    if (getpid() == self) {
      shared->result = result;
      shared->returned = 1;
    }
    _exit(0);
  }
  bool waits = await(child, &status) < 0;
  if (waits)
    snprintf(text, sizeof text, "waits");
  else if (shared->returned)
    snprintf(text, sizeof text, "%s", outcome((int)-shared->result));
  else
    snprintf(text, sizeof text, WIFSIGNALED(status) ? "signal %d" : "exits %d", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  say(text, "%s %ld", abi, number);
}

int main(int count, char **arguments) {
  setsid(); /* vhangup(2), where it is let through, is of no terminal then */
  const char *abi = count > 1 ? arguments[1] : "x86-64";
  bool old = strcmp(abi, "i386") == 0;
  sigset_t ended;
  sigemptyset(&ended);
  sigaddset(&ended, SIGCHLD);
  sigprocmask(SIG_BLOCK, &ended, NULL);
  for (long number = 0; number < 512; number++) {
    if (number == (old ? 36 : SYS_sync)) /* writes the host's disks, for seconds */
      continue;
    attempt(abi, number, old ? i386 : native, strcmp(abi, "x32") == 0 ? number | X32 : number);
  }
}
