/**
 * Children of the supervisor that no request knows of: a command may make them by CLONE_PARENT (clone(2)). They go when they end, and take nothing with them
 * that is another's.
 */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tracing } from "../fixtures/injection.ts";
import { buildProbes, probePath } from "../isolation/stage.ts";
import { eventually } from "./eventually.ts";
import { Launcher, usual } from "./launcher-fixture.ts";
import type { Sandbox } from "./sandbox-fixture.ts";
import { alive, cgroupTrees, file, processState } from "./witness.ts";

const patience = 20_000;
let launcher: Launcher;
beforeAll(async () => {
  buildProbes();
  launcher = await Launcher.start();
  for (const probe of ["siblings", "holder"]) copyFileSync(probePath(probe), launcher.state(`roots/bash/tree/${probe}`));
});
afterAll(() => launcher[Symbol.asyncDispose]());

/** States of the supervisor's children but for its init, by proc(5). */
const children = (box: Sandbox): string[] =>
  file(box.supervisor, `task/${box.supervisor}/children`)
    .trim()
    .split(" ")
    .map(Number)
    .filter((pid) => pid !== box.init)
    .map(processState);
const zombies = (box: Sandbox): number => children(box).filter((state) => state === "Z").length;

/** Of the pids controller, in version 1 or 2 (cgroups(7)). */
const pidsCurrent = (box: Sandbox): number => {
  for (const tree of cgroupTrees) {
    try {
      return Number(readFileSync(join(tree, box.cgroup, "pids.current"), "utf8"));
    } catch {
      // This tree has not the controller.
    }
  }
  throw new Error("no pids controller");
};

const begin = async (box: Sandbox, count: number, stdin = 0) => {
  const { name, pid, reply } = await box.exec("", { arg: ["/siblings", `${count}`], stdin });
  expect(reply.name, reply.text("message")).toBe("STARTED");
  return { name, pid };
};
const noneLeft = (box: Sandbox, left: number) =>
  eventually("no zombie", () => zombies(box) === 0 && pidsCurrent(box) === left, patience).catch(() => {
    expect([zombies(box), pidsCurrent(box)]).toEqual([0, left]);
  });

test("siblings of a command are reaped when they end, and count no more against the sandbox's limit", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ pids: 400 });
    const before = pidsCurrent(box);
    for (let round = 1; round <= 3; round++) {
      const { name } = await begin(box, 300);
      expect(await box.output(name, "\n")).toBe("siblings 300: ok\n");
      await noneLeft(box, before + round);
    }
    expect(children(box)).toHaveLength(3);
    await box.end();
  }));

test("siblings that live when the sandbox ends do not hold it up", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ pids: 400 });
    const { name } = await begin(box, -300);
    expect(await box.output(name, "\n")).toBe("siblings 300: ok\n");
    expect(children(box)).toHaveLength(301);
    const { gone } = await box.end();
    expect(gone.number("killed")).toBe(303);
  }));

test("commands end as they do while others make siblings by the thousand, and those that do not start say why", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ pids: 4_000 });
    const before = pidsCurrent(box);
    const floods = [await begin(box, 0), await begin(box, 0)];
    for (let round = 0; round < 10; round++) {
      const asked = Array.from({ length: 6 }, (_, index) => box.exec(`exit ${round * 6 + index}`));
      const failing = Array.from({ length: 3 }, () => box.exec("", { arg: "/bin/nothing" }));
      for (const { reply } of await Promise.all(failing)) expect([reply.text("layer"), reply.text("errno")]).toEqual(["command", "2"]);
      for (const [index, { name, reply }] of (await Promise.all(asked)).entries()) {
        expect(reply.name, reply.text("message")).toBe("STARTED");
        expect((await box.client.event("PROCESS_EXITED", name)).text("code")).toBe(`${round * 6 + index}`);
      }
    }
    expect(floods.every(({ pid }) => alive(pid))).toBe(true);
    for (const { name } of floods) await box.client.ask("SIGNAL", { process: name, signal: 9 });
    for (const { name } of floods) expect((await box.client.event("PROCESS_EXITED", name)).text("signal")).toBe("9");
    await noneLeft(box, before);
    await box.end();
  }));

test("a thousand that are dead at once hold up nothing else: the loop turns in between", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ pids: 1_200 });
    const before = pidsCurrent(box);
    const { pid } = await begin(box, 1_000, 1);
    process.kill(box.supervisor, "SIGSTOP");
    let trace: string;
    try {
      writeFileSync(`/proc/${pid}/fd/0`, "\n");
      await eventually("all are dead", () => zombies(box) === 1_000, patience);
    } finally {
      ({ trace } = await tracing(box.supervisor, "waitid,epoll_wait", async () => {
        process.kill(box.supervisor, "SIGCONT");
        await noneLeft(box, before + 1);
      }));
    }
    const runs = trace.split("epoll_wait(").map((run) => run.split("waitid(").length - 1);
    expect(runs.reduce((sum, run) => sum + run)).toBeGreaterThan(1_000);
    expect(Math.max(...runs)).toBeLessThan(300);
    await box.end();
  }));

test("PID 1 can make none, and a main process without a pid namespace makes none that stay", () =>
  launcher.leavingNothing(async () => {
    const first = await launcher.launch({ init: 0, arg: ["/siblings", "5"] });
    await first.input("\n");
    expect(await first.output("main", "\n")).toBe("siblings 0: EINVAL\n");
    await first.end();
    const isolate = (usual["isolate"] as string[]).filter((type) => type !== "pid");
    const second = await launcher.launch({ isolate, init: 0, arg: ["/siblings", "5"] });
    const before = pidsCurrent(second);
    await second.input("\n");
    expect(await second.output("main", "\n")).toBe("siblings 5: ok\n");
    await noneLeft(second, before);
    await second.end();
  }));

test("a command that a debugger inside holds after its end costs no time, and its end is told once it is let go", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.launch({ "seccomp-allow": ["ptrace"] });
    const held = await box.exec("read; exit 9", { stdin: 1 });
    const holder = await box.exec("", { arg: ["/holder", held.reply.text("pid-inside")] });
    expect(await box.output(holder.name, "\n")).toBe("seize: ok\n");
    await box.input("\n", { process: held.name });
    await eventually("it is dead", () => processState(held.pid) === "Z", patience);
    const { trace } = await tracing(box.supervisor, "epoll_wait", () => new Promise((done) => setTimeout(done, 1_000)));
    expect(trace.split("\n").length).toBeLessThan(20);
    expect(processState(held.pid)).toBe("Z");
    await box.client.ask("SIGNAL", { process: holder.name, signal: 9 });
    expect((await box.client.event("PROCESS_EXITED", held.name)).text("code")).toBe("9");
    await box.end();
  }));
