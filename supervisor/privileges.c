/* What launcher and supervisors are as processes of the host: given up once, by the launcher at its start, and inherited by all that it
 * forks. What runs inside has its capabilities by its own user namespace, which knows nothing of these sets (user_namespaces(7)), and
 * loses them in credentials.c; without a user namespace of its own a command may keep none. */
#include "host.h"
#include "failure.h"
#include "instance.h"
#include "mutants.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OOM_SCORE_ADJ (-900) /* one that is killed for memory takes a sandbox with it, or the way to start any */

/* All that is ever used on the host, each with its use. A test (test/system/hygiene.test.ts) compares. */
static const int needed[] = {
  CAP_CHOWN,        /* the owner of stdio; also of a terminal, where the ids inside are the host's */
  CAP_DAC_OVERRIDE, /* files of a sandbox, which belong to any id; cgroups that somebody else made */
  CAP_FOWNER,       /* the removal of what lies in a sandbox's sticky directories (unlink(2)) */
  CAP_FSETID,       /* with CHOWN, DAC_OVERRIDE and FOWNER what the file agent keeps, where the ids inside are the host's */
  CAP_KILL,         /* signals to what runs with other ids */
  CAP_SETGID,       /* gid_map, and to become who runs inside */
  CAP_SETUID,       /* uid_map, the owner of a user namespace, and to become who runs inside */
  CAP_SETPCAP,      /* securebits, and to drop what follows from the bounding set */
  CAP_NET_ADMIN,    /* lo of a network namespace, where the ids inside are the host's */
  CAP_SYS_CHROOT,   /* setns(2) into a mount namespace */
  CAP_SYS_PTRACE,   /* /proc/PID/ns and setns(2) by pidfd: what they are asked of is not dumpable */
  CAP_SYS_ADMIN,    /* namespaces, mounts, loop devices, quotas */
  CAP_SYS_RESOURCE, /* oom_score_adj: what sets 500 without it lets the sandbox set it back */
};

static uint64_t mask_of_needed(void) {
  uint64_t mask = 0;
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
    mask |= (uint64_t)1 << needed[i];
  return mask;
}

/* Who may not change the bounding set is no root to speak of; the preflight tells what is missing. */
static int drop_capabilities(int last) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  uint64_t kept = mask_of_needed();
  if (syscall(SYS_capget, &header, data) < 0)
    return -1;
  for (int capability = 0; capability <= last && (data[0].effective & (1u << CAP_SETPCAP)); capability++)
    if (!(kept >> capability & 1) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
      return -1;
  for (int i = 0; i < 2; i++) {
    data[i].permitted &= (uint32_t)(kept >> (32 * i));
    data[i].effective = data[i].permitted;
    data[i].inheritable = 0; /* and with it what was ambient (capabilities(7)) */
  }
  return (int)syscall(SYS_capset, &header, data);
}

/* Not every kernel lets it be lowered; who was given a lower one keeps it. */
static void avoid_the_killer(void) {
  char text[16] = "";
  int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  fd_close(&fd);
  if (length <= 0 || atoi(text) <= OOM_SCORE_ADJ)
    return;
  snprintf(text, sizeof text, "%d", OOM_SCORE_ADJ);
  process_write(getpid(), "oom_score_adj", text);
}

static void set_limits(void) {
  struct rlimit files, core = {1, 1}; /* see keep_core_limit in seccomp-filter.c */
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  if (!mutant("no-limits"))
    setrlimit(RLIMIT_CORE, &core); /* a second bar: what is not dumpable leaves no core */
}

int keyring_join(void) {
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0 || errno == ENOSYS) /* a kernel without keyrings has none to share */
    return 0;
  return -1;
}

int privileges_give_up(int last_capability) {
  umask(022);
  set_limits();
  avoid_the_killer();
  if (keyring_join() < 0)
    return -1;
  /* What runs inside may inherit these (capabilities with the host's ids), so the mutants of the layers there are of these, too. */
  bool caps = !mutant("caps-kept"), no_new_privs = !mutant("no-nnp");
  if (chdir("/") < 0 || (caps && drop_capabilities(last_capability) < 0) || (no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
    return -1;
  /* No core of it, and nobody but root looks into it or into the shells forked from it. */
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
