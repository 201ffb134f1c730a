/* A tree that is hard to delete, and that goes on changing. usage: tangle DEPTH FILES TARGET
 * A nest of DEPTH directories, FILES files, names of all bytes, closed directories, and links to TARGET among them; says "ready: yes". */
#include "probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

static void hostile_names(const char *target) {
  char longest[256];
  memset(longest, 0xff, 255);
  longest[255] = 0;
  const char *names[] = {"line\nbreak", "\x80\xfe\xff", "-rf", "*", "$(id)", " ", "\t", "\\", "\"'`;", "..hidden", ".wh.file", ".wh..wh..opq", "\033[2J", longest};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char link[300];
    mkdir(names[i], 0700);
    if (chdir(names[i]) == 0) {
      mkdir("inside", 0700);
      snprintf(link, sizeof link, "to-%zu", i);
      if (symlink(target, link) < 0 || chdir("..") < 0)
        _exit(1);
      chmod(names[i], 0);
    }
  }
}

int main(int count, char **arguments) {
  int depth = atoi(arguments[1]), files = atoi(arguments[2]);
  const char *target = arguments[3];
  if (count != 4 || mkdir("/tangle", 0700) < 0 || chdir("/tangle") < 0)
    return 1;
  hostile_names(target);
  if (symlink(target, "directory") < 0 || symlink("/", "root") < 0 || symlink("..", "above") < 0 || mkdir("many", 0700) < 0 || mkdir("a", 0700) < 0 ||
      mkdir("b", 0700) < 0)
    return 1;
  for (int i = 0; i < files; i++) {
    char name[64];
    snprintf(name, sizeof name, "many/%d", i);
    close(open(name, O_WRONLY | O_CREAT | O_EXCL, 0));
  }
  mkdir("nest", 0700);
  if (chdir("nest") < 0)
    return 1;
  for (int i = 0; i < depth; i++)
    if (mkdir("d", 0700) < 0 || symlink(target, "l") < 0 || chdir("d") < 0)
      return 1;
  if (chdir("/tangle") < 0)
    return 1;
  say("yes", "ready");
  for (;;) { /* a directory and a link change places, for ever */
    rename("a", "b/a");
    rename("directory", "a2");
    rename("b/a", "directory");
    rename("directory", "a");
    rename("a2", "directory");
    close(open("many/new", O_WRONLY | O_CREAT, 0600));
  }
}
