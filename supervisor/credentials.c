/* What a sandbox's processes may do: ids, capabilities, no_new_privs, seccomp; dropped once, by the shell, inherited by all. */
#include "instance.h"
#include "mutants.h"
#include "seccomp-filter.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int drop_bounding(int last, uint64_t kept, struct failure *failure) {
  for (int capability = 0; capability <= last; capability++)
    if (!(kept >> capability & 1) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
      return fail(failure, LAYER_CAPABILITIES, "drop capability %d from the bounding set", capability);
  return 0;
}

/* All that may be had, for a mutant. */
static inline uint64_t bounding_set(int last) {
  uint64_t set = 0;
  for (int capability = 0; capability <= last; capability++)
    set |= (uint64_t)(prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1) << capability;
  return set;
}

static int set_ids(uid_t uid, gid_t gid, struct failure *failure) {
  if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
    return fail(failure, LAYER_USER, "become uid %u, gid %u", (unsigned)uid, (unsigned)gid);
  return 0;
}

static int set_capabilities(int last, uint64_t kept, struct failure *failure) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  for (int i = 0; i < 2; i++) {
    uint32_t word = (uint32_t)(kept >> (32 * i));
    data[i] = (struct __user_cap_data_struct){.effective = word, .permitted = word, .inheritable = word};
  }
  if (syscall(SYS_capset, &header, data) < 0)
    return fail(failure, LAYER_CAPABILITIES, "capset");
  for (int capability = 0; capability <= last; capability++)
    if ((kept >> capability & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
      return fail(failure, LAYER_CAPABILITIES, "raise ambient capability %d", capability);
  return 0;
}

int credentials_drop(const struct host *host, const struct definition *definition, struct failure *failure) {
  const struct sock_fprog *filter = definition->filter ? definition->filter : &host->filters[definition->seccomp.strict];
  uint64_t kept = mutant("caps-kept") ? bounding_set(host->last_capability) : definition->capabilities;
  if (mutant("no-nnp") && seccomp_install(filter, failure) < 0) /* allowed as long as there is CAP_SYS_ADMIN */
    return -1;
  errno = EINVAL;
  if (host->last_capability < 63 && kept >> (host->last_capability + 1))
    return fail_guest(failure, LAYER_CAPABILITIES, "this kernel knows no capability above %d", host->last_capability);
  if (drop_bounding(host->last_capability, kept, failure) < 0)
    return -1;
  /* uid 0 means nothing for capabilities from here on, and what is kept survives the change of ids (capabilities(7)). */
  if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS, 0, 0, 0) < 0)
    return fail(failure, LAYER_CAPABILITIES, "securebits");
  if (set_ids(definition->uid, definition->gid, failure) < 0 || set_capabilities(host->last_capability, kept, failure) < 0)
    return -1;
  /* A change of ids clears this one, and makes the process dumpable or not by a sysctl; both are set for good here. */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, mutant("dumpable"), 0, 0, 0) < 0)
    return fail(failure, LAYER_USER, "prctl");
  if (mutant("no-nnp"))
    return 0;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return fail(failure, LAYER_NO_NEW_PRIVS, "prctl");
  return seccomp_install(filter, failure);
}
