import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { Launcher } from "./launcher-fixture.ts";
import { Sandbox } from "./sandbox-fixture.ts";
import { alive, cgroupProcesses, cpuTicks } from "./witness.ts";

let launcher: Launcher;
beforeAll(async () => {
  launcher = await Launcher.start();
});
afterAll(() => launcher[Symbol.asyncDispose]());

describe.each([1, 0])("with init %i", (init) => {
  test.each([0, 1, 42, 127, 255])("exit code %i is told", (code) =>
    launcher.leavingNothing(async () => {
      const before = Date.now();
      const box = await launcher.bash(`exit ${code}`, { init });
      const { exited } = await box.end({ kill: false });
      expect([exited.text("reason"), exited.text("code"), exited.all("signal")]).toEqual(["exited", `${code}`, []]);
      expect(exited.number("exited-at")).toBeGreaterThanOrEqual(before);
      expect(exited.number("max-rss-bytes")).toBeGreaterThan(500_000);
    }),
  );
});

test.each([9, 11, 15])("the end by signal %i from inside is told", (signal) =>
  launcher.leavingNothing(async () => {
    const box = await launcher.bash(`kill -${signal} $$`);
    const { exited } = await box.end({ kill: false });
    expect([exited.text("reason"), exited.number("signal"), exited.all("code")]).toEqual(["signaled", signal, []]);
  }),
);

test("PID 1 takes no signal from inside, and KILL from outside", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.bash("kill -9 $$; echo alive; read", { init: 0 });
    expect(await box.output("main", "\n")).toBe("alive\n");
    await box.client.ask("SIGNAL", { process: "main", signal: 9 });
    const { exited } = await box.end({ kill: false });
    expect([exited.text("reason"), exited.text("signal"), exited.all("code")]).toEqual(["signaled", "9", []]);
  }));

test("the receipt counts what was killed, removed and unmounted", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.bash("sleep 1000 & sleep 1000 & read");
    await eventually("four processes", () => cgroupProcesses(box.cgroup)[0]?.length === 4);
    const trees = cgroupProcesses(box.cgroup).length;
    const { exited, gone } = await box.end();
    expect([exited.text("reason"), exited.text("signal")]).toEqual(["signaled", "9"]);
    expect([gone.text("killed"), gone.number("cgroups")]).toEqual(["4", trees]);
    expect(gone.number("mounts")).toBeGreaterThan(10);
    expect(gone.number("milliseconds")).toBeLessThan(5_000);
  }));

test("what the command leaves behind ends with it, double forks and ignored signals too (check 44)", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.bash(
      `trap "" TERM HUP INT; (sleep 1000 & sleep 1000 &) ; (trap "" TERM; read -t 1000 < <(sleep 1000)) & exit 5`,
    );
    const { exited } = await box.end({ kill: false });
    expect(exited.text("code")).toBe("5");
  }));

test("the end by the memory limit is told from the cgroup's own count", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.bash("a=xxxxxxxx; while :; do a=$a$a; done", { "memory-bytes": 32 << 20 });
    const { exited } = await box.end({ kill: false });
    expect([exited.text("reason"), exited.text("signal")]).toEqual(["out-of-memory", "9"]);
  }));

test("a child that the memory limit took is not the command's end", () =>
  launcher.leavingNothing(async () => {
    const box = await launcher.bash("(a=xxxxxxxx; while :; do a=$a$a; done); echo child $?; read; exit 3", { "memory-bytes": 32 << 20 });
    expect(await box.output("main", "child")).toContain("child 137");
    await box.input("\n");
    const { exited } = await box.end({ kill: false });
    expect([exited.text("reason"), exited.text("code")]).toEqual(["exited", "3"]);
  }));

test("the limit of processes holds, and the host does not feel it", () =>
  launcher.leavingNothing(async () => {
    // init and bash are two; a fork beyond the fourth is refused. bash tries again for a while, so it is not waited for.
    const box = await launcher.bash("sleep 1000 & sleep 1000 & echo two; sleep 1000 & echo three", { pids: 4 });
    await box.output("main", "two");
    await eventually("bash is refused", async () => (await box.output("main", "retry")).includes("Resource temporarily unavailable"));
    expect(cgroupProcesses(box.cgroup)[0]?.length).toBe(4);
    await box.end();
  }));

describe("STOP", () => {
  test("lets a command that heeds TERM end in its own way", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash(`trap "echo bye; exit 7" TERM; echo ready; while :; do read -t 0.01; done`);
      await box.output("main", "ready");
      expect((await box.client.ask("STOP", { "grace-ms": 60_000 })).name).toBe("DONE");
      expect(await box.output()).toContain("bye\n");
      const { exited } = await box.end({ kill: false });
      expect([exited.text("reason"), exited.text("code")]).toEqual(["exited", "7"]);
    }));

  test("kills one that ignores it when the grace is over, not before", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash(`trap "" TERM; echo ready; while :; do read -t 0.01; done`);
      await box.output("main", "ready");
      const before = performance.now();
      await box.client.ask("STOP", { "grace-ms": 250 });
      await box.client.event("EXITED");
      expect(performance.now() - before).toBeGreaterThan(245);
      const { exited, gone } = await box.end({ kill: false });
      expect([exited.text("reason"), exited.text("signal")]).toEqual(["signaled", "9"]);
      expect(gone.number("milliseconds")).toBeGreaterThan(245);
    }));

  test("a second one may shorten the grace and not prolong it", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash(`trap "" TERM; echo ready; while :; do read -t 0.01; done`);
      await box.output("main", "ready");
      await box.client.ask("STOP", { "grace-ms": 60_000 });
      await box.client.ask("STOP", { "grace-ms": 200 });
      await box.client.ask("STOP", { "grace-ms": 60_000 });
      await box.client.event("EXITED");
      await box.end({ kill: false });
    }));

  test("holds when the one who asked is gone", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash(`trap "" TERM; echo ready; while :; do read -t 0.01; done`);
      await box.output("main", "ready");
      await box.client.ask("STOP", { "grace-ms": 100 });
      box.client.close();
      await eventually("killed", () => !alive(box.pid));
      const again = await Sandbox.attach(launcher, box.id, box.report);
      await eventually("told", async () => (await again.client.ask("ATTACH")).text("reason") === "signaled");
      await again.end({ kill: false });
    }));

  test("with a grace right after one without leaves the supervisor idle in the end", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read");
      await Promise.all([box.client.ask("STOP", { "grace-ms": 0 }), box.client.ask("STOP", { "grace-ms": 50 })]);
      await box.client.event("GONE");
      await new Promise((later) => setTimeout(later, 60)); // the second grace itself
      const before = cpuTicks(box.supervisor);
      await new Promise((later) => setTimeout(later, 200)); // 20 ticks, were it busy
      expect(cpuTicks(box.supervisor) - before).toBeLessThan(5);
      await box.end({ kill: false });
    }));

  test("of one that is gone is taken as done", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("exit 0");
      await box.gone();
      expect((await box.client.ask("STOP", { "grace-ms": 10 })).name).toBe("DONE");
      expect((await box.client.ask("SIGNAL", { process: "main", signal: 9 })).text("code")).toBe("ended");
      expect(
        (
          await box.client.ask("EXEC", {
            process: "late",
            arg: "true",
            cwd: "/",
            uid: 0,
            gid: 0,
            tty: 0,
            stdin: 0,
            "timeout-ms": 0,
            "output-bytes": 4096,
          })
        ).text("code"),
      ).toBe("ended");
      await box.end({ kill: false });
    }));
});

describe("SIGNAL", () => {
  test("goes to the command alone, or with its group", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash(
        `trap "echo parent" USR1; bash -c 'trap "echo child" USR1; echo ready; while :; do read -t 0.01 < /dev/zero; done' & echo up; while :; do wait; done`,
      );
      await box.output("main", "ready");
      await box.client.ask("SIGNAL", { process: "main", signal: 10 });
      await box.output("main", "parent");
      await box.client.ask("SIGNAL", { process: "main", signal: 10, group: 1 });
      const said = await box.output("main", "child");
      expect(said.match(/child/g)).toHaveLength(1);
      await eventually("the parent again", async () => ((await box.output("main", "child")).match(/parent/g) ?? []).length === 2);
      await box.end();
    }));

  test("KILL of a command after a child's death by the memory limit is told as what it is", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("(a=xxxxxxxx; while :; do a=$a$a; done); echo child $?; read", { "memory-bytes": 32 << 20 });
      await box.output("main", "child");
      await box.client.ask("SIGNAL", { process: "main", signal: 9 });
      const { exited } = await box.end({ kill: false });
      expect([exited.text("reason"), exited.text("signal")]).toEqual(["signaled", "9"]);
    }));

  test("KILL by somebody else after a child's death by the memory limit is told as what it is", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("(a=xxxxxxxx; while :; do a=$a$a; done); echo child $?; read", { "memory-bytes": 32 << 20 });
      await box.output("main", "child 137");
      // The supervisor sees who is dying a moment after the kernel's kill. It has done so when it answers the second request after that.
      await new Promise((over) => setTimeout(over, 1_500));
      for (let n = 0; n < 2; n += 1) await box.client.ask("USAGE");
      process.kill(box.pid, "SIGKILL");
      const { exited } = await box.end({ kill: false });
      expect([exited.text("reason"), exited.text("signal")]).toEqual(["signaled", "9"]);
    }));

  test("KILL of PID 1 from outside ends the sandbox", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read");
      process.kill(box.init, "SIGKILL");
      const { exited } = await box.end({ kill: false });
      expect([exited.text("reason"), exited.text("signal")]).toEqual(["signaled", "9"]);
    }));
});
