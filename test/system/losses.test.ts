/** Launcher or supervisor killed, the host rebooted, a pid given to somebody else. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import SQLite from "better-sqlite3";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { commandLine, isAlive, startTicksOf, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("losses", 1_170_000_000);
});
afterEach(() => host.clear());
afterAll(() => host[Symbol.asyncDispose]());

const nothingRuns = { process: null, supervisor: null, namespaces: null, enter: null, ids: null, bootId: null };
/** The report of a launch; one that was under way when the launcher ended may be refused, as one that can be tried again. */
const launched = () =>
  until("a launch", async () => {
    const { status, body, text } = await host.request("POST", "/v1/sandboxes?start=true", {});
    if (status !== 201) expect([status, body.code, body.retryable], text).toEqual([503, "launcher-unavailable", true]);
    return status === 201 && body;
  });
const recovery = async () => (await host.request("GET", "/v1/info")).body.recovery;

describe("a launcher that is killed", () => {
  it("is replaced; sandboxes run on and more can be launched", async () => {
    const report = await host.run();
    const launcher = await host.launcherPid();
    process.kill(launcher, "SIGKILL");
    await until("its end", () => !isAlive(launcher));
    const next = await launched();
    expect(await host.launcherPid()).not.toBe(launcher);
    expect(await host.report(report.id)).toEqual(report);
    expect(isAlive(next.process.pid)).toBe(true);
    for (const { id } of [report, next])
      expect((await host.request("DELETE", `/v1/sandboxes/${id}`)).body).toMatchObject({ complete: true });
  });

  it("takes its prepared shells along", async () => {
    const launcher = await host.launcherPid();
    const before = host.processes();
    process.kill(launcher, "SIGKILL");
    await until("the launcher and its shells gone", () => before.every((pid) => !isAlive(pid)));
    expect((await host.request("GET", "/v1/preflight")).body.checks).toContainEqual(
      expect.objectContaining({ name: "launcher", status: "ok" }),
    );
  });

  it("while it is asked how it is leaves the answer to its successor", async () => {
    const launcher = await host.launcherPid();
    process.kill(launcher, "SIGSTOP");
    const asked = host.request("GET", "/v1/preflight");
    await sleep(300); // by then it has been asked, most likely: sooner it is the successor all the same
    process.kill(launcher, "SIGKILL");
    expect((await asked).body.checks).toContainEqual(expect.objectContaining({ name: "launcher", status: "ok" }));
    expect(await host.launcherPid()).not.toBe(launcher);
  });

  it("keeps its prepared shells at their number: one that dies waiting is replaced", async () => {
    const launcher = await host.launcherPid();
    const ready = async () => (await host.request("GET", "/v1/info")).body.launcher.readyShells;
    await until("four shells", async () => (await ready()) === 4);
    const victim = host.processes().find((pid) => commandLine(pid).join(" ").startsWith("unshared-shell")) ?? 0;
    expect(victim).not.toBe(0);
    process.kill(victim, "SIGKILL");
    await until("its end", () => !isAlive(victim));
    await until("four shells again", async () => (await ready()) === 4 && host.processes().length === 9);
    expect(await host.launcherPid()).toBe(launcher);
  });

  it("together with a prepared supervisor leaves its cgroups for a moment only", async () => {
    const launcher = await host.launcherPid();
    const report = await host.run();
    const prepared = await until("prepared supervisors", () => {
      const found = host.processes().filter((pid) => commandLine(pid).join(" ").startsWith("unshared-supervisor ready"));
      return found.length > 0 && found;
    });
    // One that stands still cannot undo anything when its launcher is gone.
    for (const pid of prepared) process.kill(pid, "SIGSTOP");
    for (const pid of [launcher, ...prepared]) process.kill(pid, "SIGKILL");
    await until("their end", () => [launcher, ...prepared].every((pid) => !isAlive(pid)));
    /** How many slots have no process; null where one went while it was looked at. */
    const empty = (): number | null => {
      try {
        return host.cgroups().filter((path) => /\/\d+$/.test(path) && readFileSync(join(path, "cgroup.procs"), "utf8") === "").length;
      } catch {
        return null;
      }
    };
    await until("their shells' end", () => (empty() ?? 0) >= prepared.length, 20_000);
    // Nobody asks for another launcher: it is there by itself.
    await until("nothing that nobody minds", () => empty() === 0, 30_000);
    expect(await host.report(report.id)).toEqual(report);
  }, 90_000);

  it("while launches are under way costs those at most, and leaves nothing half made", async () => {
    const launcher = await host.launcherPid();
    const replies = Array.from({ length: 12 }, () => host.request("POST", "/v1/sandboxes?start=true", {}));
    process.kill(launcher, "SIGKILL");
    const settled = await Promise.all(replies);
    for (const { status, body, text } of settled) expect(status === 201 || body.code === "launcher-unavailable", text).toBe(true);
    const { items } = (await host.request("GET", "/v1/sandboxes")).body;
    expect(items.map(({ status }: { status: { state: string } }) => status.state)).toEqual(Array(items.length).fill("running"));
    expect(items).toHaveLength(settled.filter(({ status }) => status === 201).length);
    await host.clear();
    // The launcher's shells, it itself and nothing else.
    await host.request("GET", "/v1/preflight");
    await until("only the launcher and its shells", () => host.processes().length === 9);
  });
});

describe("a supervisor that is killed", () => {
  it("makes the sandbox fail, and takes its processes and its cgroup along (check 67)", async () => {
    const report = await host.run({ command: ["/bin/bash", "-c", "set -m; sleep 1000 & wait"] });
    await until("the sleep", () => host.pidsInside(report).length === 3);
    const pids = host.pidsInside(report);
    const cgroup = host.cgroupOf(report.process.pid);
    process.kill(report.supervisor.pid, "SIGKILL");
    expect(await host.reaches(report.id, "failed")).toMatchObject({ status: { reason: "supervisor-lost" }, ...nothingRuns });
    for (const pid of pids) expect(isAlive(pid)).toBe(false);
    expect(host.cgroups().filter((path) => path.endsWith(cgroup))).toEqual([]);
    expect(existsSync(join(host.daemon.directory, "run/sandboxes", `${report.id}.sock`))).toBe(false);
    const { body } = await host.request("POST", `/v1/sandboxes/${report.id}/start`, {});
    expect(body).toMatchObject({ status: { state: "running", reason: null } });
    expect(isAlive(body.process.pid)).toBe(true);
  });

  it("while no daemon runs is found out at the next start", async () => {
    const report = await host.run();
    const cgroup = host.cgroupOf(report.process.pid);
    await host.daemon.end("SIGKILL");
    process.kill(report.supervisor.pid, "SIGKILL");
    await until("its end", () => !isAlive(report.supervisor.pid));
    await host.daemon.start();
    expect(await host.report(report.id)).toMatchObject({ status: { state: "failed", reason: "supervisor-lost" }, ...nothingRuns });
    expect((await recovery()).lost).toEqual([report.id]);
    expect(isAlive(report.process.pid)).toBe(false);
    expect(host.cgroups().filter((path) => path.endsWith(cgroup))).toEqual([]);
  });
});

describe("a row that claims what is no more true", () => {
  let bystander: ChildProcess;
  beforeAll(() => {
    bystander = spawn("sleep", ["1000"], { stdio: "ignore" });
  });
  afterAll(() => {
    bystander.kill("SIGKILL");
  });

  /** A unix socket that nobody listens on any more, as a run directory that outlives a boot may hold. */
  const leaveSocket = async (path: string): Promise<void> => {
    const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", script]);
    expect(existsSync(path)).toBe(true);
  };

  /** A sandbox that has ended, whose row then claims that it runs, as the process `pid`, since the boot `bootId`. */
  const claim = async (pid: number, bootId: string | null): Promise<string> => {
    const { id } = await host.run();
    const path = join(host.daemon.stateDir, "state.db");
    const reader = new SQLite(path, { readonly: true });
    const row = reader
      .prepare<[string], { instance: string; boot_id: string }>("SELECT instance, boot_id FROM sandboxes WHERE id = ?")
      .get(id);
    reader.close();
    await host.request("POST", `/v1/sandboxes/${id}/kill`, {});
    await host.daemon.end();
    const startTicks = startTicksOf(pid);
    const instance = {
      ...JSON.parse(row?.instance ?? ""),
      pid,
      initPid: pid,
      startTicks,
      supervisorPid: pid,
      supervisorStartTicks: startTicks,
    };
    const database = new SQLite(path);
    database
      .prepare("UPDATE sandboxes SET state = 'running', reason = NULL, exit = NULL, instance = ?, boot_id = ? WHERE id = ?")
      .run(JSON.stringify(instance), bootId ?? row?.boot_id, id);
    database.close();
    if (bootId !== null) await leaveSocket(join(host.daemon.directory, "run/sandboxes", `${id}.sock`));
    await host.daemon.start();
    return id;
  };

  it("since another boot: the host was rebooted, and nobody is signalled (check 68)", async () => {
    const id = await claim(bystander.pid ?? 0, "00000000-0000-4000-8000-000000000000");
    const report = await host.report(id);
    expect(report).toMatchObject({ status: { state: "failed", reason: "host-rebooted" }, exit: null, ...nothingRuns });
    expect((await recovery()).rebooted).toEqual([id]);
    for (const verb of ["stop", "kill"]) expect((await host.request("POST", `/v1/sandboxes/${id}/${verb}`, {})).status).toBe(200);
    expect((await host.request("GET", `/v1/namespaces?pid=${bystander.pid}`)).body.process.sandbox).toBeNull();
    expect((await host.request("POST", `/v1/sandboxes/${id}/start`, {})).body.status.state).toBe("running");
    expect((await host.request("DELETE", `/v1/sandboxes/${id}`)).body.complete).toBe(true);
    expect(isAlive(bystander.pid ?? 0)).toBe(true);
  });

  it("with the pid of somebody else: it failed, and nobody is signalled", async () => {
    const id = await claim(bystander.pid ?? 0, null);
    expect(await host.report(id)).toMatchObject({ status: { state: "failed", reason: "supervisor-lost" }, ...nothingRuns });
    await host.request("POST", `/v1/sandboxes/${id}/kill`, {});
    expect((await host.request("DELETE", `/v1/sandboxes/${id}`)).body.complete).toBe(true);
    expect(isAlive(bystander.pid ?? 0)).toBe(true);
  });
});
