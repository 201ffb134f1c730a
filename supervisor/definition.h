/* The fields of LAUNCH, checked; a view into the frame's body, which lies in memory shared by launcher, supervisor and shell. */
#ifndef DEFINITION_H
#define DEFINITION_H

#include "cgroup.h"
#include "seccomp-filter.h"
#include "wire.h"

#define ARGUMENT_LIMIT 256
#define ENVIRONMENT_LIMIT 1024
#define COMMAND_BYTES_LIMIT (512u << 10)

/* Body of LAUNCH as it was received, and the shell's marks on its way; unmapped before anything of the sandbox's runs. One page of it is touched for a usual definition. */
enum mark { MARK_MOUNTED, MARK_PIVOTED, MARK_DROPPED, MARK_COUNT };
struct order {
  uint32_t length;
  uint32_t slot_taken;         /* 1 and the slot, once its cgroups are made: whoever cleans up after a supervisor must not take another's */
  uint64_t marks[MARK_COUNT]; /* when the shell got so far (now_us); 0: it did not */
  uint32_t filter_length;      /* instructions of `filter`; 0: it is one of the host's own, by the profile */
  char body[WIRE_BODY_LIMIT];
  struct sock_filter filter[BPF_MAXINSNS];
};

struct definition {
  const char *id, *root, *cwd, *hostname;
  unsigned isolate; /* mask of NS_BIT */
  uid_t uid;
  gid_t gid;
  bool init, tty, hold, disk;
  uint64_t capabilities, open_files, output_bytes, disk_bytes;
  struct cgroup_limits limits;
  struct seccomp_choice seccomp;
  const struct sock_fprog *filter; /* NULL: the host's own of the profile */
  char *arguments[ARGUMENT_LIMIT + 1], *environment[ENVIRONMENT_LIMIT + 1]; /* ended by NULL */
};

/* A name of an id's form: `[0-9a-z]{1,64}`. */
#define NAME_SIZE 65

/* Answers false with `error` filled when the fields are not what PROTOCOL.md allows. */
bool definition_read(struct definition *definition, const struct fields *fields, char error[128]);

/* The same for EXEC, which names the command and leaves the rest as it is. */
bool definition_read_exec(struct definition *definition, const struct fields *fields, char error[128]);

/* The fields of LIMIT, and what LAUNCH has of them, already checked: limits, open_files and disk_bytes. */
extern const struct rule limit_rules[];
void definition_read_limits(struct definition *definition, const struct fields *fields);

#endif
