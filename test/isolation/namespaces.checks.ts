import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { allPids, inodesOf, isAlive, statusLine, until } from "../fixtures/processes.ts";
import type { Check } from "./check.ts";
import { outcomesOf, probePath, type Stage, ways } from "./stage.ts";

const isolated = ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup"];

/** Runs `use` with the pid of a process of the host that has the same uid as root inside: only the pid namespace protects it. */
const withVictim = async (uid: number, use: (pid: number) => Promise<void>): Promise<void> => {
  const victim = spawn("setpriv", ["--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups", "sleep", "1000"], { stdio: "ignore" });
  const pid = victim.pid ?? 0;
  try {
    await until("the victim sleeps", () => readlinkSync(`/proc/${pid}/exe`).endsWith("/sleep") && statusLine(pid, "State").startsWith("S"));
    const before = scheduling(pid);
    await use(pid);
    expect(isAlive(pid), "the victim lives").toBe(true);
    expect(scheduling(pid)).toEqual(before);
  } finally {
    victim.kill("SIGKILL");
  }
};

/** Niceness, policy, CPUs, limits: what one process can change of another. */
const scheduling = (pid: number) => ({
  nice: readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[16],
  policy: readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[38],
  cpus: statusLine(pid, "Cpus_allowed"),
  limits: readFileSync(`/proc/${pid}/limits`, "utf8"),
});

const nothingReached = (outcomes: Record<string, string>) => {
  const { "kill -1": all, "setpriority of the user": user, "processes in /proc": seen, ...others } = outcomes;
  expect(all).toMatch(/^(ok|ESRCH)$/); // ESRCH: there is none but init and itself
  expect({ user, seen }).toEqual({ user: "ok", seen: "few" });
  for (const [name, outcome] of Object.entries(others)) expect(`${name}: ${outcome}`).toBe(`${name}: ESRCH`);
  return Object.keys(others).length;
};

export const namespacesChecks: Check[] = [
  {
    number: 11,
    title: "all seven namespaces differ from the host's and between two sandboxes; /proc/self/cgroup is /; the hostname is its own",
    red: ["no-net", "no-pid", "no-user", "no-ipc", "no-uts", "no-cgroup-namespace"],
    async run(stage) {
      const other = await stage.sandbox({ name: "other", hostname: "other" });
      try {
        const host = inodesOf("self");
        const inodes = [stage.box, other].map(({ process }) => inodesOf(process.pid));
        for (const type of isolated) expect(new Set([host, ...inodes].map((each) => each[type])).size, type).toBe(3);
        const exec = await stage.start(["/bin/sleep", "1000"]);
        expect(inodesOf(exec.pid)).toEqual(inodes[0]);
        const terminal = await stage.start(["/bin/sleep", "1000"], { tty: true });
        expect(inodesOf(terminal.pid)).toEqual(inodes[0]);
        for (const { id } of [exec, terminal]) await stage.host.request("DELETE", `/v1/sandboxes/box/processes/${id}`);
        for (const way of ["main", "exec", "terminal"] as const) {
          const lines = (await stage.output(way, ["/bin/cat", "/proc/self/cgroup"])).trim().split("\n");
          for (const line of lines.filter((each) => /^0:|:(memory|cpu|pids)(,|:)/.test(each))) expect(line).toMatch(/:\/$/);
        }
        const before = readFileSync("/proc/sys/kernel/hostname", "utf8");
        await stage.output("exec", ["/bin/bash", "-c", "echo changed > /proc/sys/kernel/hostname || true"]);
        expect(readFileSync("/proc/sys/kernel/hostname", "utf8")).toBe(before);
        expect(await stage.output("exec", ["/bin/cat", "/proc/sys/kernel/hostname"], "other")).toBe("other\n");
        return `${isolated.length} types`;
      } finally {
        await stage.host.request("DELETE", "/v1/sandboxes/other");
      }
    },
  },
  {
    number: 12,
    slow: true,
    title: "id ranges of sandboxes at once are disjoint, clear of all ids that the host has given, and left on no file",
    red: ["no-user"],
    async run(stage) {
      const count = stage.isLong ? 50 : 8;
      const names = Array.from({ length: count }, (_, index) => `crowd-${index}`);
      const reports = await Promise.all(names.map((name) => stage.sandbox({ name })));
      const ranges = reports.map(({ process: { pid } }) => {
        const [uids, gids] = ["uid_map", "gid_map"].map((map) =>
          readFileSync(`/proc/${pid}/${map}`, "utf8").trim().split(/\s+/).map(Number),
        );
        expect(uids).toEqual(gids);
        expect([uids?.[0], uids?.[2]]).toEqual([0, 65_536]);
        return uids?.[1] ?? 0;
      });
      const sorted = [...ranges].sort((a, b) => a - b);
      for (const [index, base] of sorted.entries()) if (index > 0) expect(base - (sorted[index - 1] ?? 0)).toBeGreaterThanOrEqual(65_536);
      const inUse = (id: number) => ranges.some((base) => id >= base && id < base + 65_536);
      for (const file of ["/etc/passwd", "/etc/group"])
        for (const line of readFileSync(file, "utf8").split("\n")) expect(inUse(Number(line.split(":")[2] || -1)), line).toBe(false);
      await Promise.all(names.map((name) => stage.output("exec", ["/bin/bash", "-c", "echo x > /left"], name)));
      const owners = (readdirSync(stage.host.daemon.stateDir, { recursive: true }) as string[]).map(
        (name) => lstatSync(join(stage.host.daemon.stateDir, name), { throwIfNoEntry: false })?.uid ?? 0,
      );
      expect(owners.filter(inUse)).toEqual([]);
      await Promise.all(names.map((name) => stage.host.request("DELETE", `/v1/sandboxes/${name}`)));
      const left = allPids().filter((pid) => inUse(Number(statusLine(pid, "Uid").split(/\s+/)[0] || -1)));
      expect(left).toEqual([]);
      return `${count} sandboxes`;
    },
  },
  {
    number: 13,
    title: "no call makes a new namespace: unshare and clone EPERM, clone3 ENOSYS",
    red: ["no-seccomp"],
    async run(stage) {
      let attempts = 0;
      await stage.everywhere(["namespaces"], (outcomes, way) => {
        for (const [attempt, outcome] of Object.entries(outcomes))
          expect(`${way}: ${attempt}: ${outcome}`).toBe(`${way}: ${attempt}: ${attempt.startsWith("clone3") ? "ENOSYS" : "EPERM"}`);
        attempts += Object.keys(outcomes).length;
      });
      return `${attempts} attempts`;
    },
  },
  {
    number: 14,
    title: "no process outside can be signalled, opened or scheduled, not even one of the same uid; /proc shows its own only",
    red: ["no-pid"],
    async run(stage) {
      let attempts = 0;
      const pids = (pid: number) => [pid, stage.host.daemon.pid, stage.box.supervisor.pid].map(String);
      await withVictim(stage.box.ids.hostUidBase, async (pid) => {
        for (const way of ["exec", "terminal"] as const) attempts += nothingReached(await stage.probe(way, "signals", ...pids(pid)));
      });
      attempts += await signalsOfMain(stage, pids);
      return `${attempts} attempts`;
    },
  },
  {
    number: 15,
    title: "System V and POSIX IPC and abstract sockets are not seen from inside, nor from outside, nor from another sandbox",
    red: ["no-ipc", "no-net"],
    async run(stage) {
      const name = `unshared-${process.pid}`;
      const outside = spawn(probePath("ipc"), ["make", name], { stdio: ["pipe", "pipe", "inherit"] });
      try {
        expect(String((await once(outside.stdout, "data"))[0])).toBe("made: ok\n");
        expect(foundOutside(name)).toEqual(allOf("ok"));
        await stage.everywhere(["ipc", "find", name], (found, way) => expect(found, way).toEqual(notThere));
      } finally {
        outside.stdin.end();
        await once(outside, "exit");
      }
      expect(foundOutside(name)).toEqual(notThere);
      const inside = await stage.start(["/probes/ipc", "make", name], { stdin: true });
      await until("the objects", async () => (await stage.logOf("box")).includes("made: ok"), 20_000);
      expect(await stage.probe("exec", "ipc", "find", name)).toEqual(allOf("ok"));
      expect(foundOutside(name)).toEqual(notThere);
      expect(await stage.probe("main", "ipc", "find", name)).toEqual(notThere);
      await stage.host.request("DELETE", `/v1/sandboxes/box/processes/${inside.id}`);
      return "5 kinds";
    },
  },
  {
    number: 16,
    title: "no call on keys is let through, and /proc/keys is masked",
    red: ["no-seccomp"],
    async run(stage) {
      await stage.everywhere(["ipc", "keys"], (found, way) => {
        for (const [call, outcome] of Object.entries(found)) expect(`${way}: ${call}: ${outcome}`).toBe(`${way}: ${call}: EPERM`);
      });
      for (const way of ways) expect(await stage.output(way, ["/bin/cat", "/proc/keys", "/proc/key-users"])).toBe("");
      return undefined;
    },
  },
  {
    number: 17,
    title: "who takes all that the kernel counts per user takes nothing from another sandbox or from the host's root",
    red: ["root-owner"],
    async run(stage) {
      const greedy = await stage.sandbox({ name: "greedy", command: ["/probes/counters", "fill"], limits: { pids: 200, openFiles: 4096 } });
      try {
        const taken = outcomesOf(
          await until(
            "all that it gets",
            async () => {
              const text = await stage.logOf("greedy");
              return text.includes("taken: all") && text;
            },
            25_000,
          ),
        );
        // What has a bound was taken to the last: what is left is what others have. The others grow with the host's memory.
        for (const kind of ["inotify instances", "terminals", "message queues", "pipe pages", "processes"])
          expect(`${kind}: ${taken[kind]}`).toMatch(/: \d+ then E/);
        const [held] = stage.host.pidsInside(greedy);
        expect(held).toBeGreaterThan(0);
        // Counted for the whole host, so that nobody inside is given any.
        expect(taken["libaio contexts"]).toBe("0 then EPERM");
        for (const way of ways)
          for (const [kind, outcome] of Object.entries(await stage.probe(way, "counters", "one")))
            expect(`another sandbox, ${way}: ${kind}: ${outcome}`).toMatch(kind === "libaio contexts" ? /: EPERM$/ : /: ok$/);
        const host = outcomesOf(spawnSync(probePath("counters"), ["one"], { encoding: "utf8" }).stdout);
        for (const [kind, outcome] of Object.entries(host)) expect(`the host's root: ${kind}: ${outcome}`).toMatch(/: ok$/);
        return Object.entries(taken)
          .filter(([kind]) => kind !== "taken")
          .map(([kind, outcome]) => `${Number.parseInt(outcome, 10)} ${kind}`)
          .join(", ");
      } finally {
        await stage.host.request("DELETE", "/v1/sandboxes/greedy");
      }
    },
  },
];

const kinds = ["shm", "sem", "msg", "mq", "abstract socket"];
const allOf = (outcome: string) => Object.fromEntries(kinds.map((kind) => [kind, outcome]));
const notThere = { ...allOf("ENOENT"), "abstract socket": "ECONNREFUSED" };
/** As the host's root sees it. */
const foundOutside = (name: string) => outcomesOf(spawnSync(probePath("ipc"), ["find", name], { encoding: "utf8" }).stdout);

/** The main process waits for the numbers of a victim that has its own uid. */
const signalsOfMain = async (stage: Stage, pids: (pid: number) => string[]): Promise<number> => {
  const command = ["/bin/bash", "-c", "trap '' USR1; read -r line; exec /probes/signals $line"];
  const report = await stage.sandbox({ name: "signals", command });
  let attempts = 0;
  try {
    await withVictim(report.ids.hostUidBase, async (pid) => {
      const line = Buffer.from(`${pids(pid).join(" ")}\n`);
      await stage.host.request("POST", "/v1/sandboxes/signals/processes/main/stdin", line);
      await stage.host.reaches("signals", "stopped", 20_000);
      attempts = nothingReached(outcomesOf(await stage.logOf("signals")));
    });
  } finally {
    await stage.host.request("DELETE", "/v1/sandboxes/signals");
  }
  return attempts;
};
