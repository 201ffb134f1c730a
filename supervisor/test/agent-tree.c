/* Whole trees through the file agent: what is walked is what is there, what is planted is there as a whole or not at all. */
#include "../channel.h"
#include "../remove.h"
#include "agent-client.h"

#include <sys/stat.h>

static void clean(void) {
  struct removed removed;
  const char *names[] = {"tree", "outside"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    NEED(remove_tree(top, names[i], &removed) == 0);
}

/* ---- WALK ---- */

static void test_walk(void) {
  put_directory("outside");
  put_directory("tree");
  put_directory("tree/below");
  put_directory("tree/mounted");
  put_file("tree/first", "bytes");
  put_file("outside/secret", "secret");
  NEED(linkat(top, "tree/first", top, "tree/second", 0) == 0 && symlinkat("../../outside", top, "tree/below/link") == 0);
  NEED(mknodat(top, "tree/below/fifo", S_IFIFO | 0644, 0) == 0);
  agent_start("tree/mounted");
  struct { const char *path, *type, *more; } expected[] = {
    {"below", "directory", ""}, {"below/fifo", "fifo", ""}, {"below/link", "link", "../../outside"}, {"first", "file", ""}, {"mounted", "directory", ""}, {"second", "file", "first"},
  };
  tell(WALK, "path", "/tree", (char *)NULL);
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    CHECK(answer() == ENTRY && strcmp(field("path"), expected[i].path) == 0 && strcmp(field("type"), expected[i].type) == 0, "entry %zu is %s", i, field("path"));
    CHECK(strcmp(i == 5 ? field("hardlink") : field("target"), expected[i].more) == 0, "entry %zu", i);
    if (i == 3)
      CHECK(answer() == DATA && answer_fields.payload_length == 5 && memcmp(answer_fields.payload, "bytes", 5) == 0, "its bytes");
  }
  CHECK(answer() == DONE, "and that is all");
  CHECK(ASK(WALK, "path", "/tree/mounted") == ERROR && error_number() == EXDEV, "%s", field("message"));
  agent_stop();
  clean();
}

/* Deeper than is walked: the answer is an error after what could be sent, not a crash, and the agent goes on. */
static void test_deep(void) {
  put_directory("outside");
  put_directory("tree");
  int at = openat(top, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; i < 1500; i++) {
    int below = mkdirat(at, "d", 0755) == 0 ? openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    NEED(below >= 0);
    close(at);
    at = below;
  }
  close(at);
  agent_start(NULL);
  int entries = 0;
  tell(WALK, "path", "/tree", (char *)NULL);
  while (answer() == ENTRY)
    entries++;
  CHECK(answered.type == ERROR && error_number() == ELOOP && entries == DEPTH_LIMIT + 1, "%d entries, %s", entries, field("message"));
  CHECK(ASK(STAT, "path", "/tree", "follow", "0") == ENTRY, "it goes on");
  agent_stop();
  clean();
}

/* ---- PLANT ---- */

static void plant_begin(void) {
  CHECK(ASK(PLANT, "path", "/tree", "temporary", ".unshared-1") == DONE && there("tree/.unshared-1"), "%s", field("message"));
}

#define PLANT_IT(path, type, ...) tell(ENTRY, "path", path, "type", type, "mode", "4077", "uid", "5", "gid", "6", "mtime-us", "1500000000000000", __VA_ARGS__)
#define PLANT_FILE(path, text) (PLANT_IT(path, "file", (char *)NULL), tell_data(text, strlen(text)))
#define PLANT_DIRECTORY(path) PLANT_IT(path, "directory", (char *)NULL)

static enum message plant_end(void) {
  tell(END_OF_DATA, (char *)NULL);
  return answer();
}

static void ground(void) {
  put_directory("tree");
  put_directory("outside");
  put_file("outside/kept", "kept");
}

/* Ends what was refused: the agent reads on until its asker closes. */
static void refused(const char *entry, int error, const char *what) {
  CHECK(answered.type == ERROR && error_number() == error && strcmp(field("entry"), entry) == 0, "%s: %s at \"%s\"", what, field("message"), field("entry"));
  agent_stop();
  CHECK(!there("tree/.unshared-1"), "%s: nothing that grew is left", what);
  CHECK(holds("outside/kept", "kept") && !there("outside/evil"), "%s: outside is whole", what);
  clean();
}

static bool is_dressed(const char *name) {
  struct stat status;
  NEED(fstatat(top, name, &status, AT_SYMLINK_NOFOLLOW) == 0);
  return status.st_uid == 5 && status.st_gid == 6 && status.st_mtim.tv_sec == 1500000000 && status.st_mtim.tv_nsec == 0 &&
         (S_ISLNK(status.st_mode) || (status.st_mode & 07777) == 01755);
}

static void test_plant(void) {
  struct stat status;
  ground();
  put_directory("tree/old");
  put_file("tree/old/kept", "kept");
  put_file("tree/old/replaced", "before");
  put_directory("tree/empty");
  agent_start(NULL);
  plant_begin();
  PLANT_DIRECTORY("d");
  PLANT_DIRECTORY("d/below");
  PLANT_FILE("d/below/file", "bytes");
  PLANT_IT("d/link", "link", "target", "/etc/passwd", (char *)NULL);
  PLANT_IT("d/again", "file", "hardlink", "d/below/file", (char *)NULL);
  PLANT_FILE("implied/file", "i");
  PLANT_FILE("old/replaced", "after");
  PLANT_DIRECTORY("old");
  PLANT_DIRECTORY("empty");
  PLANT_FILE("../../up", "u");
  CHECK(!there("tree/d") && holds("tree/old/replaced", "before"), "nothing is in its place before the end");
  CHECK(plant_end() == DONE && strcmp(field("files"), "10") == 0 && strcmp(field("bytes"), "12") == 0, "%s", field("message"));
  const char *dressed[] = {"tree/d", "tree/d/below", "tree/d/below/file", "tree/d/link", "tree/implied/file", "tree/old/replaced", "tree/up"};
  for (size_t i = 0; i < sizeof dressed / sizeof *dressed; i++)
    CHECK(is_dressed(dressed[i]), "%s has the owner, mode and time that it came with", dressed[i]);
  NEED(fstatat(top, "tree/d/again", &status, 0) == 0);
  CHECK(status.st_nlink == 2 && holds("tree/d/again", "bytes") && holds("tree/old/replaced", "after") && holds("tree/old/kept", "kept"), "%u links", (unsigned)status.st_nlink);
  CHECK(!is_dressed("tree/old") && !is_dressed("tree/empty"), "directories that were there stay what they were");
  agent_stop();
  CHECK(!there("tree/.unshared-1"), "what it grew in is gone");
  clean();
}

static void test_conflicts(void) {
  struct { const char *what, *there, *planted; int error; } conflicts[] = {
    {"a file onto a directory", "tree/m/x/", "m/x", EISDIR}, {"a directory onto a file", "tree/m/x", "m/x/", ENOTDIR},
    {"a directory onto a link", "tree/m/@", "m/@/", ENOTDIR}, {"a link onto a directory", "tree/m/x/", "m/x@", EISDIR},
  };
  for (size_t i = 0; i < sizeof conflicts / sizeof *conflicts; i++) {
    char entry[16];
    snprintf(entry, sizeof entry, "m/%c", conflicts[i].there[7]);
    ground();
    put_directory("tree/m");
    size_t last = strlen(conflicts[i].there) - 1;
    if (conflicts[i].there[last] == '/')
      NEED(mkdirat(top, conflicts[i].there, 0755) == 0);
    else if (conflicts[i].there[last] == '@')
      NEED(symlinkat("../../outside", top, conflicts[i].there) == 0);
    else
      put_file(conflicts[i].there, "before");
    agent_start(NULL);
    plant_begin();
    PLANT_FILE("a", "new"); /* in the order of names it would be moved first */
    PLANT_FILE("m/a", "new");
    last = strlen(conflicts[i].planted) - 1;
    if (conflicts[i].planted[last] == '/') {
      PLANT_DIRECTORY(entry);
      char evil[24];
      snprintf(evil, sizeof evil, "%s/evil", entry);
      PLANT_FILE(evil, "evil");
    } else if (conflicts[i].planted[last] == '@')
      PLANT_IT(entry, "link", "target", "x", (char *)NULL);
    else
      PLANT_FILE(entry, "new");
    plant_end();
    CHECK(!there("tree/a") && !there("tree/m/a"), "%s: nothing was moved", conflicts[i].what);
    CHECK(conflicts[i].error == EISDIR || holds("tree/m/x", "before") || there("tree/m/@"), "%s: what was there is there", conflicts[i].what);
    refused(entry, conflicts[i].error, conflicts[i].what);
  }
}

static void test_mount_below(void) {
  ground();
  put_directory("tree/m");
  put_directory("tree/m/mounted");
  agent_start("tree/m/mounted");
  plant_begin();
  PLANT_FILE("a", "new");
  PLANT_FILE("m/mounted/evil", "evil");
  plant_end();
  CHECK(!there("tree/a"), "nothing was moved");
  refused("m/mounted", EXDEV, "onto a mount");
}

static void test_bad_entries(void) {
  for (int i = 0; i < 5; i++) {
    ground();
    NEED(symlinkat("../outside", top, "tree/link") == 0);
    agent_start(NULL);
    plant_begin();
    PLANT_FILE("good", "good");
    PLANT_IT("l", "link", "target", "../../outside", (char *)NULL);
    const char *entries[] = {"l/evil", "l", "none", "device", "good/x"};
    if (i == 1) /* written through a planted link */
      PLANT_FILE("l", "evil");
    else if (i == 2)
      PLANT_IT("none", "file", "hardlink", "../../outside/kept", (char *)NULL);
    else if (i == 3)
      PLANT_IT("device", "device", (char *)NULL);
    else
      PLANT_FILE(entries[i], "evil");
    const int errors[] = {ELOOP, ELOOP, EINVAL, EINVAL, ENOTDIR};
    plant_end();
    CHECK(!there("tree/good"), "%s: nothing is there", entries[i]);
    refused(entries[i], errors[i], entries[i]);
  }
}

static void test_broken_off(void) {
  ground();
  agent_start(NULL);
  plant_begin();
  PLANT_FILE("d/file", "half");
  agent_stop();
  CHECK(!there("tree/.unshared-1") && !there("tree/d"), "what is broken off leaves nothing");
  clean();
}

/* Holes are left out, also at the end; one that leads beyond what a file can be is refused with all that came. */
static void test_holes(void) {
  struct stat status;
  ground();
  agent_start(NULL);
  plant_begin();
  PLANT_FILE("file", "begin");
  tell(HOLE, "bytes", "1000000", (char *)NULL);
  tell_data("end", 3);
  tell(HOLE, "bytes", "1000000", (char *)NULL);
  CHECK(plant_end() == DONE && strcmp(field("bytes"), "8") == 0, "%s", field("message"));
  CHECK(fstatat(top, "tree/file", &status, 0) == 0 && status.st_size == 2000008 && status.st_blocks * 512 < 100000, "size %lld, blocks %lld",
        (long long)status.st_size, (long long)status.st_blocks);
  tell(WALK, "path", "/tree", (char *)NULL);
  CHECK(answer() == ENTRY && field("segments")[0] == '0' && strchr(field("segments"), ','), "two segments: \"%s\"", field("segments"));
  while (answered.type != DONE)
    answer();
  agent_stop();
  clean();
  ground();
  agent_start(NULL);
  plant_begin();
  PLANT_FILE("file", "begin");
  tell(HOLE, "bytes", "9223372036854775807", (char *)NULL);
  CHECK(plant_end() == ERROR && strcmp(field("entry"), "file") == 0, "%s", field("message"));
  agent_stop();
  CHECK(!there("tree/.unshared-1") && !there("tree/file"), "nothing that grew is left");
  clean();
}

int main(void) {
  NEED(mkdtemp(folder));
  top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  NEED(top >= 0);
  umask(0);
  test_walk();
  test_holes();
  test_deep();
  test_plant();
  test_conflicts();
  test_mount_below();
  test_bad_entries();
  test_broken_off();
  close(top);
  CHECK(rmdir(folder) == 0, "nothing is left: %s", strerror(errno));
  return check_end("agent-tree");
}
