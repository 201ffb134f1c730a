/** The daemon ends, in order or not, and comes back: what runs runs on, what ended meanwhile is told truly. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Reply } from "../fixtures/daemon.ts";
import { commandLine, inodesOf, isAlive, startTicksOf, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("restart", 1_160_000_000);
});
afterEach(() => host.clear());
afterAll(() => host[Symbol.asyncDispose]());

const recovery = async () => (await host.request("GET", "/v1/info")).body.recovery;
const bash = (script: string) => ["/bin/bash", "-c", script];
/** Waits until the sandbox has a sleep of that many seconds: its script has come that far. */
const sleeps = (report: { process: { pid: number } }, seconds: number) =>
  until("the sleep", () => host.pidsInside(report).some((pid) => commandLine(pid)[1] === String(seconds)));

describe.each(["SIGTERM", "SIGKILL"] as const)("after %s of the daemon", (signal) => {
  it("running sandboxes have the same pids, start times and inodes, and are managed again", async () => {
    const reports = await Promise.all([
      host.run({ name: "one" }),
      host.run({ name: "two", init: false }),
      host.run({ name: "three", tty: true }),
    ]);
    const inodes = reports.map(({ process: { pid } }) => inodesOf(pid));
    const code = await host.daemon.end(signal);
    if (signal === "SIGTERM") expect(code).toBe(0);
    for (const [index, { process, supervisor }] of reports.entries()) {
      expect([isAlive(process.pid), isAlive(supervisor.pid)]).toEqual([true, true]);
      expect(startTicksOf(process.pid)).toBe(process.startTicks);
      expect(inodesOf(process.pid)).toEqual(inodes[index]);
    }
    await host.daemon.start();
    for (const report of reports) expect(await host.report(report.id)).toEqual(report);
    expect(await recovery()).toMatchObject({ adopted: reports.map(({ id }) => id).sort(), ended: [], lost: [], problems: [] });
    expect((await host.request("POST", "/v1/sandboxes/one/stop", { graceSeconds: 1 })).body.status).toMatchObject({ state: "stopped" });
    expect((await host.request("DELETE", "/v1/sandboxes/two")).body).toMatchObject({ complete: true, processes: 1 });
    process.kill(reports[2].process.pid, "SIGKILL");
    expect(await host.reaches("three", "stopped")).toMatchObject({ exit: { signal: "SIGKILL" } });
  });

  it("what ended meanwhile shows its true exit, and can be started again", async () => {
    const script = "trap 'exit 42' USR1; sleep 1001 & wait";
    const told = await host.run({ name: "told", command: bash(script) });
    const killed = await host.run({ name: "killed" });
    const hungry = await host.run({
      name: "hungry",
      command: bash("trap : USR1; sleep 1001 & wait; a=0123456789abcdef; while :; do a=$a$a; done"),
      limits: { memoryBytes: 33_554_432 },
    });
    await Promise.all([sleeps(told, 1001), sleeps(hungry, 1001)]);
    await host.daemon.end(signal);
    process.kill(told.process.pid, "SIGUSR1");
    process.kill(hungry.process.pid, "SIGUSR1");
    process.kill(killed.process.pid, "SIGSEGV");
    for (const { process: main } of [told, killed, hungry]) await until("its end", () => !isAlive(main.pid));
    await host.daemon.start();
    const ended = { state: "stopped" };
    expect(await host.reaches("told", "stopped")).toMatchObject({
      status: ended,
      exit: { reason: "exited", code: 42 },
      process: null,
      namespaces: null,
    });
    expect(await host.reaches("killed", "stopped")).toMatchObject({
      status: { reason: "signaled" },
      exit: { signal: "SIGSEGV", code: null },
    });
    expect(await host.reaches("hungry", "stopped")).toMatchObject({ status: { reason: "out-of-memory" } });
    expect((await recovery()).ended).toEqual([told.id, killed.id, hungry.id].sort());
    for (const { supervisor } of [told, killed, hungry]) await until("its supervisor gone", () => !isAlive(supervisor.pid));
    expect((await host.request("POST", "/v1/sandboxes/told/start", {})).body).toMatchObject({ status: { state: "running" }, exit: null });
  });

  it("a stop that was under way comes to its end", async () => {
    const report = await host.run({ name: "stopping", command: bash("trap '' TERM; sleep 1001 & wait; wait; sleep 1002") });
    await sleeps(report, 1001);
    const cut = host.request("POST", "/v1/sandboxes/stopping/stop", { graceSeconds: 2 }).catch(() => null);
    await host.reaches("stopping", "stopping");
    await host.daemon.end("SIGKILL");
    await cut;
    expect(isAlive(report.process.pid)).toBe(true);
    await host.daemon.start();
    expect(await host.reaches("stopping", "stopped", 12_000)).toMatchObject({
      status: { reason: "stopped-by-user" },
      exit: { signal: "SIGKILL" },
    });
  });
});

it("killed while it creates and deletes, it leaves nothing that no row knows of, and no row without its process", async () => {
  const running = await Promise.all(Array.from({ length: 8 }, (_, index) => host.run({ name: `doomed-${index}` })));
  const quietly = (reply: Promise<Reply>) => reply.then(({ status }) => status).catch(() => null);
  const deletes = running.map(({ id }) => quietly(host.request("DELETE", `/v1/sandboxes/${id}`)));
  const creates = Array.from({ length: 8 }, (_, index) =>
    quietly(host.request("POST", "/v1/sandboxes?start=true", { name: `new-${index}` })),
  );
  await Promise.race([...deletes, ...creates]);
  await host.daemon.end("SIGKILL");
  const created = await Promise.all(creates);
  const deleted = await Promise.all(deletes);
  await host.daemon.start();
  expect((await recovery()).problems).toEqual([]);
  const { items } = (await host.request("GET", "/v1/sandboxes")).body;
  const names = items.map(({ name }: { name: string }) => name);
  for (const [index, status] of created.entries()) if (status === 201) expect(names).toContain(`new-${index}`);
  for (const [index, status] of deleted.entries()) if (status === 200) expect(names).not.toContain(`doomed-${index}`);
  for (const { status, process: main } of items) {
    expect(["running", "stopping", "stopped", "failed"]).toContain(status.state);
    if (main !== null && status.state === "running") expect(startTicksOf(main.pid)).toBe(main.startTicks);
  }
  await host.clear();
  // The launcher, and its four shells with their guards.
  await until("only the launcher and its shells", () => host.processes().length === 9);
  expect(readdirSync(join(host.daemon.stateDir, "sandboxes"))).toEqual([]);
  expect(readdirSync(join(host.daemon.directory, "run/sandboxes"))).toEqual([]);
});

it("a daemon that answers a request ends with status 0 at TERM, and its socket is gone", async () => {
  const report = await host.run({ command: bash("trap '' TERM; sleep 1001 & wait; wait; sleep 1002") });
  await sleeps(report, 1001);
  const under = host.request("POST", `/v1/sandboxes/${report.id}/stop`, { graceSeconds: 20 }).catch(() => null);
  await host.reaches(report.id, "stopping");
  expect(await host.daemon.end("SIGTERM")).toBe(0);
  await under;
  expect(existsSync(host.daemon.socket)).toBe(false);
  await host.daemon.start();
  await host.request("POST", `/v1/sandboxes/${report.id}/kill`, {});
});

it("a second daemon on the same state directory is refused, and the first one does not notice", async () => {
  const report = await host.run();
  const main = resolve(import.meta.dirname, "../../server/main.ts");
  const own = ["--state-dir", host.daemon.stateDir, "--run-dir", join(host.daemon.directory, "run2"), "--listen", "none"];
  const second = spawnSync(process.execPath, [main, ...own, "--log-format", "json"], { encoding: "utf8", timeout: 10_000 });
  expect(second.status).toBe(1);
  expect(second.stdout).toContain(`another daemon (pid ${host.daemon.pid}) uses the state directory ${host.daemon.stateDir}`);
  expect(existsSync(join(host.daemon.directory, "run2"))).toBe(false);
  expect(await host.report(report.id)).toEqual(report);
});

it("a second daemon on the same run directory is refused, and the first one's sandboxes live on (check 73)", async () => {
  const report = await host.run();
  const main = resolve(import.meta.dirname, "../../server/main.ts");
  const run = join(host.daemon.directory, "run");
  const own = ["--state-dir", join(host.daemon.directory, "state2"), "--run-dir", run, "--default-root", "off", "--listen", "none"];
  const socket = ["--socket", join(host.daemon.directory, "second.sock")];
  const second = spawnSync(process.execPath, [main, ...own, ...socket, "--log-format", "json"], { encoding: "utf8", timeout: 10_000 });
  expect(second.status).toBe(1);
  expect(second.stdout).toContain(`another daemon (pid ${host.daemon.pid}) uses the run directory ${run}`);
  expect(await host.report(report.id)).toEqual(report);
});
