#include "definition.h"

#include <stdio.h>
#include <string.h>

const struct ns_type ns_table[NS_COUNT] = {
  [NS_MNT] = {"mnt", 0x00020000}, [NS_UTS] = {"uts", 0x04000000},  [NS_IPC] = {"ipc", 0x08000000},       [NS_NET] = {"net", 0x40000000},
  [NS_PID] = {"pid", 0x20000000}, [NS_USER] = {"user", 0x10000000}, [NS_CGROUP] = {"cgroup", 0x02000000}, [NS_TIME] = {"time", 0x00000080},
};

static const struct rule launch_rules[] = {
  {"id", RULE_ID, 0, 0, false, false},
  {"root", RULE_ID, 0, 0, true, false},
  {"isolate", RULE_TEXT, 1, 16, true, true},
  {"arg", RULE_TEXT, 0, 131071, true, true},
  {"hold", RULE_NUMBER, 0, 1, true, false},
  {"disk", RULE_NUMBER, 0, 1, true, false},
  {"env", RULE_TEXT, 2, 131071, true, true},
  {"cwd", RULE_TEXT, 1, 4095, false, false},
  {"uid", RULE_NUMBER, 0, ID_RANGE - 1, false, false},
  {"gid", RULE_NUMBER, 0, ID_RANGE - 1, false, false},
  {"hostname", RULE_TEXT, 1, 64, true, false},
  {"init", RULE_NUMBER, 0, 1, false, false},
  {"tty", RULE_NUMBER, 0, 1, false, false},
  {"capabilities", RULE_NUMBER, 0, INT64_MAX, false, false},
  {"seccomp", RULE_TEXT, 1, 16, false, false},
  {"seccomp-allow", RULE_TEXT, 1, 32, true, true},
  {"seccomp-deny", RULE_TEXT, 1, 32, true, true},
  {"memory-bytes", RULE_NUMBER, 0, INT64_MAX, false, false},
  {"cpu-quota-us", RULE_NUMBER, 0, 1000000000, false, false},
  {"cpu-weight", RULE_NUMBER, 0, 10000, false, false},
  {"pids", RULE_NUMBER, 0, 4194304, false, false},
  {"open-files", RULE_NUMBER, 1, 1048576, false, false},
  {"disk-bytes", RULE_NUMBER, 1, INT64_MAX, true, false},
  {"output-bytes", RULE_NUMBER, 4096, UINT64_C(1) << 30, false, false},
  {0},
};

const struct rule limit_rules[] = {
  {"memory-bytes", RULE_NUMBER, 0, INT64_MAX, false, false},
  {"cpu-quota-us", RULE_NUMBER, 0, 1000000000, false, false},
  {"cpu-weight", RULE_NUMBER, 0, 10000, false, false},
  {"pids", RULE_NUMBER, 0, 4194304, false, false},
  {"open-files", RULE_NUMBER, 1, 1048576, false, false},
  {"disk-bytes", RULE_NUMBER, 1, INT64_MAX, true, false},
  {0},
};

static const struct rule exec_rules[] = {
  {"process", RULE_ID, 0, 0, false, false},
  {"arg", RULE_TEXT, 0, 131071, false, true},
  {"env", RULE_TEXT, 2, 131071, true, true},
  {"cwd", RULE_TEXT, 1, 4095, false, false},
  {"uid", RULE_NUMBER, 0, ID_RANGE - 1, false, false},
  {"gid", RULE_NUMBER, 0, ID_RANGE - 1, false, false},
  {"tty", RULE_NUMBER, 0, 1, false, false},
  {"stdin", RULE_NUMBER, 0, 1, false, false},
  {"timeout-ms", RULE_NUMBER, 0, INT64_MAX / 1000000, false, false},
  {"output-bytes", RULE_NUMBER, 4096, UINT64_C(1) << 30, false, false},
  {0},
};

static bool refuse(char error[128], const char *why) {
  snprintf(error, 128, "%s", why);
  return false;
}

static bool read_isolate(struct definition *definition, const char *value) {
  for (int i = 0; i < NS_COUNT; i++)
    if (strcmp(value, ns_table[i].name) == 0) {
      definition->isolate |= NS_BIT(i);
      return true;
    }
  return false;
}

static bool read_lists(struct definition *definition, const struct fields *fields, char error[128]) {
  unsigned arguments = 0, variables = 0;
  size_t bytes = 0;
  for (const char *field = NULL, *value; (field = fields_next(fields, field));) {
    if ((value = field_value(field, "arg"))) {
      if (arguments == ARGUMENT_LIMIT)
        return refuse(error, "more than 256 arg");
      definition->arguments[arguments++] = (char *)(uintptr_t)value;
      bytes += strlen(value) + 1;
    } else if ((value = field_value(field, "env"))) {
      if (variables == ENVIRONMENT_LIMIT)
        return refuse(error, "more than 1024 env");
      if (!strchr(value, '=') || value[0] == '=')
        return refuse(error, "env is not NAME=VALUE");
      definition->environment[variables++] = (char *)(uintptr_t)value;
      bytes += strlen(value) + 1;
    } else if ((value = field_value(field, "isolate")) && !read_isolate(definition, value)) {
      return refuse(error, "isolate names no namespace type");
    }
  }
  return bytes <= COMMAND_BYTES_LIMIT || refuse(error, "arg and env exceed 512 KiB");
}

static bool read_changes(const struct fields *fields, const char *key, const char **names, bool (*may)(const char *name)) {
  size_t count = 0;
  for (const char *field = NULL, *name; (field = fields_next(fields, field));)
    if ((name = field_value(field, key))) {
      if (count == SECCOMP_CHANGES || !may(name))
        return false;
      names[count++] = name;
    }
  return true;
}

static bool read_seccomp(struct seccomp_choice *choice, const struct fields *fields, char error[128]) {
  const char *profile = fields_get(fields, "seccomp");
  choice->strict = strcmp(profile, "strict") == 0;
  if (!choice->strict && strcmp(profile, "default") != 0)
    return refuse(error, "seccomp is no profile");
  return (read_changes(fields, "seccomp-allow", choice->allowed, seccomp_may_allow) || refuse(error, "seccomp-allow names what is never allowed")) &&
         (read_changes(fields, "seccomp-deny", choice->denied, seccomp_may_deny) || refuse(error, "seccomp-deny names what cannot be denied"));
}

/* What LAUNCH and EXEC have in common: whom to run, where, how. */
static bool read_command(struct definition *definition, const struct fields *fields, char error[128]) {
  if (!read_lists(definition, fields, error))
    return false;
  definition->cwd = fields_get(fields, "cwd");
  definition->uid = (uid_t)fields_number(fields, "uid", 0);
  definition->gid = (gid_t)fields_number(fields, "gid", 0);
  definition->tty = fields_number(fields, "tty", 0);
  definition->output_bytes = fields_number(fields, "output-bytes", 0);
  if (definition->cwd[0] != '/')
    return refuse(error, "cwd is not absolute");
  definition->hold = fields_number(fields, "hold", 0);
  if (!definition->hold && !definition->arguments[0])
    return refuse(error, "arg is missing");
  if (definition->hold && definition->arguments[0])
    return refuse(error, "hold goes without arg");
  return definition->hold || definition->arguments[0][0] || refuse(error, "arg 0 is empty");
}

bool definition_read_exec(struct definition *definition, const struct fields *fields, char error[128]) {
  return fields_check(fields, exec_rules, error) && read_command(definition, fields, error);
}

void definition_read_limits(struct definition *definition, const struct fields *fields) {
  definition->limits = (struct cgroup_limits){
    .memory_bytes = fields_number(fields, "memory-bytes", 0),
    .cpu_quota_us = fields_number(fields, "cpu-quota-us", 0),
    .cpu_weight = fields_number(fields, "cpu-weight", 0),
    .pids = fields_number(fields, "pids", 0),
  };
  definition->open_files = fields_number(fields, "open-files", 0);
  definition->disk_bytes = fields_number(fields, "disk-bytes", 0);
}

bool definition_read(struct definition *definition, const struct fields *fields, char error[128]) {
  memset(definition, 0, sizeof *definition);
  if (!fields_check(fields, launch_rules, error) || !read_command(definition, fields, error))
    return false;
  definition->id = fields_get(fields, "id");
  definition->root = fields_get(fields, "root");
  definition->hostname = fields_get(fields, "hostname");
  definition->init = fields_number(fields, "init", 0);
  definition->disk = fields_number(fields, "disk", 0);
  definition->capabilities = fields_number(fields, "capabilities", 0);
  definition_read_limits(definition, fields);
  bool mount = definition->isolate & NS_BIT(NS_MNT);
  if (!read_seccomp(&definition->seccomp, fields, error))
    return false;
  if (mount != (definition->root != NULL))
    return refuse(error, "root goes with an isolated mnt, and only with it");
  if ((definition->disk || definition->disk_bytes) && !mount)
    return refuse(error, "disk and disk-bytes need an isolated mnt");
  if (definition->hostname && !(definition->isolate & NS_BIT(NS_UTS)))
    return refuse(error, "hostname needs an isolated uts");
  if (definition->hold && (definition->init || definition->tty))
    return refuse(error, "hold goes without init and tty");
  if (definition->init && !(definition->isolate & NS_BIT(NS_PID)))
    return refuse(error, "init needs an isolated pid");
  if (!(definition->isolate & NS_BIT(NS_USER)) && (!mount || definition->capabilities))
    return refuse(error, "without an isolated user there must be an isolated mnt and no capabilities");
  return true;
}
