/* Connections to the launcher and to the supervisor of an ended sandbox: frames, requests, replies. The first byte says which, and where
 * the bytes are cut in two. Nothing is launched, and no worker is forked. */
#include "fuzz.h"
#include "../children.h"
#include "../supervisor.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET "Fuzz.sock" /* no sandbox's: who asks the launcher to kill what listens there must not mean this process */
#define ANSWERS_LIMIT (PEER_QUEUE_LIMIT + WIRE_BODY_LIMIT)

static struct host host = {.run_dir = "/nowhere", .state_dir = "/nowhere", .cgroup_parent = "fuzz", .cgroups = {.layout = "none"}};
static struct supervisor supervisor;
static struct launcher launcher = {.host = &host, .problem = {.message = "nothing is launched here"}};
static char folder[] = "/tmp/unshared-fuzz-XXXXXX";
static int input_reader = -1;

struct child *__wrap_child_start_worker(struct launcher *of, struct peer *peer, uint32_t request, long slot, const char *id);
struct child *__wrap_child_start_worker(struct launcher *of, struct peer *peer, uint32_t request, long slot, const char *id) {
  (void)of, (void)peer, (void)request;
  HOLDS(slot < (long)SLOT_LIMIT && strlen(id) > 0 && strlen(id) <= 64 && !strchr(id, '/') && !strchr(id, '.'));
  return NULL;
}

static void remove_folder(void) {
  rmdir(folder);
}

int LLVMFuzzerInitialize(int *count, char ***arguments) {
  (void)count, (void)arguments;
  HOLDS(mkdtemp(folder));
  host.sandboxes = host.sockets = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  HOLDS(host.sandboxes >= 0 && loop_open(&supervisor.loop) == 0 && atexit(remove_folder) == 0);
  launcher.loop = supervisor.loop;
  return 0;
}

static void fill(struct process *process, const char *name, int state, int input) {
  *process = (struct process){.state = state, .pid = 2147483647, .pidfd = {.fd = -1}, .output_over = state == PROCESS_ENDED};
  snprintf(process->name, sizeof process->name, "%s", name);
  HOLDS(process_open(process, &supervisor.loop, input, -1, -1, false, 8192, &supervisor.log) == 0);
  for (int i = 0; i < 40; i++) /* more than it holds */
    ring_add(&process->ring, 1 + i % 2, 1, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", (size_t)(i * 7 % 65));
}

/* An ended main process, an ended one, and one that lives as far as its stdin goes. */
static void fill_supervisor(void) {
  struct process *ended = calloc(1, sizeof *ended), *living = calloc(1, sizeof *living);
  int pipes[2];
  HOLDS(ended && living && pipe2(pipes, O_CLOEXEC | O_NONBLOCK) == 0);
  input_reader = pipes[0];
  supervisor.instance = (struct instance){.host = &host, .shell_pidfd = -1, .user_ns = -1, .terminal = -1, .disk = {.loop = -1}, .main_pidfd = -1};
  supervisor.state = GONE_STATE;
  supervisor.frozen = false;
  snprintf(supervisor.id, sizeof supervisor.id, "sandbox");
  snprintf(supervisor.socket_name, sizeof supervisor.socket_name, SOCKET);
  supervisor.last_word.fd = supervisor.shell.fd = supervisor.cgroup_events.fd = -1;
  output_log_init(&supervisor.log, host.sandboxes, supervisor.id, 0);
  fill(&supervisor.main, "main", PROCESS_ENDED, -1);
  fill(ended, "ended", PROCESS_ENDED, -1);
  fill(living, "living", PROCESS_RUNNING, pipes[1]);
  supervisor.main.next = ended;
  ended->next = living;
}

static void empty_supervisor(void) {
  while (supervisor.main.next)
    processes_drop(&supervisor, supervisor.main.next);
  process_close(&supervisor.main);
  ring_free(&supervisor.main.ring);
  fd_close(&input_reader);
}

static void start(struct server *server, bool to_launcher) {
  fuzz_running = false;
  if (to_launcher)
    *server = (struct server){.handle = launcher_handle, .closed = launcher_peer_closed, .owner = &launcher};
  else
    *server = (struct server){.handle = requests_handle, .closed = requests_peer_closed, .drained = requests_peer_drained, .owner = &supervisor};
  HOLDS(server_listen(server, &supervisor.loop, host.sockets, SOCKET) == 0);
}

static int ask(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, SOCKET);
  HOLDS(socket_fd >= 0 && connect(socket_fd, (struct sockaddr *)&address, sizeof address) == 0);
  return socket_fd;
}

/* Lets the server do all it can, and takes what it says. */
static void work(int asker, struct frame *answers) {
  static char bytes[65536];
  for (bool more = true; more;) {
    more = loop_once(&supervisor.loop, 0) > 0;
    for (ssize_t n; (n = recv(asker, bytes, sizeof bytes, MSG_DONTWAIT)) > 0; more = true)
      frame_raw(answers, bytes, (size_t)n);
    HOLDS(answers->length < ANSWERS_LIMIT);
  }
}

/* Replies are whole frames of the protocol's form; no more of them than requests. */
static void check_answers(const struct frame *answers, unsigned asked) {
  struct wire_header header;
  for (size_t at = 0; at < answers->length; at += sizeof header + header.length) {
    struct fields fields;
    HOLDS(answers->length - at >= sizeof header);
    memcpy(&header, answers->data + at, sizeof header);
    HOLDS(header.version == WIRE_VERSION && header.length <= WIRE_BODY_LIMIT && header.length <= answers->length - at - sizeof header);
    HOLDS(fields_open(&fields, answers->data + at + sizeof header, header.length));
    if (header.request == FUZZ_REQUEST)
      HOLDS(asked-- > 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1)
    return -1;
  struct frame sent = {0}, answers = {0};
  bool to_launcher = data[0] & 1;
  struct server *server = to_launcher ? &launcher.server : &supervisor.server;
  unsigned asked = fuzz_messages(&sent, data + 1, size - 1);
  bool raw = memchr(data + 1, FUZZ_RAW, size - 1) != NULL; /* may hold several frames */
  size_t cut = sent.length * (data[0] >> 1) / 127;
  fill_supervisor();
  start(server, to_launcher);
  int asker = ask();
  fuzz_running = true;
  if (setjmp(fuzz_end) == 0) {
    work(asker, &answers);
    for (size_t at = 0; at < sent.length;) {
      size_t end = at < cut ? cut : sent.length;
      ssize_t n = send(asker, sent.data + at, end - at, MSG_NOSIGNAL | MSG_DONTWAIT);
      work(asker, &answers);
      if (n <= 0) /* it closed the connection */
        break;
      at += (size_t)n;
    }
    work(asker, &answers);
    fuzz_running = false;
  } else {
    work(asker, &answers); /* what it said before it ended */
  }
  check_answers(&answers, raw ? ~0u : asked);
  close(asker);
  server_close(server);
  unlinkat(host.sockets, SOCKET, 0);
  empty_supervisor();
  frame_free(&sent);
  frame_free(&answers);
  return 0;
}
