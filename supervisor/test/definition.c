/* LAUNCH and EXEC, field by field: what PROTOCOL.md allows is read, everything else is refused with its reason. */
#include "definition.h"
#include "check.h"

struct pair {
  const char *key, *value; /* a NULL value takes the field away */
};

static const struct pair launch[] = {
  {"id", "box1"}, {"root", "root1"}, {"isolate", "mnt"}, {"isolate", "uts"}, {"isolate", "ipc"}, {"isolate", "net"}, {"isolate", "pid"},
  {"isolate", "user"}, {"isolate", "cgroup"}, {"arg", "/bin/bash"}, {"arg", ""}, {"env", "A=1"}, {"env", "B="}, {"cwd", "/"}, {"uid", "7"},
  {"gid", "8"}, {"hostname", "name"}, {"init", "1"}, {"tty", "0"}, {"capabilities", "3"}, {"seccomp", "default"}, {"memory-bytes", "33554432"},
  {"cpu-quota-us", "50000"}, {"cpu-weight", "50"}, {"pids", "64"}, {"open-files", "1024"}, {"output-bytes", "65536"}, {NULL, NULL},
};
static const struct pair exec[] = {
  {"process", "p1"}, {"arg", "true"}, {"env", "A=1"}, {"cwd", "/"}, {"uid", "0"}, {"gid", "0"}, {"tty", "0"}, {"stdin", "0"}, {"timeout-ms", "0"},
  {"output-bytes", "4096"}, {NULL, NULL},
};

static struct definition definition;
static struct frame frame;

/* Reads the fields with `change` in place of those of its key (also NULL: as they are) and `more` after them. */
static bool read(const struct pair *fields, const struct pair *change, const struct pair *more, char error[128]) {
  struct fields opened;
  bool replaced = false;
  frame_free(&frame);
  frame_begin(&frame, LAUNCH, 1);
  for (const struct pair *field = fields; field->key; field++) {
    if (!change || strcmp(field->key, change->key) != 0)
      frame_put(&frame, field->key, "%s", field->value);
    else if (change->value && !replaced)
      frame_put(&frame, field->key, "%s", change->value), replaced = true;
  }
  for (; more && more->key; more++)
    frame_put(&frame, more->key, "%s", more->value);
  NEED(!frame.failed && fields_open(&opened, frame.data + 12, frame.length - 12));
  memset(definition.arguments, 0, sizeof definition.arguments); /* as the caller of definition_read_exec does */
  memset(definition.environment, 0, sizeof definition.environment);
  return fields == launch ? definition_read(&definition, &opened, error) : definition_read_exec(&definition, &opened, error);
}

static void test_read(void) {
  char error[128] = "";
  CHECK(read(launch, NULL, NULL, error), "%s", error);
  CHECK(strcmp(definition.id, "box1") == 0 && strcmp(definition.root, "root1") == 0 && strcmp(definition.cwd, "/") == 0 && strcmp(definition.hostname, "name") == 0, "texts");
  CHECK(definition.isolate == NS_DEFAULT && definition.uid == 7 && definition.gid == 8 && definition.init && !definition.tty, "numbers");
  CHECK(definition.capabilities == 3 && definition.open_files == 1024 && definition.output_bytes == 65536, "more numbers");
  CHECK(definition.limits.memory_bytes == 33554432 && definition.limits.cpu_quota_us == 50000 && definition.limits.pids == 64, "limits");
  CHECK(strcmp(definition.arguments[0], "/bin/bash") == 0 && definition.arguments[1][0] == 0 && !definition.arguments[2], "arguments");
  CHECK(strcmp(definition.environment[0], "A=1") == 0 && strcmp(definition.environment[1], "B=") == 0 && !definition.environment[2], "environment");
  CHECK(read(exec, NULL, NULL, error) && definition.output_bytes == 4096, "EXEC: %s", error);
}

static void test_optional(void) {
  static const char *const optional[] = {"env", "hostname"};
  char error[128];
  for (size_t i = 0; i < 2; i++)
    CHECK(read(launch, &(struct pair){optional[i], NULL}, NULL, error), "without %s: %s", optional[i], error);
  CHECK(!definition.hostname, "no hostname");
  CHECK(read(exec, &(struct pair){"env", NULL}, NULL, error) && !definition.environment[0], "EXEC without env");
}

static void test_missing(const struct pair *fields, const char *last) {
  char error[128], expected[64];
  const char *before = "";
  for (const struct pair *field = fields; field->key; before = field->key, field++) {
    if (strcmp(field->key, before) == 0 || strstr("root isolate env hostname", field->key))
      continue;
    snprintf(expected, sizeof expected, "%s is missing", field->key);
    CHECK(!read(fields, &(struct pair){field->key, NULL}, NULL, error) && strcmp(error, expected) == 0, "without %s", field->key);
  }
  CHECK(!read(fields, NULL, (struct pair[]){{"color", "1"}, {0}}, error) && strcmp(error, "unknown field color") == 0, "unknown, after %s", last);
  for (const struct pair *field = fields; field->key; field++) {
    if (strstr("isolate arg env", field->key))
      continue;
    snprintf(expected, sizeof expected, "%s is given twice", field->key);
    CHECK(!read(fields, NULL, (struct pair[]){*field, {0}}, error) && strcmp(error, expected) == 0, "%s twice", field->key);
  }
}

struct range {
  const char *key;
  const char *allowed[3], *refused[5];
};

static void test_ranges(const struct pair *fields, const struct range *ranges) {
  char error[128];
  for (const struct range *range = ranges; range->key; range++) {
    for (int i = 0; i < 3 && range->allowed[i]; i++)
      CHECK(read(fields, &(struct pair){range->key, range->allowed[i]}, NULL, error), "%s=%s: %s", range->key, range->allowed[i], error);
    for (int i = 0; i < 5 && range->refused[i]; i++)
      CHECK(!read(fields, &(struct pair){range->key, range->refused[i]}, NULL, error), "%s=%s", range->key, range->refused[i]);
  }
}

static const struct range launch_ranges[] = {
  {"id", {"0", "z9"}, {"", "A", "a/b", "..", "a b"}},
  {"root", {"0", "z9"}, {"", "A", "a/b", "..", "a b"}},
  {"arg", {"x"}, {""}},
  {"env", {"A=", "A=B=C"}, {"A", "=x", "==", ""}},
  {"cwd", {"/", "/a/../b"}, {"", "a", "./", "~"}},
  {"uid", {"0", "65535"}, {"65536", "-1", "", "root", "4294967296"}},
  {"gid", {"0", "65535"}, {"65536", "-1", "", "root", "4294967296"}},
  {"hostname", {"a", "0123456789012345678901234567890123456789012345678901234567890123"}, {"", "01234567890123456789012345678901234567890123456789012345678901234"}},
  {"init", {"0", "1"}, {"2", "", "yes"}},
  {"tty", {"0", "1"}, {"2", "", "no"}},
  {"capabilities", {"0", "9223372036854775807"}, {"9223372036854775808", "-1", "0x1", ""}},
  {"seccomp", {"default"}, {"", "none", "Default", "defaultx", "unconfined"}},
  {"memory-bytes", {"0", "9223372036854775807"}, {"9223372036854775808", "-1", "1k"}},
  {"cpu-quota-us", {"0", "1000000000"}, {"1000000001", "-1", "0.5"}},
  {"cpu-weight", {"0", "10000"}, {"10001", "-1", "0.5"}},
  {"pids", {"0", "4194304"}, {"4194305", "-1", "max"}},
  {"open-files", {"1", "1048576"}, {"0", "1048577", ""}},
  {"output-bytes", {"4096", "1073741824"}, {"4095", "0", "1073741825"}},
  {0},
};
static const struct range exec_ranges[] = {
  {"process", {"0", "main"}, {"", "A", "a-b", "a/b", "a b"}},
  {"arg", {"x"}, {""}},
  {"env", {"A="}, {"A", "=x"}},
  {"cwd", {"/"}, {"", "a"}},
  {"uid", {"65535"}, {"65536"}},
  {"gid", {"65535"}, {"65536"}},
  {"tty", {"1"}, {"2"}},
  {"stdin", {"1"}, {"2", ""}},
  {"timeout-ms", {"0", "9223372036854"}, {"9223372036855", "-1"}},
  {"output-bytes", {"4096"}, {"4095"}},
  {0},
};

static void test_namespaces(void) {
  static const struct {
    const char *isolate, *change, *value;
    bool allowed;
  } cases[] = {
    {"mnt,user,pid,uts", NULL, NULL, true}, {"mnt,uts,ipc,net,pid,user,cgroup,time", NULL, NULL, true},
    {"user,pid,uts", NULL, NULL, false}, {"user,pid,uts", "root", NULL, true}, {"mnt,user,pid,uts", "root", NULL, false}, /* root and mnt go together */
    {"mnt,user,pid", NULL, NULL, false}, {"mnt,user,pid", "hostname", NULL, true},                                       /* hostname needs uts */
    {"mnt,user,uts", NULL, NULL, false}, {"mnt,user,uts", "init", "0", true},                                             /* init needs pid */
    {"mnt,pid,uts", NULL, NULL, false}, {"mnt,pid,uts", "capabilities", "0", true}, {"mnt,pid,uts", "capabilities", "1", false}, /* no user: no capabilities */
    {"mnt,user,pid,uts,mount", NULL, NULL, false}, {"mnt,user,pid,uts,", NULL, NULL, false}, {"mnt,user,pid,uts,MNT", NULL, NULL, false},
    {"mnt,mnt,user,pid,uts", NULL, NULL, true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char error[128] = "", text[64];
    struct pair fields[40];
    size_t count = 0;
    for (const struct pair *field = launch; field->key; field++) {
      if (strcmp(field->key, "isolate") == 0)
        continue;
      if (!cases[i].change || strcmp(field->key, cases[i].change) != 0)
        fields[count++] = *field;
      else if (cases[i].value)
        fields[count++] = (struct pair){field->key, cases[i].value};
    }
    fields[count] = (struct pair){NULL, NULL};
    struct pair more[12] = {0};
    size_t used = 0;
    snprintf(text, sizeof text, "%s", cases[i].isolate);
    for (char *rest = text, *name; (name = strsep(&rest, ","));)
      more[used++] = (struct pair){"isolate", name};
    struct fields opened;
    frame_free(&frame);
    frame_begin(&frame, LAUNCH, 1);
    for (size_t j = 0; j < count + used; j++)
      frame_put(&frame, j < count ? fields[j].key : more[j - count].key, "%s", j < count ? fields[j].value : more[j - count].value);
    NEED(fields_open(&opened, frame.data + 12, frame.length - 12));
    CHECK(definition_read(&definition, &opened, error) == cases[i].allowed, "%s with %s=%s: %s", cases[i].isolate, cases[i].change ? cases[i].change : "-",
          cases[i].value ? cases[i].value : "-", error);
  }
}

static void test_lists(void) {
  static struct pair more[ENVIRONMENT_LIMIT + 2];
  char error[128];
  for (int i = 0; i < ARGUMENT_LIMIT - 1; i++)
    more[i] = (struct pair){"arg", "x"};
  more[ARGUMENT_LIMIT - 2] = (struct pair){NULL, NULL};
  CHECK(read(launch, NULL, more, error) && definition.arguments[ARGUMENT_LIMIT - 1] && !definition.arguments[ARGUMENT_LIMIT], "256 arg: %s", error);
  more[ARGUMENT_LIMIT - 2] = (struct pair){"arg", "x"};
  more[ARGUMENT_LIMIT - 1] = (struct pair){NULL, NULL};
  CHECK(!read(launch, NULL, more, error) && strcmp(error, "more than 256 arg") == 0, "257 arg");
  for (int i = 0; i < ENVIRONMENT_LIMIT; i++)
    more[i] = (struct pair){"env", "A=1"};
  more[ENVIRONMENT_LIMIT - 2] = (struct pair){NULL, NULL};
  CHECK(read(launch, NULL, more, error) && definition.environment[ENVIRONMENT_LIMIT - 1] && !definition.environment[ENVIRONMENT_LIMIT], "1,024 env: %s", error);
  more[ENVIRONMENT_LIMIT - 2] = (struct pair){"env", "A=1"};
  more[ENVIRONMENT_LIMIT - 1] = (struct pair){NULL, NULL};
  CHECK(!read(launch, NULL, more, error) && strcmp(error, "more than 1024 env") == 0, "1,025 env");
}

static void test_size(void) {
  char error[128];
  char *large = malloc(131073);
  NEED(large);
  memset(large, 'x', 131072);
  large[131072] = 0;
  CHECK(!read(launch, NULL, (struct pair[]){{"arg", large}, {0}}, error), "an argument longer than the kernel's MAX_ARG_STRLEN");
  large[131071] = 0;
  struct pair four[] = {{"arg", large}, {"arg", large}, {"arg", large}, {"arg", large}, {0}};
  CHECK(!read(launch, NULL, four, error) && strcmp(error, "arg and env exceed 512 KiB") == 0, "together more than 512 KiB");
  four[3].key = NULL;
  CHECK(read(launch, NULL, four, error), "three of them: %s", error);
  free(large);
}

int main(void) {
  test_read();
  test_optional();
  test_missing(launch, "LAUNCH");
  test_missing(exec, "EXEC");
  test_ranges(launch, launch_ranges);
  test_ranges(exec, exec_ranges);
  test_namespaces();
  test_lists();
  test_size();
  frame_free(&frame);
  return check_end("definition");
}
