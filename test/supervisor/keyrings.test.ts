import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { Launcher } from "./launcher-fixture.ts";
import { statusOf } from "./witness.ts";

// keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1) on x86-64: whether there are keyrings.
const hasKeyrings = process.arch === "x64" && spawnSync("perl", ["-e", "exit(syscall(250, 0, -3, 1) < 0)"]).status === 0;

let launcher: Launcher;
beforeAll(async () => {
  launcher = await Launcher.start();
});
afterAll(() => launcher[Symbol.asyncDispose]());

/** Follows all that is forked by a process from now on, with `expressions` of strace(1), while `run` runs. Answers what was seen. */
async function traced(pid: number, expressions: string[], run: () => Promise<void>): Promise<string[]> {
  const log = join(launcher.directory, `keyctl-${pid}`);
  const tracer = spawn("strace", ["-f", "-qq", "-o", log, "-p", `${pid}`, ...expressions.flatMap((one) => ["-e", one])]);
  const ended = once(tracer, "exit");
  try {
    await eventually("traced", () => statusOf(pid)["TracerPid"] === `${tracer.pid}`);
    await run();
  } finally {
    tracer.kill("SIGINT");
    await ended;
  }
  return readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => line.includes("keyctl("));
}
const refused = ["trace=keyctl", "inject=keyctl:error=EDQUOT"];

describe.skipIf(!hasKeyrings)("a session keyring of its own", () => {
  test("is had by each command, however many there are", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read", { pids: 1000 });
      const start = async () => expect((await box.exec("", { arg: ["/usr/bin/sleep", "1000"] })).reply.name).toBe("STARTED");
      // Any id but root has room for 200 (keyrings(7)).
      for (let count = 0; count < 200; count += 20) await Promise.all(Array.from({ length: 20 }, start));
      const calls = await traced(box.supervisor, ["trace=keyctl"], start);
      expect(calls).toEqual([expect.stringMatching(/= [1-9]\d*$/)]);
      await box.end();
    }));

  test("that cannot be had keeps a sandbox from starting, and a command in it", () =>
    launcher.leavingNothing(async () => {
      const box = await launcher.bash("read");
      const told = { code: "launch-failed", layer: "supervisor", errno: "122", guest: "0" };
      await traced(launcher.pid, refused, async () => {
        const reply = await launcher.ask({ id: launcher.newId() });
        expect(Object.fromEntries(Object.keys(told).map((key) => [key, reply.text(key)]))).toEqual(told);
      });
      await traced(box.supervisor, refused, async () => {
        const { reply } = await box.exec("");
        expect(Object.fromEntries(Object.keys(told).map((key) => [key, reply.text(key)]))).toEqual(told);
      });
      await box.end();
    }));
});
