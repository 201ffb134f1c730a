import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";
import { slowness } from "../fixtures/slowness.ts";
import { type Check, Unsupported } from "./check.ts";
import { outcomesOf, type Stage } from "./stage.ts";

const disk = 16 << 20;
/** More than such a disk has inodes, of 4,096 bytes each, and a bound for the mutant that has none. */
const most = 4_200;

/** Seconds that a sandbox has had of all processors. */
const secondsOf = async (stage: Stage, name: string): Promise<number> =>
  (await stage.host.request("GET", `/v1/sandboxes/${name}/stats`)).body.usage.cpu.usageSeconds;

/** Settings of the host that stand for all that a stressor tries to set. */
const settings = [
  ...["core_pattern", "modprobe", "panic", "panic_on_oops", "randomize_va_space", "hostname", "domainname", "tainted", "pid_max"],
  ...["perf_event_paranoid", "kptr_restrict", "dmesg_restrict", "sysrq", "threads-max", "msgmax", "shmmax", "sem"],
].map((name) => `kernel/${name}`);
const hostSettings = (): Record<string, string> =>
  Object.fromEntries(
    [...settings, "vm/overcommit_memory", "vm/swappiness", "vm/drop_caches", "fs/suid_dumpable", "fs/protected_hardlinks", "fs/file-max"]
      .filter((name) => existsSync(`/proc/sys/${name}`))
      .map((name) => [name, spawnSync("cat", [`/proc/sys/${name}`], { encoding: "utf8" }).stdout]),
  );

/** What the kernel says about itself when it is hurt. That a limit of memory killed somebody is no hurt. */
const complaints = (): string[] => {
  const { status, stdout } = spawnSync("dmesg", [], { encoding: "utf8", maxBuffer: 64 << 20 });
  if (status !== 0) throw new Unsupported("the kernel's log cannot be read");
  return stdout
    .split("\n")
    .filter((line) => /\bBUG:|WARNING: CPU|\bOops\b|general protection fault|blocked for more than|soft lockup/.test(line));
};

const kinds = { shm: "-m", sem: "-s", msg: "-q" };
/** System V objects in the host's IPC namespace that a sandbox's ids made, as ipcrm(1) names them: "-q 23". */
const ipcOfHost = ({ hostUidBase, size }: { hostUidBase: number; size: number }): string[] =>
  Object.entries(kinds).flatMap(([kind, flag]) => {
    const [head = "", ...lines] = readFileSync(`/proc/sysvipc/${kind}`, "utf8").trim().split("\n");
    const creator = head.trim().split(/\s+/).indexOf("cuid");
    return lines
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => Number(fields[creator]) >= hostUidBase && Number(fields[creator]) < hostUidBase + size)
      .map(([, id]) => `${flag} ${id}`);
  });

const stressors = [
  ...[
    "access",
    "clone",
    "close",
    "dev",
    "dup",
    "exec",
    "fault",
    "fcntl",
    "fork",
    "get",
    "inotify",
    "io-uring",
    "key",
    "kill",
    "madvise",
    "memfd",
  ],
  ...[
    "mknod",
    "mmap",
    "umount",
    "mq",
    "msg",
    "netlink-proc",
    "open",
    "personality",
    "pidfd",
    "pipe",
    "prctl",
    "procfs",
    "ptrace",
    "pty",
    "rawsock",
  ],
  ...[
    "seccomp",
    "sem-sysv",
    "shm-sysv",
    "session",
    "set",
    "shm",
    "sock",
    "sockabuse",
    "splice",
    "sysbadaddr",
    "sysfs",
    "sysinval",
    "tun",
    "unshare",
    "userfaultfd",
  ],
  ...["vforkmany", "zombie"],
];

export const loadChecks: Check[] = [
  {
    number: 40,
    title: "inodes, and extended attributes, are those of the sandbox's own disk: nothing of what fills it lies on the host",
    red: ["no-disk"],
    async run(stage) {
      const figures: string[] = [];
      for (const kind of ["directories", "xattrs"]) {
        const { id } = await stage.sandbox({ name: "filler", limits: { diskBytes: disk } });
        try {
          const { made, end } = outcomesOf(await stage.output("exec", ["/probes/inodes", kind, `${most}`], "filler"));
          expect([kind, end]).toEqual([kind, "ENOSPC"]);
          expect(Number(made)).toBeGreaterThan(100);
          expect(Number(made)).toBeLessThan(most);
          const onHost = readdirSync(join(stage.host.daemon.stateDir, "sandboxes", id), { recursive: true });
          expect(onHost.length).toBeLessThan(20);
          // The host stores what is new, and another sandbox writes.
          await stage.sandbox({ name: "beside" });
          await stage.output("exec", ["/bin/bash", "-c", "mkdir /new && echo x > /new/file && cat /new/file"], "beside");
          figures.push(`${made} ${kind}`);
        } finally {
          for (const name of ["filler", "beside"]) await stage.host.request("DELETE", `/v1/sandboxes/${name}`);
        }
      }
      return `${figures.join(", ")} in ${disk >> 20} MiB`;
    },
  },
  {
    number: 43,
    title: "who takes all processors, with storms of timers, takes no more than its share from another sandbox, nor the API's answers",
    red: ["no-limits"],
    async run(stage) {
      // By count of processes the second would have a sixteenth.
      const busy = (name: string, hogs: string, timers: string, limits: object = {}) =>
        stage.sandbox({ name, command: ["/probes/busy", hogs, timers], limits: { cpuWeight: 100, pids: 100, ...limits } });
      const names = ["greedy", "modest", "held"];
      try {
        await busy("greedy", "26", "4");
        await busy("modest", "2", "0");
        await busy("held", "26", "4", { cpus: 0.05 });
        await until("they count", async () => (await secondsOf(stage, "modest")) > 0.2, 20_000);
        const start = performance.now();
        const before = await Promise.all(names.map((name) => secondsOf(stage, name)));
        const answers: number[] = [];
        for (const end = performance.now() + 3_000; performance.now() < end; await sleep(20)) {
          const began = performance.now();
          expect((await stage.host.request("GET", "/v1/sandboxes/modest")).status).toBe(200);
          answers.push(performance.now() - began);
        }
        const after = await Promise.all(names.map((name) => secondsOf(stage, name)));
        const elapsed = (performance.now() - start) / 1000;
        const [greedy = 0, modest = 0, held = 0] = after.map((seconds, index) => seconds - (before[index] ?? 0));
        const share = modest / (greedy + modest);
        const slow = answers.sort((a, b) => a - b)[Math.floor(answers.length * 0.99)] ?? 0;
        expect(share).toBeGreaterThan(0.2);
        expect(held / elapsed).toBeLessThan(0.12);
        expect(slow).toBeLessThan(5_000 * slowness);
        return `${Math.round(share * 100)} % for 2 of 32 processes, ${(held / elapsed).toFixed(2)} of 0.05 processors for 30, API p99 ${Math.round(slow)} ms`;
      } finally {
        for (const name of names) await stage.host.request("DELETE", `/v1/sandboxes/${name}`);
      }
    },
  },
  {
    number: 46,
    slow: true,
    title: "stress-ng finds nothing that hurts the kernel or changes the host, and ends when it is told to",
    red: ["no-ipc"],
    async run(stage) {
      if (spawnSync("stress-ng", ["--version"]).status !== 0) throw new Unsupported("stress-ng is not installed");
      const source = { kind: "copy", binaries: ["/usr/bin/stress-ng", "/bin/bash", "/bin/sleep"] };
      const root = await stage.host.request("POST", "/v1/roots?wait=300", { name: "stress", source });
      expect([root.status, root.text]).toEqual([201, root.text]);
      const before = { settings: hostSettings(), complaints: complaints() };
      // The long form: the whole class, one after the other. The short one: some that try what is refused, all at once.
      const what = stage.isLong
        ? ["--class", "os", "--sequential", "1", "-t", "1"]
        : [...stressors.flatMap((name) => [`--${name}`, "1"]), "-t", "3"];
      const command = ["/usr/bin/stress-ng", "--temp-path", "/tmp", "--oomable", ...what];
      const limits = { memoryBytes: 256 << 20, pids: 400, cpus: 1, diskBytes: 256 << 20 };
      try {
        await stage.output("exec", ["/bin/true"]);
        const report = await stage.host.run({ root: "stress", name: "stress", command: ["/bin/sleep", "infinity"], limits });
        await stage.host.request("POST", "/v1/sandboxes/stress/processes?wait=300", {
          command: ["/bin/bash", "-c", "[[ -d /tmp ]] || mkdir /tmp"],
        });
        const started = await stage.host.request("POST", "/v1/sandboxes/stress/processes", { command });
        expect([started.status, started.text]).toEqual([201, started.text]);
        await until("it began", async () => /dispatching hogs: \d+/.test(await stage.logOf("stress")), 20_000);
        const deadline = stage.isLong ? 600_000 : 12_000 * slowness;
        const path = `/v1/sandboxes/stress/processes/${started.body.id}`;
        const ended = () => stage.host.request("GET", path).then(({ body }) => body.state === "ended");
        // The kernel's log is a ring: what killed processes fill it with drives out what was there before.
        const newComplaints = () => complaints().filter((line) => !before.complaints.includes(line));
        for (const end = performance.now() + deadline; performance.now() < end && !(await ended()); await sleep(200)) {
          expect(ipcOfHost(report.ids)).toEqual([]);
          expect(newComplaints()).toEqual([]);
        }
        const whole = await ended();
        const inside = stage.host.pidsInside(report);
        const { status, body } = await stage.host.request("DELETE", "/v1/sandboxes/stress");
        expect([status, body.complete]).toEqual([200, true]);
        expect(inside.filter(isAlive)).toEqual([]);
        expect(hostSettings()).toEqual(before.settings);
        expect(newComplaints()).toEqual([]);
        expect((await stage.host.report("box")).status.state).toBe("running");
        return `${stage.isLong ? "class os" : `${stressors.length} stressors`}, ${whole ? "to their end" : "until they were killed"}`;
      } finally {
        const { ids } = await stage.host.report("stress").catch(() => ({ ids: null }));
        await stage.host.request("DELETE", "/v1/sandboxes/stress");
        // Without its own namespace they would outlive it.
        for (const object of ids ? ipcOfHost(ids) : []) spawnSync("ipcrm", object.split(" "));
        await stage.host.request("DELETE", "/v1/roots/stress");
      }
    },
  },
];
