/**
 * The daemon is killed with -9 at each step by which it reaches the world (crash-at.mjs), in the middle of the life of a sandbox; then it is
 * started anew. What was acknowledged is so, what was not is wholly so or not at all, and database, processes, mounts, cgroups, sockets and files agree.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isAlive, startTicksOf, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const preload = pathToFileURL(resolve(import.meta.dirname, "crash-at.mjs")).href;
/** Beyond the steps of one life; a life that comes to its end unharmed ends the sweep. */
const mostSteps = 400;
/** Every step with UNSHARED_TEST_LONG=1, some four minutes; else each fourth. */
const stride = process.env["UNSHARED_TEST_LONG"] === "1" ? 1 : 4;

let host: SandboxDaemon;
let arm: string;
beforeAll(async () => {
  host = await SandboxDaemon.start("crash", 1_350_000_000, "--ready-shells", "1");
  arm = join(host.daemon.directory, "armed");
  await host.run({ name: "first" });
  await host.clear();
});
afterAll(() => host[Symbol.asyncDispose]());

interface Step {
  name: string;
  method: string;
  path: string;
  body?: object;
  status: number;
  /** The states that the sandbox may be in once it is acknowledged; null: it is no more. */
  states: (string | null)[];
}

const box = "/v1/sandboxes/box";
const life: Step[] = [
  { name: "create and start", method: "POST", path: "/v1/sandboxes?start=true", body: { name: "box" }, status: 201, states: ["running"] },
  { name: "exec", method: "POST", path: `${box}/processes?wait=true`, body: { command: ["true"] }, status: 201, states: ["running"] },
  { name: "limits", method: "PATCH", path: box, body: { limits: { pids: 77 } }, status: 200, states: ["running"] },
  { name: "pause", method: "POST", path: `${box}/pause`, status: 200, states: ["paused"] },
  { name: "resume", method: "POST", path: `${box}/resume`, status: 200, states: ["running"] },
  { name: "stop", method: "POST", path: `${box}/stop`, body: { graceSeconds: 0 }, status: 200, states: ["stopped"] },
  { name: "start", method: "POST", path: `${box}/start`, status: 200, states: ["running"] },
  { name: "delete", method: "DELETE", path: box, status: 200, states: [null] },
];

/** Lives until the daemon dies. Gives how many steps were acknowledged, and the last report. */
const live = async (): Promise<{ done: number; pid: number | null }> => {
  let pid: number | null = null;
  for (const [index, { method, path, body, status, name }] of life.entries()) {
    try {
      const reply = await host.request(method, path, body);
      expect(reply.status, `${name}: ${reply.text}`).toBe(status);
      if (typeof reply.body?.process?.pid === "number") pid = reply.body.process.pid;
    } catch (error) {
      if ((error as { code?: string }).code === undefined) throw error;
      return { done: index, pid };
    }
  }
  return { done: life.length, pid };
};

/** Where an order that was not acknowledged may also end: a launch that nobody will answer as failed, a delete as the stop that it begins with. */
const halfway: Record<string, string[]> = { "create and start": ["failed"], start: ["failed"], delete: ["stopped"] };

const stateOf = async (): Promise<string | null> => {
  const { status, body } = await host.request("GET", box);
  return status === 404 ? null : body.status.state;
};

/** What is under way at the start comes to rest by itself. */
const settledState = () =>
  until("a state of rest", async () => {
    const state = await stateOf();
    return state === "starting" || state === "stopping" ? false : { state };
  });

const verify = async (done: number, pid: number | null): Promise<void> => {
  const { state } = await settledState();
  const before = done === 0 ? [null] : (life[done - 1]?.states ?? []);
  const after = life[done]?.states ?? [];
  expect([...before, ...after, ...(halfway[life[done]?.name ?? ""] ?? [])]).toContain(state);
  expect((await host.request("GET", "/v1/info")).body.recovery.problems).toEqual([]);
  const { items } = (await host.request("GET", "/v1/sandboxes")).body;
  const alive = items.filter(({ process }: { process: object | null }) => process !== null);
  for (const { process, definition } of alive) {
    expect([isAlive(process.pid), startTicksOf(process.pid)]).toEqual([true, process.startTicks]);
    if (done > 2) expect(definition.limits.pids).toBe(77);
  }
  // The same run goes on: a crash of the daemon starts nothing anew.
  if (state === "running" && !["stop", "start"].includes(life[done]?.name ?? ""))
    expect(pid === null || alive[0].process.pid === pid).toBe(true);
  const ids = items.map(({ id }: { id: string }) => id);
  const aliveIds = alive.map(({ id }: { id: string }) => id);
  expect(readdirSync(join(host.daemon.directory, "run/sandboxes"))).toEqual(aliveIds.map((id: string) => `${id}.sock`));
  for (const id of readdirSync(join(host.daemon.stateDir, "sandboxes"))) expect(ids).toContain(id);
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(host.daemon.directory);
  await until("no process but those of the sandboxes, the launcher and its shell", async () => {
    const launcher = await host.launcherPid();
    // The launcher, a supervisor with its shell waiting, and supervisor, init and command of each that runs.
    return isAlive(launcher) && host.processes().length === 3 + 3 * alive.length;
  });
  if (items.length > 0) expect((await host.request("DELETE", box)).body).toMatchObject({ complete: true, remaining: [] });
  await until("nothing left", () => host.processes().length === 3);
  expect(readdirSync(join(host.daemon.stateDir, "sandboxes"))).toEqual([]);
  expect(readdirSync(join(host.daemon.directory, "run/sandboxes"))).toEqual([]);
};

it("at every step it can be killed, and the world heals (check 66)", { timeout: 600_000 }, async () => {
  const faults: string[] = [];
  const seen = new Set<string>();
  const startTo = (step: number): Promise<void> => {
    host.daemon.env = { NODE_OPTIONS: `--import=${preload}`, UNSHARED_CRASH_AT: String(step), UNSHARED_CRASH_ARM: arm };
    return host.daemon.start();
  };
  await host.daemon.end("SIGTERM");
  await startTo(1);
  for (let step = 1; ; step += stride) {
    expect(step).toBeLessThan(mostSteps);
    writeFileSync(arm, "");
    const { done, pid } = await live();
    const isWhole = done === life.length;
    // What it does when all is answered counts too, and would arm it again.
    if (isWhole) await host.daemon.end("SIGKILL");
    else await until("its death", () => !existsSync(`/proc/${host.daemon.pid}/exe`));
    const last = readFileSync(arm, "utf8");
    rmSync(arm);
    if (isWhole) break;
    // Not armed yet, it is one like any other: this one tells what became of the last, and is the next to be killed.
    await startTo(step + stride);
    const where = `step ${step}, after "${last}", in "${life[done]?.name}"`;
    seen.add(life[done]?.name ?? "");
    await verify(done, pid).catch((error: Error) => faults.push(`${where}: ${error.message}`));
    await host.clear();
  }
  host.daemon.env = {};
  await host.daemon.start();
  expect(faults).toEqual([]);
  expect([...seen]).toEqual(life.map(({ name }) => name));
});
