/**
 * The disk of the state directory fills up, fails, or is deleted under the daemon. Callers are told so with a code, what was acknowledged stays,
 * and when there is room again all goes on without a restart.
 */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import SQLite from "better-sqlite3";
import { afterAll, beforeAll, expect, it } from "vitest";
import { commandLine, isAlive, until } from "../fixtures/processes.ts";
import type { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { StateDisk } from "../fixtures/state-disk.ts";
import { expectProblem } from "../http/expect-problem.ts";

let host: SandboxDaemon;
let disk: StateDisk;
beforeAll(async () => {
  disk = await StateDisk.start(40 * 1_048_576, "fulldisk", 1_370_000_000, "--ready-shells", "1");
  host = disk.host;
}, 60_000);
afterAll(() => disk[Symbol.asyncDispose](), 60_000);

const names = async (): Promise<string[]> =>
  (await host.request("GET", "/v1/sandboxes?limit=1000")).body.items.map(({ name }: { name: string }) => name).sort();

/** Each is refused with this code. */
const refused = async (status: number, code: string, calls: [string, string, object?][]): Promise<void> => {
  for (const [method, path, body] of calls) {
    const problem = expectProblem(await host.request(method, path, body), status);
    expect([method, path, problem.code]).toEqual([method, path, code]);
    expect(problem.detail.length).toBeGreaterThan(10);
  }
};
const changes: [string, string, object?][] = [
  ["POST", "/v1/sandboxes?start=true", { name: "not-there" }],
  ["POST", "/v1/sandboxes/defined/start", {}],
  ["PATCH", "/v1/sandboxes/defined", { labels: { a: "b" } }],
  ["POST", "/v1/sandboxes/running/processes", { command: ["true"] }],
  ["POST", "/v1/sandboxes/running/stop", { graceSeconds: 0 }],
  ["DELETE", "/v1/sandboxes/running"],
];

const endedBy = async (report: { process: { pid: number } }): Promise<void> => {
  process.kill(report.process.pid, "SIGKILL");
  await until("it ended", () => !isAlive(report.process.pid));
};

const checkDatabase = (): void => {
  const database = new SQLite(join(disk.top, "state.db"), { readonly: true });
  expect(database.pragma("integrity_check", { simple: true })).toBe("ok");
  database.close();
};

it("full: nothing acknowledged is lost, nothing is half done, and all goes on once there is room (check 39)", {
  timeout: 60_000,
}, async () => {
  const running = await host.run({ name: "running" });
  const [early, late] = [await host.run({ name: "early" }), await host.run({ name: "late" })];
  const killed = await host.run({ name: "killed" });
  await host.request("POST", "/v1/sandboxes", { name: "defined" });
  const acknowledged = ["defined", "early", "killed", "late", "running"];
  disk.fill();
  for (let n = 0; ; n += 1) {
    // The log may have some room of its own.
    expect(n).toBeLessThan(5_000);
    const reply = await host.request("POST", "/v1/sandboxes", { name: `more-${n}` });
    if (reply.status !== 201) {
      expect(expectProblem(reply, 507).code).toBe("no-space");
      break;
    }
    acknowledged.push(`more-${n}`);
  }
  await refused(507, "no-space", changes);
  expect(await names()).toEqual(acknowledged.sort());
  expect((await host.report("running")).process.pid).toBe(running.process.pid);
  await endedBy(early);
  // What fills a disk must be possible to end.
  await refused(507, "no-space", [["POST", "/v1/sandboxes/killed/kill"]]);
  await until("it ended", () => !isAlive(killed.process.pid));

  await host.daemon.end("SIGKILL");
  await host.daemon.start();
  expect(await names()).toEqual(acknowledged);
  checkDatabase();
  expect(isAlive(running.process.pid)).toBe(true);
  await endedBy(late);

  disk.free();
  for (const name of ["early", "killed", "late"])
    expect((await host.reaches(name, "stopped", 20_000)).status).toMatchObject({ reason: "signaled" });
  expect((await host.run({ name: "new" })).status.state).toBe("running");
  expect((await host.request("POST", "/v1/sandboxes/running/stop", { graceSeconds: 0 })).body.status.state).toBe("stopped");
  for (const name of acknowledged) expect((await host.request("DELETE", `/v1/sandboxes/${name}`)).body).toMatchObject({ complete: true });
  expect(await names()).toEqual(["new"]);
  expect(readdirSync(join(disk.top, "sandboxes"))).toHaveLength(1);
});

it("read-only after an error: what there is can be read, nothing is promised, and a repaired disk has all that was (check 70)", {
  timeout: 60_000,
}, async () => {
  await host.clear();
  const running = await host.run({ name: "running" });
  // What is acknowledged is synced, with all that came before.
  await host.request("POST", "/v1/sandboxes", { name: "defined" });
  const launcher = await host.launcherPid();
  disk.fail();
  await refused(503, "storage-failed", [["POST", "/v1/sandboxes", { name: "not-there" }], ...changes]);
  expect(await names()).toEqual(["defined", "running"]);
  expect(isAlive(running.process.pid)).toBe(true);
  await host.daemon.end("SIGKILL");
  // A daemon cannot start there, and says why.
  await expect(host.daemon.start()).rejects.toThrow(/read-?only/i);
  process.kill(running.supervisor.pid, "SIGKILL");
  await until("its sandbox ended", () => !isAlive(running.process.pid), 20_000);
  process.kill(launcher, "SIGTERM");
  await until("nothing runs", () => host.processes().length === 0, 20_000);
  await disk.repair();
  await host.daemon.start();
  expect(await names()).toEqual(["defined", "running"]);
  checkDatabase();
  expect((await host.report("running")).status).toMatchObject({ state: "failed", reason: "supervisor-lost" });
  expect((await host.request("POST", "/v1/sandboxes/running/start", {})).body.status.state).toBe("running");
});

it("deleted under the daemon: nothing is promised any more; the next daemon ends what nobody knows and begins anew (check 70)", {
  timeout: 60_000,
}, async () => {
  await host.clear();
  await host.request("POST", "/v1/sandboxes", { name: "defined" });
  const running = await host.run({ name: "running" });
  const waiting = "read -t 2 <> <(:)";
  const run = host.request("POST", "/v1/runs?wait=30", { command: ["/bin/bash", "-c", waiting] });
  const isExecuting = () => host.processes().some((pid) => commandLine(pid).includes(waiting));
  await until("the run's command executes", isExecuting, 20_000);
  // The database first, before a command could end for want of its files.
  for (const name of readdirSync(disk.top).sort().reverse()) rmSync(join(disk.top, name), { recursive: true });
  await refused(503, "storage-failed", [
    ["POST", "/v1/sandboxes", { name: "not-there" }],
    ["PATCH", "/v1/sandboxes/defined", { labels: { a: "b" } }],
  ]);
  expect(expectProblem(await run, 503).code).toBe("storage-failed");
  expect((await host.request("GET", "/healthz")).status).toBe(200);
  await host.daemon.end("SIGKILL");
  await host.daemon.start();
  expect(await names()).toEqual([]);
  await until("it ended", () => !isAlive(running.process.pid), 20_000);
  expect((await host.run()).status.state).toBe("running");
});
