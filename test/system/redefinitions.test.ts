/** PATCH of what becomes of a sandbox without a caller: it holds for what runs, and over the daemon's death. */
import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

// Daemons are restarted here, which takes its time on a loaded machine.
vi.setConfig({ testTimeout: 120_000 });

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("redefinitions", 1_195_000_000);
});
afterEach(() => host.clear());
afterAll(() => host[Symbol.asyncDispose]());

const patch = (id: string, body: object, headers: Record<string, string> = {}) =>
  host.request("PATCH", `/v1/sandboxes/${id}`, body, headers);
const secondsLeft = (time: string) => (Date.parse(time) - Date.now()) / 1000;

describe("the lifetime of a running sandbox", () => {
  it("is set, put off, taken away and kept over the daemon's death; other fields stay", async () => {
    const { id } = await host.run({ lifetime: { onExpiry: "stop" } });
    const set = await patch(id, { lifetime: { ttlSeconds: 600 } });
    expect(set.body).toMatchObject({ generation: 2, definition: { lifetime: { ttlSeconds: 600, idleSeconds: null, onExpiry: "stop" } } });
    expect(set.headers["etag"]).toBe('"2"');
    expect(secondsLeft(set.body.lifetime.expiresAt)).toBeGreaterThan(500);
    expect(secondsLeft(set.body.lifetime.expiresAt)).toBeLessThanOrEqual(600);
    await host.daemon.end("SIGKILL");
    await host.daemon.start();
    expect((await host.report(id)).lifetime).toEqual(set.body.lifetime);
    const later = await patch(id, { lifetime: { ttlSeconds: 6_000 } });
    expect(secondsLeft(later.body.lifetime.expiresAt)).toBeGreaterThan(5_000);
    expect((await patch(id, { autostart: true, labels: { a: "b" } })).body.lifetime).toEqual(later.body.lifetime);
    const never = await patch(id, { lifetime: { ttlSeconds: null } });
    expect(never.body).toMatchObject({ lifetime: { expiresAt: null }, definition: { autostart: true, lifetime: { onExpiry: "stop" } } });
  });

  it("ends it when the new time is over, and that is not taken back", async () => {
    const { id, process: main } = await host.run({ lifetime: { ttlSeconds: 3_600, onExpiry: "stop" } });
    await patch(id, { lifetime: { ttlSeconds: 1 } });
    expect((await host.reaches(id, "stopped", 30_000)).status.reason).toBe("expired");
    expect(isAlive(main.pid)).toBe(false);
    const { status, body } = await patch(id, { lifetime: { ttlSeconds: 600 } });
    expect([status, body.status.reason, body.lifetime.expiresAt]).toEqual([200, "expired", null]);
    // The next start begins a new one.
    const again = (await host.request("POST", `/v1/sandboxes/${id}/start`, {})).body;
    expect(secondsLeft(again.lifetime.expiresAt)).toBeGreaterThan(500);
  });

  it("by idleness does not end it under those who came before it was set", async () => {
    const { id } = await host.run({ lifetime: { onExpiry: "stop" } });
    const path = `/v1/sandboxes/${id}/processes/main/output?follow=true`;
    const follower = await new Promise<IncomingMessage>((done, failed) =>
      httpRequest({ socketPath: host.daemon.socket, path, headers: { host: "localhost" } }, done)
        .once("error", failed)
        .end(),
    );
    follower.on("error", () => {}).resume();
    await patch(id, { lifetime: { idleSeconds: 1 } });
    await new Promise((later) => setTimeout(later, 2_500));
    expect(await host.report(id)).toMatchObject({ status: { state: "running" }, lifetime: { idleExpiresAt: null } });
    follower.destroy();
    expect((await host.reaches(id, "stopped", 30_000)).status).toMatchObject({ reason: "expired" });
  });
});

describe("the restarts of a running sandbox", () => {
  it("follow the new policy, which comes with its usual number of retries", async () => {
    const { id, process: main } = await host.run();
    expect((await patch(id, { restart: { policy: "always" } })).body.definition.restart).toEqual({ policy: "always", maxRetries: null });
    expect((await patch(id, { restart: { maxRetries: 7 } })).body.definition.restart).toEqual({ policy: "always", maxRetries: 7 });
    process.kill(main.pid, "SIGKILL");
    const again = await until(
      "its restart",
      async () => {
        const report = await host.report(id);
        return report.restart.count === 1 && report.status.state === "running" && report;
      },
      30_000,
    );
    expect(again.process.pid).not.toBe(main.pid);
  });

  it("that are waited for are cancelled by never", async () => {
    const { id } = await host.run({
      command: ["/bin/bash", "-c", "echo run >> /runs; exit 3"],
      restart: { policy: "on-failure", maxRetries: null },
    });
    const runs = () => readFileSync(join(host.daemon.stateDir, "sandboxes", id, "upper/runs"), "utf8").split("\n").length - 1;
    const waits = async () => {
      const report = await host.report(id);
      return report.restart.nextAt !== null && report.restart.count >= 3;
    };
    await until("a longer pause", waits, 30_000);
    // Another attempt may have begun in this moment; then its end is what is not followed by one.
    const { status, body } = await patch(id, { restart: { policy: "never" } });
    expect([status, body.restart.nextAt]).toEqual([200, null]);
    await until("rest", async () => ["stopped", "failed"].includes((await host.report(id)).status.state), 30_000);
    const ran = runs();
    await new Promise((later) => setTimeout(later, 2_000));
    expect(await host.report(id)).toMatchObject({ status: { state: "stopped" }, restart: { policy: "never", nextAt: null } });
    expect(runs()).toBe(ran);
  });
});

it("what is changed before a start counts from the start", async () => {
  const { id } = (await host.request("POST", "/v1/sandboxes", {})).body;
  const stored = (
    await patch(id, { lifetime: { ttlSeconds: 600, idleSeconds: 300 }, restart: { policy: "on-failure" } }, { "if-match": '"1"' })
  ).body;
  expect(stored).toMatchObject({ lifetime: { expiresAt: null, idleExpiresAt: null }, definition: { restart: { maxRetries: 3 } } });
  const report = (await host.request("POST", `/v1/sandboxes/${id}/start`, {})).body;
  expect(Date.parse(report.lifetime.expiresAt) - Date.parse(report.startedAt)).toBe(600_000);
});

it("changes nothing where the generation is another, or a value makes no sense", async () => {
  const { id } = await host.run({ lifetime: { ttlSeconds: 600 } });
  const before = await host.report(id);
  expectProblem(await patch(id, { lifetime: { ttlSeconds: 1 } }, { "if-match": '"2"' }), 412);
  for (const body of [
    { lifetime: { ttlSeconds: 0 } },
    { lifetime: { surprise: 1 } },
    { lifetime: { onExpiry: "explode" } },
    { restart: { policy: "sometimes" } },
    { restart: { maxRetries: -1 } },
    { autostart: "yes" },
    { lifetime: null },
    { limits: { pids: 64, surprise: 1 }, lifetime: { ttlSeconds: 1 } },
  ])
    expectProblem(await patch(id, body), 400, JSON.stringify(body));
  expect(await host.report(id)).toEqual(before);
});
