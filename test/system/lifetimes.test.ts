/** Sandboxes that end by themselves in time: seen from the host's processes and cgroups, and told truly. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { eventsOf, typesOf } from "../fixtures/stored-events.ts";
import { TerminalClient } from "../fixtures/terminal-client.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("lifetimes", 1_190_000_000);
});
afterEach(() => host.clear());
afterAll(() => host[Symbol.asyncDispose]());

const bash = (script: string) => ["/bin/bash", "-c", script];
const gone = (id: string) => until(`${id} deleted`, async () => (await host.request("GET", `/v1/sandboxes/${id}`)).status === 404, 10_000);
const post = (id: string, verb: string) => host.request("POST", `/v1/sandboxes/${id}/${verb}`, {});

describe("a time to live", () => {
  it("is told as a time, and stops the sandbox then, not before; what is left of it is its files", async () => {
    const report = await host.run({ lifetime: { ttlSeconds: 1, onExpiry: "stop" } });
    const expiresAt = Date.parse(report.lifetime.expiresAt);
    expect(expiresAt).toBe(Date.parse(report.startedAt) + 1_000);
    const stopped = await host.reaches(report.id, "stopped", 10_000);
    expect(stopped).toMatchObject({
      status: { reason: "expired" },
      exit: { reason: "signaled", signal: "SIGTERM" },
      process: null,
      lifetime: { expiresAt: null, idleExpiresAt: null },
    });
    expect(Date.parse(stopped.exit.exitedAt)).toBeGreaterThanOrEqual(expiresAt);
    expect(isAlive(report.process.pid)).toBe(false);
    expect((await host.request("GET", `/v1/sandboxes/${report.id}/receipt`)).body).toMatchObject({ reason: "expired", complete: true });
    const types = await typesOf(host, report.id);
    expect(types.filter((type) => type !== "changed")).toEqual(["created", "starting", "running", "expired", "stopping", "stopped"]);
    expect((await post(report.id, "start")).body.lifetime.expiresAt).not.toBeNull();
  });

  it("deletes the sandbox where nothing else is said; nothing of it is left on the host", async () => {
    const report = await host.run({ command: bash("set -m; sleep 1000 & wait"), lifetime: { ttlSeconds: 3 } });
    const pids = await until("the sleep", () => {
      const found = host.pidsInside(report);
      return found.length === 3 && found;
    });
    const cgroup = host.cgroupOf(report.process.pid);
    await gone(report.id);
    for (const pid of pids) expect(isAlive(pid)).toBe(false);
    expect(host.cgroups().filter((path) => path.endsWith(cgroup))).toEqual([]);
    const last = await until("its last event", async () => {
      const event = (await eventsOf(host, report.id)).at(-1);
      return event?.type === "sandbox.deleted" && event;
    });
    expect(last.data).toMatchObject({ receipt: { reason: "expired", processes: 3, complete: true } });
    await until("its files gone", () => !existsSync(join(host.daemon.stateDir, "sandboxes", report.id)));
  });

  it("wins over the exit that it caused", async () => {
    const { id } = await host.run({
      command: bash("trap 'exit 7' TERM; while :; do sleep 0.05; done"),
      lifetime: { ttlSeconds: 3, onExpiry: "stop" },
      restart: { policy: "always" },
    });
    expect(await host.reaches(id, "stopped", 10_000)).toMatchObject({
      status: { reason: "expired" },
      exit: { reason: "exited", code: 7 },
      restart: { nextAt: null },
    });
  });

  it("is over for a paused one, too", async () => {
    const { id, process } = await host.run({ lifetime: { ttlSeconds: 3, onExpiry: "stop" } });
    expect((await post(id, "pause")).body.status.state).toBe("paused");
    expect((await host.reaches(id, "stopped", 10_000)).status.reason).toBe("expired");
    expect(isAlive(process.pid)).toBe(false);
  });

  it("deletes one that ended by itself before, and not one that a caller stopped", async () => {
    const ended = await host.run({ command: ["/bin/true"], lifetime: { ttlSeconds: 2 } });
    const stopped = await host.run({ lifetime: { ttlSeconds: 3_600 } });
    const { body } = await post(stopped.id, "kill");
    expect(body).toMatchObject({ status: { reason: "stopped-by-user" }, lifetime: { expiresAt: null } });
    await gone(ended.id);
    expect((await host.report(stopped.id)).status.state).toBe("stopped");
  });

  it("begins anew with keepalive, which comes too late for one that has ended", async () => {
    const { id, lifetime } = await host.run({ lifetime: { ttlSeconds: 4, onExpiry: "stop" } });
    await sleep(200);
    const { status, body } = await post(id, "keepalive");
    expect(status).toBe(200);
    const extended = Date.parse(body.lifetime.expiresAt);
    expect(extended).toBeGreaterThanOrEqual(Date.parse(lifetime.expiresAt) + 190);
    const stopped = await host.reaches(id, "stopped", 15_000);
    expect(Date.parse(stopped.exit.exitedAt)).toBeGreaterThanOrEqual(extended);
    expect((await post(id, "keepalive")).body).toMatchObject({ code: "state-conflict", status: 409, state: "stopped" });
  });
});

describe("a time to be idle", () => {
  it("does not run while a terminal is attached, and runs from its end", async () => {
    const { id } = await host.run({ command: bash("sleep 1000"), tty: true, lifetime: { idleSeconds: 5, onExpiry: "stop" } });
    const terminal = await TerminalClient.open(host, id, "main");
    await until("it is in use", async () => (await host.report(id)).lifetime.idleExpiresAt === null);
    await sleep(5_500);
    expect((await host.report(id)).status.state).toBe("running");
    const closed = Date.now();
    terminal.close();
    const report = await until("it is idle", async () => {
      const found = await host.report(id);
      return found.lifetime.idleExpiresAt !== null && found;
    });
    expect(Date.parse(report.lifetime.idleExpiresAt)).toBeGreaterThanOrEqual(closed + 5_000);
    // That its report is asked for all the while is no use of it.
    const stopped = await host.reaches(id, "stopped", 15_000);
    expect(stopped.status.reason).toBe("expired");
    expect(Date.parse(stopped.exit.exitedAt)).toBeGreaterThanOrEqual(Date.parse(report.lifetime.idleExpiresAt));
  });

  it("does not run while a process is waited for, and begins anew with each request", async () => {
    const { id, lifetime } = await host.run({ lifetime: { idleSeconds: 30 } });
    const waited = host.request("POST", `/v1/sandboxes/${id}/processes?wait=true`, { command: bash("sleep 0.5") });
    await until("it is in use", async () => (await host.report(id)).lifetime.idleExpiresAt === null);
    expect((await waited).status).toBe(201);
    const after = await until("it is idle", async () => (await host.report(id)).lifetime.idleExpiresAt);
    expect(Date.parse(after)).toBeGreaterThan(Date.parse(lifetime.idleExpiresAt) + 400);
    for (const path of ["", "/stats", "/namespaces"]) await host.request("GET", `/v1/sandboxes/${id}${path}`);
    expect((await host.report(id)).lifetime.idleExpiresAt).toBe(after);
    await host.request("GET", `/v1/sandboxes/${id}/files?path=/etc`);
    await until("it was used", async () => ![null, after].includes((await host.report(id)).lifetime.idleExpiresAt));
  });
});

describe.each(["SIGTERM", "SIGKILL"] as const)("over the end of the daemon by %s", (signal) => {
  it("a lifetime is the same", async () => {
    const { id, lifetime } = await host.run({ lifetime: { ttlSeconds: 4, onExpiry: "stop" } });
    await host.daemon.end(signal);
    await host.daemon.start();
    // Null where the start took so long that it is over already.
    expect([lifetime.expiresAt, null]).toContain((await host.report(id)).lifetime.expiresAt);
    const stopped = await host.reaches(id, "stopped", 15_000);
    expect(stopped.status.reason).toBe("expired");
    expect(Date.parse(stopped.exit.exitedAt)).toBeGreaterThanOrEqual(Date.parse(lifetime.expiresAt));
  });

  it("one that is over meanwhile ends the sandbox at the next start", async () => {
    const stops = await host.run({ lifetime: { ttlSeconds: 5, onExpiry: "stop" } });
    await host.daemon.end(signal);
    await until("its time is over", () => Date.now() > Date.parse(stops.lifetime.expiresAt), 10_000);
    expect(isAlive(stops.process.pid)).toBe(true);
    await host.daemon.start();
    expect((await host.reaches(stops.id, "stopped", 10_000)).status.reason).toBe("expired");
    expect(isAlive(stops.process.pid)).toBe(false);
  });

  it("whoever used it is gone, and it is idle from then on", async () => {
    const { id } = await host.run({ tty: true, lifetime: { idleSeconds: 30 } });
    const terminal = await TerminalClient.open(host, id, "main");
    await until("it is in use", async () => (await host.report(id)).lifetime.idleExpiresAt === null);
    const ended = Date.now();
    await host.daemon.end(signal);
    await until("the terminal is closed", () => terminal.closed);
    await host.daemon.start();
    const { idleExpiresAt } = (await host.report(id)).lifetime;
    expect(Date.parse(idleExpiresAt)).toBeGreaterThanOrEqual(ended + 30_000);
  });
});

it("an expiry that was under way when the daemon was killed comes to its end", async () => {
  const { id, process } = await host.run({
    command: bash("trap '' TERM; while :; do sleep 0.05; done"),
    lifetime: { ttlSeconds: 3, onExpiry: "stop" },
  });
  await host.reaches(id, "stopping", 10_000);
  await host.daemon.end("SIGKILL");
  expect(isAlive(process.pid)).toBe(true);
  await host.daemon.start();
  expect(await host.reaches(id, "stopped", 20_000)).toMatchObject({ status: { reason: "expired" }, exit: { signal: "SIGKILL" } });
  expect((await typesOf(host, id)).filter((type) => type === "expired")).toHaveLength(1);
});
