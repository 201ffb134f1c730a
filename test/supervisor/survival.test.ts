import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { tracing } from "../fixtures/injection.ts";
import { eventually } from "./eventually.ts";
import { Launcher, usual } from "./launcher-fixture.ts";
import { RawClient } from "./raw-client.ts";
import { Sandbox } from "./sandbox-fixture.ts";
import { alive, cgroupProcesses, cgroupsBelow, file, namespaceInode, processesWith, processState, startTicks } from "./witness.ts";

const kill = (pid: number) => process.kill(pid, "SIGKILL");

/** Pids by the title that a process of the launcher gives itself. */
const titled = (launcher: Launcher, title: string): number[] =>
  processesWith(launcher.mark, launcher.cgroupParent).filter((pid) => file(pid, "cmdline").replaceAll("\0", " ").trim() === title);

describe("a supervisor that is killed", () => {
  let launcher: Launcher;
  beforeEach(async () => {
    launcher = await Launcher.start();
  });
  afterEach(() => launcher[Symbol.asyncDispose]());

  test.each([
    ["", 1, ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup"]],
    ["without init", 0, ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup"]],
    ["without a pid namespace", 0, ["mnt", "uts", "ipc", "net", "user", "cgroup"]],
  ])("takes its processes along, and the launcher cleans after it %s", (_, init, isolate) =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("trap '' TERM HUP; sleep 1000 & sleep 1000", { init, isolate });
      const started = [await box.exec("sleep 1000 & sleep 1000"), await box.exec("sleep 1000", { tty: 1 })];
      await eventually("they run", () => (cgroupProcesses(box.cgroup)[0]?.length ?? 0) >= (init ? 7 : 6));
      const inside = cgroupProcesses(box.cgroup)[0] ?? [];
      for (const { pid } of started) expect(inside).toContain(pid);
      kill(box.supervisor);
      await eventually("they are gone", () => inside.every((pid) => !alive(pid)));
      await eventually(
        "so are cgroups and socket",
        () => cgroupsBelow(launcher.cgroupParent).length === 0 && !existsSync(launcher.socket(box.id)),
      );
      expect(launcher.log()).toMatch(/its sandbox is cleaned/);
      // The files are the daemon's to decide on.
      expect((await launcher.client.ask("REMOVE", { id: box.id })).number("files")).toBeGreaterThan(0);
    }),
  );
});

describe("a launcher that is killed", () => {
  let launcher: Launcher;
  beforeEach(async () => {
    launcher = await Launcher.start({ readyShells: 2 });
  });
  afterEach(() => launcher[Symbol.asyncDispose]());

  test("takes its ready shells along; what runs, runs on, is adopted and can be stopped", async () => {
    const box = await launcher.bash("echo before; read line; echo got $line; read; exit 12");
    await box.output("main", "before");
    await launcher.settled();
    const ready = [...titled(launcher, "unshared-supervisor ready"), ...titled(launcher, "unshared-shell")];
    expect(ready).toHaveLength(4);
    const ended = once(launcher.process, "exit");
    kill(launcher.pid);
    await ended;
    await eventually("the ready ones are gone", () => ready.every((pid) => !alive(pid)));
    expect(cgroupsBelow(launcher.cgroupParent).every((path) => path.endsWith(`/${box.report.text("slot")}`))).toBe(true);
    expect((await box.input("word\n")).name).toBe("DONE");
    expect(await box.output("main", "got word")).toBe("before\ngot word\n");

    // The socket file of the dead one is no obstacle; neither are the cgroups of what runs.
    await launcher.run();
    const adopted = await Sandbox.attach(launcher, box.id);
    for (const key of ["pid", "pid-inside", "start-ticks", "slot", "uid-base", "ns-mnt", "ns-pid", "ns-user", "started-at", "cgroup"])
      expect(adopted.report.text(key), key).toBe(box.report.text(key));
    expect([startTicks(box.pid), namespaceInode(box.pid, "mnt")]).toEqual([box.report.number("start-ticks"), box.report.number("ns-mnt")]);
    expect((await launcher.client.ask("REMOVE", { id: box.id })).text("code")).toBe("running");
    expect((await launcher.ask({ id: box.id })).text("code")).toBe("exists");
    const other = await launcher.launch();
    expect(other.report.text("slot")).not.toBe(box.report.text("slot"));
    await other.end();
    await adopted.input("\n");
    await adopted.client.event("GONE");
    expect((await adopted.client.ask("ATTACH")).text("code")).toBe("12");
    expect((await box.client.ask("RELEASE")).name).toBe("DONE");
    await launcher.client.ask("REMOVE", { id: box.id });
  });

  test("with what runs killed too, leaves cgroups that CLEAN of the next one removes (check 73)", async () => {
    const box = await launcher.bash("sleep 1000 & sleep 1000");
    const ended = once(launcher.process, "exit");
    kill(launcher.pid);
    await ended;
    kill(box.supervisor);
    await eventually("nothing lives", () => (cgroupProcesses(box.cgroup)[0] ?? []).length === 0);
    await launcher.run();
    const slot = box.report.text("slot");
    expect(cgroupsBelow(launcher.cgroupParent).some((path) => path.endsWith(`/${slot}`))).toBe(true);
    expect(existsSync(launcher.socket(box.id))).toBe(true);
    const cleaned = await launcher.client.ask("CLEAN", { id: box.id, slot });
    expect([cleaned.name, cleaned.text("complete")]).toEqual(["CLEANED", "1"]);
    expect(cleaned.number("cgroups")).toBeGreaterThan(0);
    expect(cgroupsBelow(launcher.cgroupParent).some((path) => path.endsWith(`/${slot}`))).toBe(false);
    expect(existsSync(launcher.socket(box.id))).toBe(false);
    await launcher.client.ask("REMOVE", { id: box.id });
  });

  test("with what runs killed too, leaves a socket that is no obstacle to REMOVE, where the slot is not known", async () => {
    const box = await launcher.bash("sleep 1000");
    const ended = once(launcher.process, "exit");
    kill(launcher.pid);
    await ended;
    process.kill(box.supervisor, "SIGSTOP");
    await launcher.run();
    expect((await launcher.client.ask("REMOVE", { id: box.id })).text("code")).toBe("running");
    kill(box.supervisor);
    await eventually("nothing lives", () => !alive(box.supervisor) && (cgroupProcesses(box.cgroup)[0] ?? []).length === 0);
    expect(existsSync(launcher.socket(box.id))).toBe(true);
    const removed = await launcher.client.ask("REMOVE", { id: box.id });
    expect([removed.name, existsSync(launcher.socket(box.id)), existsSync(launcher.state(`sandboxes/${box.id}`))]).toEqual([
      "REMOVED",
      false,
      false,
    ]);
    await launcher.client.ask("CLEAN", { id: box.id, slot: box.report.text("slot") });
  });

  test("REMOVE waits for a supervisor that has its socket and does not listen there yet", async () => {
    // As bind(2) leaves it before listen(2).
    const path = launcher.socket("early");
    const script = "socket(S, 1, 1, 0) && bind(S, pack('Sa108', 1, $ARGV[0])) or die $!; $| = 1; print 'bound'; sleep 1000";
    const holder = spawn("perl", ["-e", script, path], { stdio: ["ignore", "pipe", "inherit"] });
    await once(holder.stdout, "data");
    try {
      expect((await launcher.client.ask("REMOVE", { id: "early" })).text("code")).toBe("running");
      expect((await launcher.ask({ id: "early" })).text("code")).toBe("exists");
    } finally {
      const ended = once(holder, "exit");
      holder.kill("SIGKILL");
      await ended;
    }
    expect((await launcher.client.ask("REMOVE", { id: "early" })).name).toBe("REMOVED");
    expect(existsSync(path)).toBe(false);
  });

  test("while a second one asks for its socket, the second gives way", async () => {
    const [command = "", ...args] = file(launcher.pid, "cmdline").split("\0").filter(Boolean);
    const second = spawnSync(command, args, { encoding: "utf8", timeout: 5_000 });
    expect(second.status).toBe(1);
    expect(second.stderr).toMatch(/another launcher answers/);
    expect((await launcher.client.ask("HELLO")).name).toBe("WELCOME");
  });
});

test("a launcher that hundreds of orphans come to at once does other things in between", async () => {
  await using launcher = await Launcher.start();
  const isolate = (usual["isolate"] as string[]).filter((type) => type !== "pid");
  const orphans = 200;
  const zombies = () =>
    file(launcher.pid, `task/${launcher.pid}/children`)
      .trim()
      .split(" ")
      .filter((pid) => processState(Number(pid)) === "Z").length;
  const box = await launcher.bash(`read; for ((i = 0; i < ${3 * orphans}; i++)); do (sleep 0.1 &); done; echo made; read`, {
    isolate,
    init: 0,
  });
  process.kill(launcher.pid, "SIGSTOP");
  let trace: string;
  try {
    await box.input("\n");
    await box.output("main", "made");
    await eventually("most are dead and not reaped by their own shells", () => zombies() >= orphans, 20_000);
  } finally {
    ({ trace } = await tracing(launcher.pid, "wait4,epoll_wait", async () => {
      process.kill(launcher.pid, "SIGCONT");
      await eventually("none is left", () => zombies() === 0, 20_000);
    }));
  }
  const runs = trace.split("epoll_wait(").map((run) => run.split("wait4(").length - 1);
  expect(runs.reduce((sum, run) => sum + run)).toBeGreaterThan(orphans);
  expect(Math.max(...runs)).toBeLessThan(100);
  await box.end();
});

describe("ready shells", () => {
  let launcher: Launcher;
  beforeEach(async () => {
    launcher = await Launcher.start({ readyShells: 2 });
  });
  afterEach(() => launcher[Symbol.asyncDispose]());

  test("serve a launch with the usual namespaces, are made again, and nothing but the phases tells them from a fresh one", () =>
    launcher.leavingNothing(async () => {
      const ready = titled(launcher, "unshared-shell");
      const warm = await launcher.bash("read");
      expect(ready).toContain(warm.init);
      expect(warm.report.all("phase").map((phase) => phase.split("=")[0])).not.toContain("prepare");
      await launcher.settled();
      const cold = await launcher.bash("read", { isolate: ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup", "time"] });
      expect(cold.report.all("phase").map((phase) => phase.split("=")[0])).toContain("prepare");
      const keys = (box: Sandbox) => [...new Set(box.report.fields.keys())];
      expect(keys(warm)).toEqual(keys(cold));
      await warm.end();
      await cold.end();
    }));

  test.each(["unshared-shell", "unshared-supervisor ready"])("one whose %s is killed is replaced, and the rest is unhurt", (title) =>
    launcher.leavingNothing(async () => {
      const [victim = 0, other = 0] = titled(launcher, title);
      kill(victim);
      await eventually("replaced", () => {
        const now = titled(launcher, title);
        return now.length === 2 && !now.includes(victim) && now.includes(other);
      });
      await launcher.settled();
      expect(cgroupsBelow(launcher.cgroupParent).length).toBe(2 * cgroupProcesses(`${launcher.cgroupParent}`).length);
      const box = await launcher.bash("read");
      await box.end();
      await launcher.settled();
    }),
  );

  test.each([{ arg: "/bin/nothing" }, { cwd: "/nowhere" }, { root: "missing" }, { "cpu-quota-us": 1 }])(
    "used up by a launch that fails for %o leave nothing",
    (values) =>
      launcher.leavingNothing(async () => {
        const used = titled(launcher, "unshared-shell");
        expect((await launcher.ask(values)).text("code")).toBe("launch-failed");
        await launcher.settled();
        expect(titled(launcher, "unshared-shell").filter((pid) => used.includes(pid))).toHaveLength(1);
      }),
  );

  test("of which all are killed at the moment of a launch: it may fail, honestly, and the next does not", () =>
    launcher.leavingNothing(async () => {
      const killed = titled(launcher, "unshared-supervisor ready");
      for (const pid of killed) kill(pid);
      const reply = await launcher.ask({ id: "unlucky" });
      if (reply.name === "LAUNCHED") await (await Sandbox.attach(launcher, "unlucky", reply)).end();
      else expect(reply.text("code")).toBe("launch-failed");
      await eventually("they have ended", () => !killed.some(alive));
      const box = await launcher.bash("echo there; read");
      expect(await box.output("main", "there")).toBe("there\n");
      await box.end();
      await launcher.settled();
    }));
});

describe("END", () => {
  test("is answered, finishes what is launching, lets the ready shells go and leaves what runs", async () => {
    await using launcher = await Launcher.start({ readyShells: 2 });
    const box = await launcher.bash("read; exit 5");
    const client = await RawClient.open(join(launcher.directory, "run/launcher.sock"));
    const ended = once(launcher.process, "exit");
    const launching = launcher.ask({ id: "late", arg: ["/bin/bash", "-c", "read"] });
    expect((await client.ask("END")).name).toBe("DONE");
    expect((await launching).name).toBe("LAUNCHED");
    expect((await ended)[0]).toBe(0);
    expect(existsSync(join(launcher.directory, "run/launcher.sock"))).toBe(false);
    await eventually("the ready ones are gone", () => titled(launcher, "unshared-shell").length === 0);
    expect(alive(box.pid)).toBe(true);
    const late = await Sandbox.attach(launcher, "late");
    for (const one of [box, late]) {
      await one.client.ask("STOP", { "grace-ms": 0 });
      await one.client.event("GONE");
      expect((await one.client.ask("RELEASE")).name).toBe("DONE");
    }
    expect(cgroupsBelow(launcher.cgroupParent)).toEqual([]);
    // The parents of the cgroups go with the last launcher, so there is one more.
    await launcher.run();
    for (const id of [box.id, "late"]) expect((await launcher.client.ask("REMOVE", { id })).name).toBe("REMOVED");
  });
});

test("a machine without cgroups is told as a problem, and launches are refused with it", async () => {
  const through = ["unshare", "--mount", "sh", "-c", 'umount -R /sys/fs/cgroup; exec "$@"', "sh"];
  await using launcher = await Launcher.start({ through });
  const welcome = await launcher.client.ask("HELLO");
  expect([welcome.text("cgroup-layout"), welcome.all("problem")]).toEqual(["none", [expect.stringMatching(/^cgroup 2 \S/)]]);
  const reply = await launcher.ask();
  expect([reply.text("code"), reply.text("layer"), reply.text("guest")]).toEqual(["launch-failed", "cgroup", "0"]);
});

test("a launcher whose cgroup parent has several parts uses and removes them", async () => {
  await using launcher = await Launcher.start({ cgroupParent: "/inner/most" });
  const box = await launcher.bash("read");
  expect(box.cgroup).toBe(`${launcher.cgroupParent}/${box.report.text("slot")}`);
  for (const tree of cgroupProcesses(box.cgroup)) expect(tree).toContain(box.pid);
  await box.end();
});
