import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { Launcher } from "./launcher-fixture.ts";
import type { Values } from "./raw-client.ts";
import {
  alive,
  cgroupProcesses,
  descriptors,
  descriptorTarget,
  file,
  namespaceInode,
  namespaceTypes,
  parentOf,
  sessionOf,
  startTicks,
  statusOf,
  terminalOf,
  threadsOf,
} from "./witness.ts";

let launcher: Launcher;
beforeAll(async () => {
  launcher = await Launcher.start();
});
afterAll(() => launcher[Symbol.asyncDispose]());

const all = ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup", "time"];

test("HELLO tells what the kernel tells", async () => {
  const welcome = await launcher.client.ask("HELLO");
  expect(welcome.number("pid")).toBe(launcher.pid);
  expect(welcome.number("start-ticks")).toBe(startTicks(launcher.pid));
  for (const type of namespaceTypes) expect(welcome.number(`ns-${type}`)).toBe(namespaceInode(process.pid, type));
  expect(Object.fromEntries(welcome.fields)).toMatchObject({
    detached: ["0"],
    ready: ["0"],
    "ready-target": ["0"],
    supervisors: ["0"],
    "cgroup-parent": [launcher.cgroupParent],
    "uid-base": [`${launcher.idBase}`],
  });
  expect(welcome.all("problem")).toEqual([]);
});

test("the reply to a launch holds what outside witnesses see", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch();
    const { report, pid, init } = box;
    expect(report.name).toBe("LAUNCHED");
    expect(report.text("state")).toBe("running");
    expect(report.number("start-ticks")).toBe(startTicks(pid));
    expect(report.number("supervisor-start-ticks")).toBe(startTicks(box.supervisor));
    expect(statusOf(pid)["NSpid"]).toBe(`${pid}\t${report.number("pid-inside")}`);
    expect(statusOf(init)["NSpid"]).toBe(`${init}\t1`);
    expect(parentOf(pid)).toBe(init);
    expect(parentOf(init)).toBe(box.supervisor);
    expect(Math.abs(report.number("started-at") - Date.now())).toBeLessThan(5_000);
    for (const type of namespaceTypes) {
      expect(report.number(`ns-${type}`), type).toBe(namespaceInode(pid, type));
      expect(namespaceInode(init, type), type).toBe(namespaceInode(pid, type));
      expect(report.all("isolated").includes(type), type).toBe(namespaceInode(pid, type) !== namespaceInode(process.pid, type));
    }
    const base = launcher.idBase + report.number("slot") * 65536;
    expect([report.number("uid-base"), report.number("uid-size")]).toEqual([base, 65536]);
    for (const map of ["uid_map", "gid_map"]) expect(file(pid, map).trim().split(/\s+/)).toEqual(["0", `${base}`, "65536"]);
    expect(statusOf(pid)["Uid"]).toBe(Array(4).fill(base).join("\t"));
    const trees = cgroupProcesses(box.cgroup);
    expect(trees.length).toBeGreaterThan(0);
    for (const processes of trees) expect(processes.sort()).toEqual([init, pid].sort());
    expect(report.all("phase").map((phase) => phase.split("=")[0])).toEqual([
      "prepare",
      "root",
      "mounts",
      "pivot",
      "drop",
      "exec",
      "report",
    ]);
    expect(report.all("process")).toEqual([
      `main ${pid} ${report.number("pid-inside")} ${startTicks(pid)} ${report.text("started-at")} 0 running`,
    ]);
    await box.end();
  }));

test("every thread of every process is without capabilities, with no_new_privs and the filter", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.bash("sleep 1000 & (sleep 1000; :) & wait");
    await eventually("five processes", () => cgroupProcesses(box.cgroup)[0]?.length === 5);
    for (const pid of cgroupProcesses(box.cgroup)[0] ?? [])
      for (const thread of threadsOf(pid))
        expect(statusOf(pid, thread), `${pid}/${thread}`).toMatchObject({
          CapInh: "0000000000000000",
          CapPrm: "0000000000000000",
          CapEff: "0000000000000000",
          CapBnd: "0000000000000000",
          CapAmb: "0000000000000000",
          NoNewPrivs: "1",
          Seccomp: "2",
          Seccomp_filters: "1",
          Groups: "",
        });
    await box.end();
  }));

test("capabilities that are asked for are kept, and no others", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ capabilities: 1 | (1 << 5), uid: 1000, gid: 1000 });
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) expect(statusOf(box.pid)[set], set).toBe("0000000000000021");
    expect(statusOf(box.pid)["Gid"]).toBe(
      Array(4)
        .fill(box.report.number("uid-base") + 1000)
        .join("\t"),
    );
    await box.end();
  }));

test("processes inside hold the descriptors 0, 1 and 2 and those they opened", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.bash("sleep 1000 & wait");
    await eventually("three processes", () => cgroupProcesses(box.cgroup)[0]?.length === 3);
    for (const pid of cgroupProcesses(box.cgroup)[0] ?? []) {
      if (pid === box.init) continue;
      await eventually("no descriptor more, once its libraries are loaded", () => `${descriptors(pid)}` === "0,1,2");
    }
    // It closes the pidfd of its command once the supervisor has taken note of that, which may be after the launch is answered.
    await eventually("the init's own four", () => descriptors(box.init).length === 4);
    const [zero, one, two, ...rest] = descriptors(box.init).map((fd) => descriptorTarget(box.init, fd));
    expect([zero, one, two]).toEqual(["/dev/null", "/dev/null", "/dev/null"]);
    expect(rest).toEqual([expect.stringMatching(/^pipe:/)]);
    await box.end();
  }));

test("without an init the command is PID 1, and its end is the end of all", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.bash("sleep 1000 & echo $$; read; exit 9", { init: 0 });
    expect([box.init, box.report.number("pid-inside")]).toEqual([box.pid, 1]);
    expect(await box.output("main", "\n")).toBe("1\n");
    await box.input("\n");
    const { exited } = await box.end({ kill: false });
    expect([exited.text("reason"), exited.text("code")]).toEqual(["exited", "9"]);
  }));

test("an init reaps what is orphaned", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.bash("( (exit 3) & sleep 0.01 & ) ; (sleep 0.02 &) ; read");
    await eventually("the orphans are gone", () => cgroupProcesses(box.cgroup)[0]?.length === 2);
    await box.end();
  }));

test.each([0, 1])("a terminal of its own devpts is the controlling one (init %i)", (init) =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ tty: 1, init, arg: ["/bin/bash", "-c", "stty size; read line; stty size; echo got $line"] });
    expect(descriptorTarget(box.pid, 0)).toBe("/dev/pts/0");
    expect(terminalOf(box.pid)).toBeGreaterThan(0);
    expect(sessionOf(box.pid)).toBe(box.pid);
    await box.output("main", "0 0\r\n");
    expect((await box.client.ask("RESIZE", { process: "main", rows: 33, columns: 44 })).name).toBe("DONE");
    await box.input("word\n");
    expect(await box.output()).toBe("0 0\r\nword\r\n33 44\r\ngot word\r\n");
    await box.end({ kill: false });
  }),
);

const shared: [string, Values][] = [
  ["mnt", { root: null, init: 1, hostname: "box" }],
  ["uts", { hostname: null }],
  ["ipc", {}],
  ["net", {}],
  ["pid", { init: 0 }],
  ["user", {}],
  ["cgroup", {}],
];
test.each(shared)("without a %s namespace of its own it has the host's, and the others are new", (type, values) =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ ...values, isolate: all.filter((name) => name !== type) });
    for (const name of namespaceTypes)
      expect(namespaceInode(box.pid, name) === namespaceInode(process.pid, name), name).toBe(name === type);
    if (type === "user") expect([box.report.text("uid-base"), box.report.text("uid-size")]).toEqual(["0", "0"]);
    expect(statusOf(box.pid)).toMatchObject({ CapEff: "0000000000000000", NoNewPrivs: "1", Seccomp: "2" });
    await box.end();
  }),
);

test("a second launch of the same id is refused and hurts nobody", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch();
    const again = await launcher.ask({ id: box.id });
    expect([again.name, again.text("code")]).toEqual(["ERROR", "exists"]);
    expect(alive(box.pid)).toBe(true);
    expect((await launcher.client.ask("REMOVE", { id: box.id })).text("code")).toBe("running");
    expect((await launcher.client.ask("CLEAN", { id: box.id, slot: box.report.number("slot") })).text("code")).toBe("running");
    await box.end();
  }));

test("many at once have slots, ids and namespaces of their own", () =>
  launcher.leavingNothing(async () => {
    const boxes = await Promise.all(Array.from({ length: 8 }, () => launcher.launch()));
    for (const key of ["slot", "uid-base", "ns-mnt", "ns-pid", "ns-user", "ns-net", "ns-cgroup"])
      expect(new Set(boxes.map((box) => box.report.text(key))).size, key).toBe(8);
    await Promise.all(boxes.map((box) => box.end()));
  }));

test("the sandbox's /proc/1 names no path of the host", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch();
    const said = await box.says("cat /proc/1/cmdline /proc/self/mountinfo");
    expect(said).not.toContain(launcher.directory);
    expect(readFileSync(`/proc/${box.init}/cmdline`, "latin1")).not.toContain(launcher.directory);
    await box.end();
  }));

test("a sandbox that only holds its namespaces has an init and no command, takes EXEC, and ends by STOP", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ hold: 1, arg: null, init: 0 });
    expect(box.report.text("hold")).toBe("1");
    expect(cgroupProcesses(box.cgroup)[0]).toEqual([box.init]);
    expect(statusOf(box.init)).toMatchObject({ CapEff: "0000000000000000", CapBnd: "0000000000000000", NoNewPrivs: "1", Seccomp: "2" });
    expect(await box.says("echo $$ from inside")).toMatch(/^\d+ from inside\n$/);
    const { exited } = await box.end();
    expect(exited.text("reason")).toBe("signaled");
  }));
