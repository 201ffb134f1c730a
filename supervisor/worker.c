/* What the launcher has others do: each worker does one thing, answers over its control socket and ends. */
#include "children.h"
#include "quota.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLEAN_DEADLINE_MS 2000 /* who asked tries again */

static void reply_gone(int control, unsigned slot, int killed, int cgroups, bool disk_held, const char *held, uint64_t begun_us) {
  struct frame frame;
  frame_begin(&frame, CLEANED, 1);
  frame_put(&frame, "killed", "%d", killed);
  frame_put(&frame, "cgroups", "%d", cgroups > 0 ? cgroups : 0);
  frame_put(&frame, "mounts", "0");
  frame_put(&frame, "milliseconds", "%llu", (unsigned long long)(now_us() - begun_us + 500) / 1000);
  frame_put(&frame, "complete", "%d", cgroups >= 0);
  if (disk_held)
    frame_put(&frame, "remaining", "the disk image is held");
  else if (cgroups < 0)
    frame_put(&frame, "remaining", "%s: %s", held, strerror(errno));
  frame_end(&frame);
  control_send(control, CONTROL_REPLY, slot, &frame);
}

/* The cgroup goes last: while it is there, nobody else gets its slot. */
void worker_clean(const struct host *host, int control, unsigned slot, const char *id) {
  struct cgroup cgroup;
  char socket_name[80];
  uint64_t begun = now_us();
  bool exists = cgroup_open(&cgroup, &host->cgroups, slot) == 0, disk_held = false;
  int killed = exists ? cgroup_count(&cgroup) : 0, cgroups = 0, error = 0;
  for (int tries = 0; tries < CLEAN_DEADLINE_MS; tries++) {
    disk_held = !disk_released(host->sandboxes, id);
    cgroups = disk_held ? -1 : exists ? cgroup_remove(&cgroup) : 0;
    if (cgroups >= 0)
      break;
    error = errno;
    if (exists)
      cgroup_kill(&cgroup);
    usleep(1000);
  }
  snprintf(socket_name, sizeof socket_name, "%s.sock", id);
  unlinkat(host->sockets, socket_name, 0);
  errno = error;
  reply_gone(control, slot, killed > 0 ? killed : 0, cgroups, disk_held, cgroup.held, begun);
  _exit(0);
}

void worker_remove(const struct host *host, int control, const char *id) {
  struct removed removed;
  struct frame frame;
  if (quota_remove_tree(host->sandboxes, id, &removed) < 0) {
    frame_error(&frame, 1, "failed", "%s: %s", removed.left, strerror(errno));
  } else {
    frame_begin(&frame, REMOVED, 1);
    frame_put(&frame, "files", "%llu", (unsigned long long)removed.files);
    frame_put(&frame, "bytes", "%llu", (unsigned long long)removed.bytes);
    frame_end(&frame);
  }
  control_send(control, CONTROL_REPLY, 0, &frame);
  _exit(0);
}
