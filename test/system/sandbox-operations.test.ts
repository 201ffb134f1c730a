/** Stop, restart and delete that nobody waits for: operations that go on, also under the next daemon. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

// Daemons are restarted here, which takes its time on a loaded machine.
vi.setConfig({ testTimeout: 120_000 });

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("sandbox-operations", 1_196_000_000);
});
afterEach(() => host.clear());
afterAll(() => host[Symbol.asyncDispose]());

/** Ends by KILL alone. */
const stubborn = { command: ["/bin/bash", "-c", "trap '' TERM; echo deaf > /deaf; while :; do read -t 1000 <> <(:); done"] };
/** A stubborn one that does not hear TERM any more. */
const runStubborn = async () => {
  const report = await host.run(stubborn);
  await until(
    "that it is deaf",
    async () => (await host.request("GET", `/v1/sandboxes/${report.id}/files?path=/deaf`)).status === 200,
    20_000,
  );
  return report;
};
const operation = async (id: string, query = "") => (await host.request("GET", `/v1/operations/${id}${query}`)).body;
const begin = async (id: string, verb: "stop" | "restart", graceSeconds: number) => {
  const { status, headers, body } = await host.request("POST", `/v1/sandboxes/${id}/${verb}?wait=0`, { graceSeconds });
  expect([status, headers["location"]]).toEqual([202, `/v1/operations/${body.id}`]);
  expect(body).toMatchObject({ kind: `sandbox.${verb}`, subject: id, state: "running", result: null, problem: null, endedAt: null });
  return body;
};

describe("a stop that is not waited for", () => {
  it("answers its operation at once, which tells how far it is and what came of it", async () => {
    const { id, process: main } = await runStubborn();
    const { id: stop } = await begin(id, "stop", 2);
    const under = await until("its phase", async () => {
      const now = await operation(stop);
      return now.phase === "stopping" && now;
    });
    expect(under).toMatchObject({ state: "running", message: expect.stringContaining("killed by 20") });
    expect(isAlive(main.pid)).toBe(true);
    // An order is not taken back.
    expectProblem(await host.request("DELETE", `/v1/operations/${stop}`), 409);
    const done = await operation(stop, "?wait=60");
    expect(done).toMatchObject({
      state: "succeeded",
      phase: "done",
      progress: 1,
      result: { id, status: { state: "stopped", reason: "stopped-by-user" } },
    });
    expect(isAlive(main.pid)).toBe(false);
    expect((await host.request("GET", `/v1/operations?subject=${id}`)).body.items).toEqual([done]);
  });

  it("answers the report where it is done in time, and repeats its answer to a retry", async () => {
    const { id } = await host.run();
    const key = { "idempotency-key": "stopped" };
    const first = await host.request("POST", `/v1/sandboxes/${id}/stop?wait=60`, { graceSeconds: 0 }, key);
    expect([first.status, first.body.status.state, first.headers["etag"]]).toEqual([200, "stopped", '"1"']);
    expect((await host.request("POST", `/v1/sandboxes/${id}/stop?wait=60`, { graceSeconds: 0 }, key)).text).toBe(first.text);
    expect((await host.request("GET", `/v1/operations?subject=${id}`)).body.items).toHaveLength(1);
  });
});

describe("a restart that is not waited for", () => {
  it("ends with the sandbox running anew", async () => {
    const { id, process: main } = await host.run();
    const { id: restart } = await begin(id, "restart", 0);
    expect(await operation(restart, "?wait=60")).toMatchObject({ state: "succeeded", result: { id, status: { state: "running" } } });
    const { process: next } = await host.report(id);
    expect([isAlive(main.pid), isAlive(next.pid)]).toEqual([false, true]);
  });

  it("is not started when it is cancelled; its stop goes on", async () => {
    const { id } = await runStubborn();
    const { id: restart } = await begin(id, "restart", 2);
    await until("its phase", async () => (await operation(restart)).phase === "stopping");
    expect((await host.request("DELETE", `/v1/operations/${restart}`)).body).toMatchObject({ state: "cancelled", problem: null });
    await host.reaches(id, "stopped", 60_000);
    expect(await host.report(id)).toMatchObject({ status: { state: "stopped", reason: "stopped-by-user" }, startedAt: expect.any(String) });
  });

  it("fails with the problem of the start", async () => {
    const { id } = (await host.request("POST", "/v1/sandboxes", { command: ["/srv/run"] })).body;
    const file = `/v1/sandboxes/${id}/files?path=/srv/run`;
    await host.request("PUT", `${file}&mode=0755&parents=true`, Buffer.from("#!/bin/bash\nsleep 1000\n"));
    expect((await host.request("POST", `/v1/sandboxes/${id}/start`, {})).status).toBe(200);
    await host.request("DELETE", file);
    const { id: restart } = await begin(id, "restart", 0);
    const failed = await operation(restart, "?wait=60");
    expect(failed).toMatchObject({
      state: "failed",
      result: null,
      problem: { code: "command-not-found", status: 422, errors: [{ pointer: "/command/0" }] },
    });
    expectProblem(await host.request("POST", `/v1/sandboxes/${id}/restart?wait=60`, {}), 422);
  });
});

describe("a delete that is not waited for", () => {
  it("ends with its receipt", async () => {
    const { id } = await host.run();
    const { status, body } = await host.request("DELETE", `/v1/sandboxes/${id}?wait=0`);
    expect([status, body.kind]).toEqual([202, "sandbox.delete"]);
    expect(await operation(body.id, "?wait=60")).toMatchObject({
      state: "succeeded",
      result: { id, complete: true, remaining: [], processes: 2 },
    });
    expect((await host.request("GET", `/v1/sandboxes/${id}`)).status).toBe(404);
    const { id: another } = await host.run();
    expect((await host.request("DELETE", `/v1/sandboxes/${another}?wait=60`)).body).toMatchObject({ id: another, complete: true });
  });
});

describe.each(["SIGTERM", "SIGKILL"] as const)("%s of the daemon", (signal) => {
  it("leaves them to the next one, which ends them, and grants no more grace", async () => {
    const [stopped, restarted, deleted] = [await runStubborn(), await runStubborn(), await host.run()];
    const asked = Date.now();
    const stop = await begin(stopped.id, "stop", 6);
    const restart = await begin(restarted.id, "restart", 6);
    const { body: removal } = await host.request("DELETE", `/v1/sandboxes/${deleted.id}?wait=0`);
    await host.daemon.end(signal);
    await host.daemon.start();
    const recovered = Date.now();
    for (const { id } of [stop, restart, removal]) expect(await operation(id, "?wait=120")).toMatchObject({ id, state: "succeeded" });
    // What it took after the new daemon came is what was left, and the rest of a loaded machine.
    expect(Date.now() - recovered).toBeLessThan(Math.max(0, asked + 6_000 - recovered) + 20_000);
    expect(await host.report(stopped.id)).toMatchObject({ status: { state: "stopped", reason: "stopped-by-user" } });
    const { process: next } = await host.report(restarted.id);
    expect([next.pid === restarted.process.pid, isAlive(next.pid), isAlive(restarted.process.pid)]).toEqual([false, true, false]);
    expect((await host.request("GET", `/v1/sandboxes/${deleted.id}`)).status).toBe(404);
  });
});
