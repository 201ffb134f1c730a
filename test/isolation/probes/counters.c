/* What the kernel counts per user, or for the whole host. usage: counters fill | counters one
 * `fill` takes as much of each as it gets and holds it until it is killed; `one` takes one of each. */
#include "probe.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#define MOST 100000

static int inotify(int number) {
  (void)number;
  return inotify_init1(0);
}

/* Not to their bound, which is a matter of the host's memory, and each keeps an inode. */
static int watch(int number) {
  static int fd = -1;
  char path[64];
  errno = EDQUOT;
  if (number == 5000)
    return -1;
  if (fd < 0 || number == 0)
    fd = inotify_init1(0);
  snprintf(path, sizeof path, "/tmp/watched-%d", number);
  int file = open(path, O_WRONLY | O_CREAT, 0600);
  if (file < 0)
    return -1;
  close(file);
  int result = inotify_add_watch(fd, path, IN_MODIFY);
  unlink(path);
  return result;
}

static int terminal(int number) {
  (void)number;
  return open("/dev/ptmx", O_RDWR | O_NOCTTY);
}

static int queue(int number) {
  char name[64];
  struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = 8192};
  snprintf(name, sizeof name, "/queue-%d-%d", (int)getpid(), number);
  int fd = mq_open(name, O_CREAT | O_RDWR, 0600, &attributes);
  mq_unlink(name);
  return fd;
}

static int pipe_of_many_pages(int number) {
  int fds[2];
  (void)number;
  return pipe(fds) < 0 || fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) < 0 ? -1 : fds[0];
}

static int pending(int number) {
  (void)number;
  return sigqueue(getpid(), SIGRTMIN, (union sigval){0});
}

static int locked(int number) {
  (void)number;
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page == MAP_FAILED || mlock(page, 4096) < 0 ? -1 : 0;
}

static int timer(int number) {
  timer_t made;
  (void)number;
  return timer_create(CLOCK_MONOTONIC, NULL, &made);
}

static int process(int number) {
  (void)number;
  pid_t child = fork();
  if (child == 0) {
    for (;;)
      pause();
  }
  return child;
}

/* Counted for the whole host, 65,536 events by default (fs.aio-max-nr). */
static int libaio(int number) {
  aio_context_t context = 0;
  (void)number;
  return (int)syscall(SYS_io_setup, 500, &context);
}

static const struct {
  const char *name;
  int (*take)(int number);
} kinds[] = {
  {"inotify watches", watch}, {"inotify instances", inotify}, {"terminals", terminal}, {"message queues", queue}, {"pipe pages", pipe_of_many_pages},
  {"pending signals", pending},   {"locked pages", locked},   {"timers", timer},       {"libaio contexts", libaio},
  {"processes", process},
};

/* Each kind in a process of its own, whose descriptors are all for it. */
static void fill(void) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    int said[2];
    char text[64] = "";
    if (pipe(said) < 0 || fork() == 0) {
      int taken = 0, error = 0;
      sigset_t all;
      sigfillset(&all);
      sigprocmask(SIG_SETMASK, &all, NULL);
      while (taken < MOST && !error) {
        errno = 0;
        if (kinds[i].take(taken) < 0)
          error = errno;
        else
          taken++;
      }
      snprintf(text, sizeof text, "%d then %s", taken, outcome(error));
      if (write(said[1], text, sizeof text) < 0)
        _exit(1);
      for (;;)
        pause();
    }
    if (read(said[0], text, sizeof text) > 0)
      say(text, "%s", kinds[i].name);
  }
  say("all", "taken");
  for (;;)
    pause();
}

int main(int count, char **arguments) {
  if (count > 1 && strcmp(arguments[1], "fill") == 0)
    fill();
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    errno = 0;
    int result = kinds[i].take(0);
    say(outcome(result < 0 ? errno : 0), "%s", kinds[i].name);
    if (kinds[i].take == process && result > 0)
      kill(result, SIGKILL);
  }
}
