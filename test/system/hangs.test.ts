/** A supervisor that is alive and does not answer: the caller is told in time, and all is well once it answers again. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { isAlive, startTicksOf, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("hangs", 1_220_000_000);
});
afterAll(() => host[Symbol.asyncDispose]());

it("answers by the deadline, and kill and delete work when the supervisor does", { timeout: 60_000 }, async () => {
  const [killed, deleted] = [await host.run({ name: "killed" }), await host.run({ name: "deleted" })];
  for (const { supervisor } of [killed, deleted]) process.kill(supervisor.pid, "SIGSTOP");
  try {
    const began = performance.now();
    const refusals = await Promise.all([
      host.request("POST", "/v1/sandboxes/killed/kill", {}),
      host.request("DELETE", "/v1/sandboxes/deleted"),
    ]);
    expect(performance.now() - began).toBeLessThan(30_000);
    for (const { status, body } of refusals) expect([status, body.code, body.retryable]).toEqual([504, "deadline-exceeded", true]);
    expect((await host.report("killed")).status.state).toBe("stopping");
  } finally {
    for (const { supervisor } of [killed, deleted]) process.kill(supervisor.pid, "SIGCONT");
  }
  const { status, body } = await host.request("POST", "/v1/sandboxes/killed/kill", {});
  expect([status, body.status.state, body.exit.signal]).toEqual([200, "stopped", "SIGKILL"]);
  expect((await host.request("POST", "/v1/sandboxes/killed/start", {})).body.status.state).toBe("running");
  // Ends while no daemon is connected to its supervisor.
  if (isAlive(deleted.process.pid)) process.kill(deleted.process.pid, "SIGKILL");
  await until("its end", () => startTicksOf(deleted.process.pid) === 0);
  const receipt = await host.request("DELETE", "/v1/sandboxes/deleted");
  expect([receipt.status, receipt.body.complete]).toEqual([200, true]);
});
