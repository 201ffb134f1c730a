/**
 * The supervisor of a sandbox is killed at its Nth system call (strace(1), inject), from the order to launch to its last; the launcher likewise.
 * Its sandbox ends with it, for a reason that is told, nothing of it is left, and the next one can be launched.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { commandLine, isAlive, statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const mostCalls = 1_000;

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("points", 1_360_000_000, "--ready-shells", "1");
  await host.run({ name: "first" });
  await host.clear();
});
afterAll(() => host[Symbol.asyncDispose]());

const titled = (title: string): number[] => host.processes().filter((pid) => commandLine(pid).join(" ").startsWith(title));

const trace = (): string => join(host.daemon.directory, "trace");

/** Kills the process at its nth system call from now on. Its threads are one. */
const killAt = async (pid: number, call: number): Promise<{ tracer: ChildProcess; ended: Promise<unknown> }> => {
  const tracer = spawn("strace", ["-o", trace(), "-e", `inject=all:signal=SIGKILL:when=${call}`, "-p", String(pid)], {
    stdio: "ignore",
  });
  const ended = once(tracer, "exit");
  // To be attached to may end the call that it waits in: the first is then over at once.
  await until("strace is attached", () => /^[1-9]/.test(statusLine(pid, "TracerPid")) || !isAlive(pid));
  return { tracer, ended };
};

const settled = () =>
  until("one shell waits and nothing else is there", async () => {
    // A launcher that died with nothing left to do is replaced when it is needed.
    await host.request("GET", "/v1/preflight");
    const pids = host.processes();
    return titled("unshared-supervisor ready").length === 1 && pids.length === 3 && pids;
  });

/** From create to delete. Each is done or refused with a code. */
const live = async (codes: Set<string>): Promise<void> => {
  const calls: [string, string, object?][] = [
    ["POST", "/v1/sandboxes?start=true", { name: "box", command: ["/bin/sh", "-c", "echo begun; exec cat"] }],
    ["POST", "/v1/sandboxes/box/processes?wait=true", { script: "echo more" }],
    ["POST", "/v1/sandboxes/box/stop", { graceSeconds: 0 }],
    ["DELETE", "/v1/sandboxes/box"],
  ];
  for (const [method, path, body] of calls) {
    const reply = await host.request(method, path, body);
    if (reply.status >= 400) codes.add(reply.body.code);
  }
};

const nothingLeft = async (): Promise<void> => {
  await until("no sandbox is under way", async () => {
    const { items } = (await host.request("GET", "/v1/sandboxes")).body;
    return items.every(({ status }: { status: { state: string } }) => ["stopped", "failed"].includes(status.state)) && { items };
  });
  await host.clear();
  await settled();
  expect(readdirSync(join(host.daemon.stateDir, "sandboxes"))).toEqual([]);
  expect(readdirSync(join(host.daemon.directory, "run/sandboxes"))).toEqual([]);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(host.daemon.directory);
};

/** Who may be told what when a supervisor or the launcher is killed in the middle. */
const honest = [
  "launcher-unavailable",
  "launch-failed",
  "sandbox-not-found",
  "state-conflict",
  "process-lost",
  "host-not-ready",
  "deadline-exceeded",
];

const sweep = async (victim: () => number | Promise<number>): Promise<void> => {
  const codes = new Set<string>();
  let calls = 0;
  for (let call = 1; ; call += 1) {
    expect(call).toBeLessThan(mostCalls);
    await settled();
    const pid = await victim();
    const { tracer, ended } = await killAt(pid, call);
    await live(codes).finally(() => isAlive(pid) && tracer.kill("SIGTERM"));
    await ended;
    const wasKilled = readFileSync(trace(), "utf8").includes("+++ killed by SIGKILL +++");
    await nothingLeft();
    if (!wasKilled) break;
    calls += 1;
  }
  expect(calls).toBeGreaterThan(5);
  expect([...codes].filter((code) => !honest.includes(code))).toEqual([]);
};

it("the supervisor: its sandbox ends with it, and all is cleaned up (check 66)", { timeout: 600_000 }, () =>
  sweep(() => titled("unshared-supervisor ready")[0] as number),
);

it("the launcher: another takes its place (check 66)", { timeout: 600_000 }, () => sweep(() => host.launcherPid()));
