/* The file agent as its asker sees it, on trees as a hostile sandbox may leave them. */
#include "../channel.h"
#include "../remove.h"
#include "agent-client.h"

#include <sys/stat.h>

static void clean(void) {
  struct removed removed;
  struct stat status;
  const char *names[] = {"tree", "outside", "mounted", "file", "other"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (fstatat(top, names[i], &status, AT_SYMLINK_NOFOLLOW) == 0)
      NEED(S_ISDIR(status.st_mode) ? remove_tree(top, names[i], &removed) == 0 : unlinkat(top, names[i], 0) == 0);
}

static void test_form(void) {
  agent_start(NULL);
  CHECK(ASK(STAT, "path", "relative", "follow", "0") == ERROR && strcmp(field("code"), "invalid") == 0, "a relative path");
  CHECK(ASK(STAT, "path", "/") == ERROR && strcmp(field("code"), "invalid") == 0, "a missing key");
  CHECK(ASK(LAUNCH, "path", "/") == ERROR && strcmp(field("code"), "invalid") == 0, "a request of another");
  CHECK(ASK(STAT, "path", "/", "follow", "0") == ENTRY && strcmp(field("type"), "directory") == 0, "it goes on");
  agent_stop();
  struct wire_header bad[] = {{.length = 0, .type = STAT, .version = 2, .request = 7}, {.length = WIRE_BODY_LIMIT + 1, .type = STAT, .version = 1, .request = 7},
                              {.length = 0, .type = STAT, .version = 1, .request = 0}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    agent_start(NULL);
    NEED(send(asker, &bad[i], sizeof bad[i], MSG_NOSIGNAL) == sizeof bad[i]);
    CHECK(answer() == 0, "header %zu ends the connection", i);
    agent_stop();
  }
}

static void test_kinds(void) {
  char mode[8];
  put_directory("tree");
  put_directory("mounted");
  put_file("file", "text");
  NEED(mknodat(top, "tree/fifo", S_IFIFO | 0644, 0) == 0 && mknodat(top, "tree/device", S_IFCHR | 0644, (1 << 8) | 3) == 0);
  NEED(mknodat(top, "tree/socket", S_IFSOCK | 0644, 0) == 0 && symlinkat("../file", top, "tree/link") == 0);
  agent_start("mounted");
  const char *kinds[][2] = {{"/tree/fifo", "fifo"}, {"/tree/device", "device"}, {"/tree/socket", "socket"}, {"/tree/link", "link"}, {"/file", "file"}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    CHECK(ASK(STAT, "path", kinds[i][0], "follow", "0") == ENTRY && strcmp(field("type"), kinds[i][1]) == 0, "%s is a %s", kinds[i][0], field("type"));
  CHECK(ASK(STAT, "path", "/tree/link", "follow", "1") == ENTRY && strcmp(field("size"), "4") == 0, "a link is followed where that is asked");
  for (size_t i = 0; i < 3; i++) {
    CHECK(ASK(READ, "path", kinds[i][0], "offset", "0", "length", "0") == ERROR, "%s is not read, nor waited for", kinds[i][0]);
    CHECK(ASK(CHANGE, "op", "chmod", "path", kinds[i][0], "mode", "511") == ERROR, "nor is its mode changed");
  }
  CHECK(ASK(CHANGE, "op", "chmod", "path", "/tree/link", "mode", "511") == ERROR && ASK(CHANGE, "op", "chmod", "path", "/file", "mode", "3565") == ENTRY, "%s", field("message"));
  snprintf(mode, sizeof mode, "%d", 0755);
  CHECK(strcmp(field("mode"), mode) == 0, "set-user-id is not set: %s", field("mode"));
  const char *on_mount[][3] = {{"chmod", "mode", "511"}, {"mkdir", "mode", "511"}, {"symlink", "target", "x"}};
  for (size_t i = 0; i < 3; i++)
    CHECK(ASK(CHANGE, "op", on_mount[i][0], "path", i ? "/mounted/x" : "/mounted", on_mount[i][1], on_mount[i][2]) == ERROR && error_number() == EXDEV, "%s: %s", on_mount[i][0], field("message"));
  CHECK(ASK(CHANGE, "op", "chown", "path", "/mounted", "uid", "1", "gid", "1") == ERROR && error_number() == EXDEV, "%s", field("message"));
  CHECK(ASK(DELETE, "path", "/mounted", "recursive", "1") == ERROR && error_number() == EXDEV, "a mount is not emptied: %s", field("message"));
  CHECK(ASK(CHANGE, "op", "chown", "path", "/tree/link", "uid", "5", "gid", "6") == ENTRY && strcmp(field("uid"), "5") == 0, "a link's own owner: %s", field("message"));
  CHECK(ASK(STAT, "path", "/file", "follow", "0") == ENTRY && strcmp(field("uid"), "0") == 0, "and not that of what it leads to");
  agent_stop();
  clean();
}

static void test_names(void) {
  char longest[256];
  memset(longest, 'n', 255);
  longest[255] = 0;
  const char *names[] = {"\x01\x1b[2J", " ", "*", "-rf", "a\nb", longest, "\xff\xfe"}; /* in the order of bytes */
  size_t count = sizeof names / sizeof *names;
  put_directory("tree");
  for (size_t i = count; i-- > 0;) {
    char path[300];
    snprintf(path, sizeof path, "tree/%s", names[i]);
    put_file(path, "x");
  }
  agent_start(NULL);
  const char *after = "";
  for (size_t i = 0; i < count; i += 2) {
    tell(LIST, "path", "/tree", "after", after, "limit", "2", (char *)NULL);
    for (size_t j = i; j < i + 2 && j < count; j++)
      CHECK(answer() == ENTRY && strcmp(field("path"), names[j]) == 0, "name %zu", j);
    CHECK(answer() == DONE && field("more")[0] == (i + 2 < count ? '1' : '0'), "more: %s", field("more"));
    after = names[i + 1 < count ? i + 1 : i];
  }
  agent_stop();
  clean();
}

static void test_write(void) {
  struct stat status;
  put_directory("tree");
  put_file("file", "before");
  NEED(symlinkat("../file", top, "tree/link") == 0);
  agent_start(NULL);
#define WRITE_TO(path, mode, exclusive, temporary) \
  ASK(WRITE, "path", path, "mode", mode, "uid", "3", "gid", "4", "parents", "0", "exclusive", exclusive, "temporary", temporary)
  CHECK(WRITE_TO("/tree", "420", "0", ".unshared-1") == ERROR && error_number() == EISDIR, "%s", field("message"));
  CHECK(WRITE_TO("/file", "420", "1", ".unshared-1") == ERROR && error_number() == EEXIST, "%s", field("message"));
  CHECK(WRITE_TO("/new", "420", "0", ".unshared-/../x") == ERROR && WRITE_TO("/new", "420", "0", "plain-name-xyz") == ERROR, "names that are none for what grows");
  CHECK(WRITE_TO("/tree/link", "4077", "0", ".unshared-1") == DONE, "%s", field("message"));
  tell_data("aft", 3);
  tell_data("er", 2);
  CHECK(there("tree/.unshared-1"), "it grows under its name");
  CHECK(ASK(END_OF_DATA, NULL) == ENTRY && strcmp(field("size"), "5") == 0, "%s", field("message"));
  CHECK(holds("tree/link", "after") && holds("file", "before") && !there("tree/.unshared-1"), "a link is replaced, not written through");
  NEED(fstatat(top, "tree/link", &status, AT_SYMLINK_NOFOLLOW) == 0);
  CHECK((status.st_mode & 07777) == 01755 && status.st_uid == 3 && status.st_gid == 4, "mode %o", status.st_mode);
  CHECK(WRITE_TO("/other", "420", "0", ".unshared-2") == DONE, "%s", field("message"));
  tell_data("half", 4);
  agent_stop();
  CHECK(!there("other") && !there(".unshared-2"), "what is broken off leaves nothing");
  clean();
}

static void test_copy(void) {
  struct stat status;
  put_file("file", "start");
  int fd = openat(top, "file", O_WRONLY | O_CLOEXEC);
  NEED(fd >= 0 && ftruncate(fd, 1ll << 40) == 0 && pwrite(fd, "end", 3, 1ll << 39) == 3);
  close(fd);
  agent_start(NULL);
  CHECK(ASK(CHANGE, "op", "copy", "path", "/file", "to", "/other", "temporary", ".unshared-1") == ENTRY, "%s", field("message"));
  NEED(fstatat(top, "other", &status, 0) == 0);
  CHECK(status.st_size == 1ll << 40 && status.st_blocks < 1 << 12, "1 TiB of holes stays holes: %lld blocks", (long long)status.st_blocks);
  CHECK(ASK(READ, "path", "/other", "offset", "549755813888", "length", "3") == ENTRY, "%s", field("message"));
  CHECK(answer() == DATA && answer_fields.payload_length == 3 && memcmp(answer_fields.payload, "end", 3) == 0 && answer() == DONE, "and its bytes are in their place");
  agent_stop();
  clean();
}

static void test_delete(void) {
  put_directory("tree");
  put_directory("outside");
  put_file("outside/kept", "kept");
  NEED(symlinkat("../outside", top, "tree/link") == 0 && symlinkat("outside", top, "other") == 0);
  agent_start(NULL);
  CHECK(ASK(DELETE, "path", "/tree", "recursive", "0") == ERROR && error_number() == ENOTEMPTY, "%s", field("message"));
  CHECK(ASK(DELETE, "path", "/other", "recursive", "1") == DONE && !there("other") && there("outside/kept"), "a link goes alone");
  CHECK(ASK(DELETE, "path", "/tree", "recursive", "1") == DONE && !there("tree") && there("outside/kept"), "also below");
  const char *never[] = {"/", "/.", "/outside/..", "/outside/."};
  for (size_t i = 0; i < sizeof never / sizeof *never; i++)
    CHECK(ASK(DELETE, "path", never[i], "recursive", "1") == ERROR && error_number() == EINVAL && there("outside/kept"), "%s", never[i]);
  agent_stop();
  clean();
}

int main(void) {
  NEED(mkdtemp(folder));
  top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  NEED(top >= 0);
  umask(0);
  test_form();
  test_kinds();
  test_names();
  test_write();
  test_copy();
  test_delete();
  close(top);
  CHECK(rmdir(folder) == 0, "nothing is left: %s", strerror(errno));
  return check_end("agent");
}
