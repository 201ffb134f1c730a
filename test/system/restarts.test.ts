/** Restart policies and autostart, on the real kernel: how often a command ran is counted by the command itself. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import SQLite from "better-sqlite3";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { eventsOf, typesOf } from "../fixtures/stored-events.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("restarts", 1_200_000_000);
});
afterEach(() => host.clear());
afterAll(() => host[Symbol.asyncDispose]());

const bash = (script: string) => ["/bin/bash", "-c", script];
const post = (id: string, verb: string) => host.request("POST", `/v1/sandboxes/${id}/${verb}`, {});
/** How often the script has come to `echo run >> /runs`. */
const runsOf = (id: string): number => {
  try {
    return readFileSync(join(host.daemon.stateDir, "sandboxes", id, "upper/runs"), "utf8").split("\n").length - 1;
  } catch {
    return 0;
  }
};
/** The report once it runs for the nth time by itself. */
const restarted = (id: string, count: number) =>
  until(
    `restart ${count}`,
    async () => {
      const report = await host.report(id);
      return report.status.state === "running" && report.restart.count === count && report;
    },
    20_000,
  );

describe("the policy on-failure", () => {
  it("starts it again so often as was asked for, each time later, and then it has failed", async () => {
    const { id, restart } = await host.run({
      command: bash("echo run >> /runs; exit 3"),
      restart: { policy: "on-failure", maxRetries: 2 },
    });
    expect(restart).toEqual({ policy: "on-failure", count: 0, nextAt: null });
    expect(await host.reaches(id, "failed", 15_000)).toMatchObject({
      status: { reason: "exited", message: "the main process exited with 3; given up after 2 restarts in a row" },
      exit: { code: 3 },
      restart: { policy: "on-failure", count: 2, nextAt: null },
    });
    expect(runsOf(id)).toBe(3);
    const events = await eventsOf(host, id);
    const [first, second, ...more] = events.filter(({ type }) => type === "sandbox.restart-scheduled");
    expect([first?.data["count"], second?.data["count"], more]).toEqual([0, 1, []]);
    const starts = events.filter(({ type, data }) => type === "sandbox.starting" && data["restart"] !== undefined);
    for (const [index, scheduled] of [first, second].entries()) {
      const pause = Date.parse(String(scheduled?.data["at"])) - Date.parse(scheduled?.time ?? "");
      // The time of the event is taken a moment after that of the decision.
      expect(pause).toBeGreaterThan([80, 180][index] as number);
      expect(Date.parse(starts[index]?.time ?? "")).toBeGreaterThanOrEqual(Date.parse(String(scheduled?.data["at"])));
    }
    expect((await post(id, "start")).body).toMatchObject({ status: { state: "running" }, restart: { count: 0 } });
  });

  it("leaves one that exits with 0 as it is", async () => {
    const { id } = await host.run({ command: bash("echo run >> /runs"), restart: { policy: "on-failure" } });
    expect(await host.reaches(id, "stopped")).toMatchObject({ status: { reason: "exited" }, restart: { count: 0, nextAt: null } });
    expect(await typesOf(host, id)).not.toContain("restart-scheduled");
  });

  it.each<[string, object, (report: { process: { pid: number }; supervisor: { pid: number } }) => void, string]>([
    ["a signal", {}, (report) => process.kill(report.process.pid, "SIGSEGV"), "signaled"],
    ["the loss of its supervisor", {}, (report) => process.kill(report.supervisor.pid, "SIGKILL"), "supervisor-lost"],
    [
      "the end of its memory",
      {
        limits: { memoryBytes: 33_554_432 },
        command: bash("read -t 0.2; [ -e /again ] && read; :> /again; a=0123456789abcdef; while :; do a=$a$a; done"),
      },
      () => {},
      "out-of-memory",
    ],
  ])("starts it again after %s", async (_what, definition, end, reason) => {
    const report = await host.run({ ...definition, restart: { policy: "on-failure" } });
    end(report);
    const next = await restarted(report.id, 1);
    expect(isAlive(report.process.pid)).toBe(false);
    expect(isAlive(next.process.pid)).toBe(true);
    expect(next.process.pid).not.toBe(report.process.pid);
    const scheduled = (await eventsOf(host, report.id)).find(({ type }) => /^sandbox.(stopped|failed)$/.test(type));
    expect(scheduled?.data["reason"]).toBe(reason);
  });

  it("counts a restart that cannot be launched as one", async () => {
    const { id } = (await host.request("POST", "/v1/sandboxes", { command: ["/once"], restart: { policy: "on-failure", maxRetries: 2 } }))
      .body;
    const script = Buffer.from("#!/bin/bash\nrm /once\nexit 4\n");
    const octets = { "content-type": "application/octet-stream", "content-length": String(script.length) };
    const put = await host.request("PUT", `/v1/sandboxes/${id}/files?path=/once&mode=755`, script, octets);
    expect(put.status, put.text).toBeLessThan(300);
    expect((await post(id, "start")).status).toBe(200);
    const failed = await until(
      "it is given up",
      async () => {
        const report = await host.report(id);
        return report.status.state === "failed" && report.restart.nextAt === null && report;
      },
      15_000,
    );
    expect(failed).toMatchObject({ status: { reason: "launch-failed" }, restart: { count: 2 }, process: null });
    expect(failed.status.message).toContain("given up after 2 restarts in a row");
  });
});

describe("the policy always", () => {
  it("starts it again also after an exit with 0, until a caller stops it", async () => {
    const { id } = await host.run({ command: bash("echo run >> /runs"), restart: { policy: "always" } });
    await until("three runs", () => runsOf(id) >= 3, 15_000);
    const { body } = await post(id, "stop");
    expect(body).toMatchObject({ status: { state: "stopped" }, restart: { nextAt: null } });
    const types = await typesOf(host, id);
    const starts = types.filter((type) => type === "starting").length;
    // The last of them may have been stopped before it came so far.
    expect([starts, starts - 1]).toContain(runsOf(id));
    expect(types.lastIndexOf("starting")).toBeLessThan(types.lastIndexOf("stopped"));
  });

  it.each(["kill", "delete"])("is no reason to start one that a caller ends by %s", async (verb) => {
    const { id, process } = await host.run({ restart: { policy: "always" } });
    if (verb === "kill") {
      expect((await post(id, "kill")).body).toMatchObject({ status: { reason: "stopped-by-user" }, restart: { nextAt: null } });
    } else expect((await host.request("DELETE", `/v1/sandboxes/${id}`)).body.complete).toBe(true);
    expect(isAlive(process.pid)).toBe(false);
    expect(await typesOf(host, id)).not.toContain("restart-scheduled");
  });
});

/** Fails five times, then waits: its next restart is seconds away by then. */
const failing = bash("echo run >> /runs; mapfile -t lines < /runs; (( ${#lines[@]} > 5 )) && read; exit 1");

/** What is told of a restart that is at least so many milliseconds away. */
const farAway = (id: string, milliseconds: number) =>
  until(
    "a restart far away",
    async () => {
      const report = await host.report(id);
      return Date.parse(report.restart.nextAt ?? "") > Date.now() + milliseconds && report;
    },
    30_000,
  );

describe("a restart that waits", () => {
  it("is shown with its time, is cancelled by a stop, and is not waited for by a start", async () => {
    const { id } = await host.run({ command: bash("exit 1"), restart: { policy: "on-failure", maxRetries: 100 } });
    const waits = await farAway(id, 2_000);
    expect(waits).toMatchObject({ status: { state: "stopped", reason: "exited" }, exit: { code: 1 } });
    expect((await post(id, "stop")).body).toMatchObject({ status: { state: "stopped", reason: "exited" }, restart: { nextAt: null } });
    const started = await post(id, "start");
    expect(started.body).toMatchObject({ status: { state: "running" }, restart: { count: 0, nextAt: null } });
  });

  it("is done by the next daemon where this one was killed, and one that is needed by then is found out", async () => {
    const waiting = await host.run({ command: failing, restart: { policy: "on-failure", maxRetries: 10 } });
    const running = await host.run({ restart: { policy: "on-failure" } });
    const before = (await farAway(waiting.id, 700)).restart;
    await host.daemon.end("SIGKILL");
    process.kill(running.process.pid, "SIGKILL");
    await until("its end", () => !isAlive(running.process.pid));
    await host.daemon.start();
    await until("the sixth run", () => runsOf(waiting.id) === 6, 20_000);
    expect((await restarted(waiting.id, 5)).restart.count).toBeGreaterThan(before.count);
    const next = await restarted(running.id, 1);
    expect(isAlive(next.process.pid)).toBe(true);
  });
});

/** Ends the daemon, makes what runs look as a reboot leaves it, and starts the daemon. */
const reboot = async (...ids: string[]): Promise<void> => {
  for (const id of ids) await post(id, "kill");
  await host.daemon.end();
  const database = new SQLite(join(host.daemon.stateDir, "state.db"));
  const claim = database.prepare(
    "UPDATE sandboxes SET state = 'running', reason = NULL, exit = NULL, boot_id = '00000000-0000-4000-8000-000000000000' WHERE id = ?",
  );
  for (const id of ids) claim.run(id);
  database.close();
  await host.daemon.start();
};

describe("after a reboot", () => {
  it("those with autostart are started, the others are left as the reboot left them", async () => {
    const ids = await Promise.all(Array.from({ length: 24 }, async () => (await host.run({ autostart: true })).id as string));
    const { id: other } = await host.run({ restart: { policy: "always" } });
    await reboot(...ids, other);
    for (const id of ids) expect(isAlive((await restarted(id, 1)).process.pid)).toBe(true);
    expect(await host.report(other)).toMatchObject({ status: { state: "failed", reason: "host-rebooted" }, restart: { nextAt: null } });
    expect((await typesOf(host, ids[0] as string)).slice(-4)).toEqual(["failed", "restart-scheduled", "starting", "running"]);
  });

  it("one that cannot be started is told in events and log, and keeps nobody from being ready", async () => {
    const { id } = (await host.request("POST", "/v1/sandboxes", { command: ["/absent"], autostart: true })).body;
    await reboot(id);
    expect((await host.request("GET", "/readyz")).status).toBe(200);
    const failed = await until("it has failed", async () => {
      const report = await host.report(id);
      return report.status.reason === "launch-failed" && report;
    });
    expect(failed).toMatchObject({ status: { state: "failed" }, restart: { policy: "never", count: 1, nextAt: null } });
    const last = (await eventsOf(host, id)).at(-1);
    expect(last).toMatchObject({ type: "sandbox.failed", data: { reason: "launch-failed", message: failed.status.message } });
    await until("a line in the log", () => host.daemon.log.some(({ level, sandbox }) => level === "error" && sandbox === id));
  });
});
