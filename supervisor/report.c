/* The fields of EXITED, GONE and REPORT. */
#include "supervisor.h"

#include <stdio.h>
#include <string.h>

void report_ending(struct frame *frame, const struct supervisor *supervisor) {
  ending_put(frame, &supervisor->main.ending);
}

void report_receipt(struct frame *frame, const struct supervisor *supervisor) {
  bool complete = supervisor->state == GONE_STATE;
  uint64_t until = complete ? supervisor->gone_us : now_us();
  frame_put(frame, "killed", "%d", supervisor->killed);
  frame_put(frame, "cgroups", "%d", supervisor->cgroups);
  frame_put(frame, "mounts", "%d", supervisor->mounts);
  frame_put(frame, "milliseconds", "%llu", (unsigned long long)(until - supervisor->ordered_us + 500) / 1000);
  frame_put(frame, "complete", "%d", complete);
  if (complete)
    return;
  int processes = cgroup_count(&supervisor->instance.cgroup);
  if (processes > 0)
    frame_put(frame, "remaining", "%d processes in the cgroup %s/%u", processes, supervisor->instance.host->cgroup_parent, supervisor->instance.cgroup.slot);
  else if (supervisor->disk_held)
    frame_put(frame, "remaining", "the disk image is held");
  else
    frame_put(frame, "remaining", "the cgroup %s: %s", supervisor->instance.cgroup.held, strerror(supervisor->held_errno));
}

static void put_limits(struct frame *frame, const struct definition *definition) {
  const struct cgroup_limits *limits = &definition->limits;
  frame_put(frame, "memory-bytes", "%llu", (unsigned long long)limits->memory_bytes);
  frame_put(frame, "cpu-quota-us", "%llu", (unsigned long long)limits->cpu_quota_us);
  frame_put(frame, "cpu-weight", "%llu", (unsigned long long)limits->cpu_weight);
  frame_put(frame, "pids", "%llu", (unsigned long long)limits->pids);
  frame_put(frame, "open-files", "%llu", (unsigned long long)definition->open_files);
  frame_put(frame, "disk-bytes", "%llu", (unsigned long long)definition->disk_bytes);
}

void report_all(struct frame *frame, const struct supervisor *supervisor) {
  static const char *const states[] = {"running", "ended", "gone"};
  const struct instance *instance = &supervisor->instance;
  frame_put(frame, "id", "%s", supervisor->id);
  frame_put(frame, "hold", "%d", supervisor->definition.hold);
  frame_put(frame, "slot", "%u", instance->cgroup.slot);
  frame_put(frame, "state", "%s", states[supervisor->state]);
  frame_put(frame, "pid", "%d", (int)instance->main);
  frame_put(frame, "pid-inside", "%d", (int)instance->main_inside);
  frame_put(frame, "start-ticks", "%llu", (unsigned long long)instance->main_start_ticks);
  frame_put(frame, "started-at", "%llu", (unsigned long long)supervisor->main.started_ms);
  frame_put(frame, "init-pid", "%d", (int)instance->shell);
  frame_put(frame, "uid-base", "%u", instance->uid_base);
  frame_put(frame, "uid-size", "%u", instance->isolate & NS_BIT(NS_USER) ? ID_RANGE : 0);
  for (int i = 0; i < NS_COUNT; i++) {
    char key[16];
    snprintf(key, sizeof key, "ns-%s", ns_table[i].name);
    frame_put(frame, key, "%llu", (unsigned long long)instance->ns_inode[i]);
    if (instance->isolate & NS_BIT(i))
      frame_put(frame, "isolated", "%s", ns_table[i].name);
  }
  frame_put(frame, "log-lost-records", "%llu", (unsigned long long)supervisor->log.lost_records);
  frame_put(frame, "log-lost-bytes", "%llu", (unsigned long long)supervisor->log.lost_bytes);
  frame_put(frame, "frozen", "%d", supervisor->frozen);
  put_limits(frame, &supervisor->definition);
  frame_put(frame, "cgroup", "%s/%u", instance->host->cgroup_parent, instance->cgroup.slot);
  for (const struct process *process = &supervisor->main; process; process = process->next)
    if (process->state != PROCESS_STARTING)
      process_put(frame, process);
  if (supervisor->state >= ENDED)
    report_ending(frame, supervisor);
  if (supervisor->state == GONE_STATE)
    report_receipt(frame, supervisor);
}
