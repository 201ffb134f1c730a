/* Whose SIGKILL was the out-of-memory killer's. The kernel counts its kills by cgroup and does not say of whom, and most may be children of commands that
 * nobody here knows of. So a change of the count is watched: whom the kernel chose is killed where it is counted, and whoever is not dying a moment later was
 * not chosen, however it ends then. What remains uncertain is a command that somebody else kills within that moment of another's death for want of memory. */
#include "cgroup-files.h"
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SETTLE_US 50000
/* Version 1 tells of the want of memory before it kills, and before it has written of it to a console, which may be slow. */
#define LOOK_FIRST_US 10000
#define LOOK_LAST_US 640000
#define PF_EXITING 0x4 /* include/linux/sched.h; proc_pid_stat(5), flags */

static void look(struct supervisor *supervisor) {
  struct oom *oom = &supervisor->oom;
  uint64_t kills = cgroup_oom_kills(&supervisor->instance.cgroup);
  if (kills <= oom->kills)
    return;
  oom->untold += kills - oom->kills;
  oom->kills = kills;
  oom->settle_at_us = now_us() + SETTLE_US;
}

/* ---- who is dying ---- */

static bool kill_is_pending(pid_t pid) {
  char path[40], text[4096];
  snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  fd_close(&fd);
  text[length > 0 ? length : 0] = 0;
  const char *pending = strstr(text, "\nSigPnd:");
  return !pending || (strtoull(pending + 8, NULL, 16) & 1ull << (SIGKILL - 1));
}

static bool is_dying(const struct process *process) {
  struct pollfd ended = {.fd = process->pidfd.fd, .events = POLLIN};
  if (process->pidfd.fd < 0 || poll(&ended, 1, 0) != 0)
    return true;
  return kill_is_pending(process->pid) || (process_flags(process->pid) & PF_EXITING);
}

static void settle(struct supervisor *supervisor) {
  uint64_t dying = 0;
  for (struct process *process = &supervisor->main; process; process = process->next) {
    process->dying = process->state == PROCESS_RUNNING && is_dying(process);
    dying += process->dying;
  }
  if (supervisor->oom.untold > dying) /* the others were nobody that is known here */
    supervisor->oom.untold = dying;
  supervisor->oom.settle_at_us = 0;
}

bool supervisor_out_of_memory(struct supervisor *supervisor, const struct process *process, const struct ending *ending) {
  struct oom *oom = &supervisor->oom;
  if (ending->signal_number != SIGKILL || supervisor->retry_us || process->kill_sent)
    return false;
  look(supervisor);
  if (!oom->untold || !(oom->settle_at_us || process->dying))
    return false;
  oom->untold--;
  return true;
}

/* ---- what is watched ---- */

static void events_ready(struct watch *watch, uint32_t events) {
  struct supervisor *supervisor = watch->owner;
  char text[512];
  (void)events;
  lseek(watch->fd, 0, SEEK_SET); /* reading it anew is what takes the event; an eventfd has no place */
  if (read(watch->fd, text, sizeof text) < 0)
    loop_close(&supervisor->loop, watch);
  look(supervisor);
  if (!supervisor->instance.cgroup.v1[MEMORY])
    return;
  supervisor->oom.pause_us = LOOK_FIRST_US;
  supervisor->oom.look_at_us = now_us() + LOOK_FIRST_US;
}

/* Documentation/admin-guide/cgroup-v1/memory.rst, "OOM control". */
static int open_v1(const struct cgroup *cgroup) {
  char path[PATH_MAX + 24], line[32];
  cgroup_v1_path(path, cgroup, MEMORY);
  int directory = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int control = directory < 0 ? -1 : openat(directory, "memory.oom_control", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  int events = control < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  snprintf(line, sizeof line, "%d %d", events, control);
  if (events >= 0 && cgroup_write(directory, "cgroup.event_control", line) < 0)
    fd_close(&events);
  fd_close(&control);
  fd_close(&directory);
  return events;
}

void oom_watch(struct supervisor *supervisor) {
  const struct cgroup *cgroup = &supervisor->instance.cgroup;
  bool v1 = cgroup->v1[MEMORY];
  int fd = v1 ? open_v1(cgroup) : openat(cgroup->v2, "memory.events", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  supervisor->oom.events = (struct watch){.fd = fd, .ready = events_ready, .owner = supervisor};
  if (fd < 0 || loop_add(&supervisor->loop, &supervisor->oom.events, v1 ? EPOLLIN : EPOLLPRI) < 0) {
    log_line(40, "sandbox %s: the count of kills for want of memory cannot be watched: %s", supervisor->id, strerror(errno));
    loop_close(&supervisor->loop, &supervisor->oom.events);
  }
  look(supervisor);
}

uint64_t oom_mind_the_clock(struct supervisor *supervisor, uint64_t now) {
  struct oom *oom = &supervisor->oom;
  if (oom->look_at_us && oom->look_at_us <= now) {
    look(supervisor);
    oom->pause_us *= 2;
    oom->look_at_us = oom->pause_us <= LOOK_LAST_US ? now + oom->pause_us : 0;
  }
  if (oom->settle_at_us && oom->settle_at_us <= now)
    settle(supervisor);
  return oom->look_at_us && (!oom->settle_at_us || oom->look_at_us < oom->settle_at_us) ? oom->look_at_us : oom->settle_at_us;
}
