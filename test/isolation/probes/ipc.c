/* System V and POSIX IPC, abstract sockets, keys. usage: ipc make NAME | ipc find NAME | ipc keys | ipc session
 *        ipc join PROGRAM [ARGUMENT...]   executes it with a session keyring of its own */
#include "probe.h"

#include <fcntl.h>
#include <mqueue.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

static key_t key_of(const char *name) {
  key_t key = 0x5eed;
  for (; *name; name++)
    key = key * 31 + *name;
  return key & 0x7fffffff;
}

static socklen_t abstract(struct sockaddr_un *address, const char *name) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "%s", name));
}

/* Until stdin ends the objects are there; then they are removed. */
static int make(const char *name) {
  struct sockaddr_un address;
  char path[128], byte;
  key_t key = key_of(name);
  int shm = shmget(key, 4096, IPC_CREAT | 0666), sem = semget(key, 1, IPC_CREAT | 0666), msg = msgget(key, IPC_CREAT | 0666);
  snprintf(path, sizeof path, "/%s", name);
  mqd_t queue = mq_open(path, O_CREAT | O_RDWR, 0666, NULL);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  int bound = bind(listener, (struct sockaddr *)&address, abstract(&address, name)) == 0 && listen(listener, 1) == 0;
  say(shm >= 0 && sem >= 0 && msg >= 0 && queue >= 0 && bound ? "ok" : strerror(errno), "made");
  while (read(0, &byte, 1) > 0)
    ;
  shmctl(shm, IPC_RMID, NULL);
  semctl(sem, 0, IPC_RMID);
  msgctl(msg, IPC_RMID, NULL);
  mq_unlink(path);
  return 0;
}

static void find(const char *name) {
  struct sockaddr_un address;
  char path[128];
  key_t key = key_of(name);
  TRY(shmget(key, 0, 0), "shm");
  TRY(semget(key, 0, 0), "sem");
  TRY(msgget(key, 0), "msg");
  snprintf(path, sizeof path, "/%s", name);
  TRY(mq_open(path, O_RDONLY), "mq");
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  TRY(connect(fd, (struct sockaddr *)&address, abstract(&address, name)), "abstract socket");
}

/* Keyrings by number: session, user, user session, process. */
static void keys(void) {
  static const char *const rings[] = {"thread", "process", "session", "user", "user session"};
  for (long ring = -1; ring >= -5; ring--) {
    TRY(syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, ring, 0), "keyctl %s", rings[-1 - ring]);
    TRY(syscall(SYS_add_key, "user", "probe", "x", 1, ring), "add_key %s", rings[-1 - ring]);
  }
  TRY(syscall(SYS_request_key, "user", "unshared-canary", NULL, -3), "request_key");
}

/* The number of the session keyring: one number is one keyring, whoever asks. */
static void session(void) {
  char text[32];
  snprintf(text, sizeof text, "%ld", syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3, 1));
  say(text, "session keyring");
}

int main(int count, char **arguments) {
  const char *what = count > 1 ? arguments[1] : "";
  if (strcmp(what, "make") == 0)
    return make(arguments[2]);
  if (strcmp(what, "find") == 0)
    find(arguments[2]);
  if (strcmp(what, "keys") == 0)
    keys();
  if (strcmp(what, "session") == 0)
    session();
  if (strcmp(what, "join") == 0 && syscall(SYS_keyctl, 1 /* JOIN_SESSION_KEYRING */, "unshared-test") > 0)
    execvp(arguments[2], arguments + 2);
}
