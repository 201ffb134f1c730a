/* Other processes by number: usage: signals PID... The numbers are those of the host. */
#include "probe.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

static void look_around(void) {
  DIR *proc = opendir("/proc");
  unsigned seen = 0;
  for (struct dirent *entry; proc && (entry = readdir(proc));)
    seen += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
  say(seen < 20 ? "few" : "many", "processes in /proc"); /* a sandbox of a test has 4 at most, a host more */
}

int main(int count, char **arguments) {
  look_around();
  for (int i = 1; i < count; i++) {
    pid_t pid = atoi(arguments[i]);
    struct sched_param parameter = {0};
    struct rlimit limit = {1 << 30, 1 << 30};
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(0, &cpus);
    TRY(kill(pid, SIGUSR1), "kill %d", i);
    TRY(syscall(SYS_tgkill, pid, pid, SIGUSR1), "tgkill %d", i);
    TRY(syscall(SYS_pidfd_open, pid, 0), "pidfd_open %d", i);
    TRY(setpriority(PRIO_PROCESS, (id_t)pid, 19), "setpriority %d", i);
    TRY(sched_setscheduler(pid, SCHED_BATCH, &parameter), "sched_setscheduler %d", i);
    TRY(sched_setaffinity(pid, sizeof cpus, &cpus), "sched_setaffinity %d", i);
    TRY(syscall(SYS_prlimit64, pid, RLIMIT_FSIZE, &limit, NULL), "prlimit %d", i);
    TRY(syscall(SYS_ioprio_set, 1, pid, 3 << 13), "ioprio_set %d", i);
  }
  TRY(setpriority(PRIO_USER, 0, 10), "setpriority of the user");
  TRY(kill(-1, SIGUSR1), "kill -1"); /* whoever it reaches ignores it inside, and dies of it outside */
}
