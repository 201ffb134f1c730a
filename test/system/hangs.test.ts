/** A supervisor that is alive and does not answer: kill and delete work all the same, and nothing is left of it. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { isAlive, startTicksOf } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("hangs", 1_220_000_000);
});
afterAll(() => host[Symbol.asyncDispose]());

it("kills a supervisor that hangs, and cleans up after it (check 67)", { timeout: 60_000 }, async () => {
  const [killed, deleted] = [await host.run({ name: "killed" }), await host.run({ name: "deleted" })];
  for (const { supervisor } of [killed, deleted]) process.kill(supervisor.pid, "SIGSTOP");
  const began = performance.now();
  const [kill, remove] = await Promise.all([
    host.request("POST", "/v1/sandboxes/killed/kill", {}),
    host.request("DELETE", "/v1/sandboxes/deleted"),
  ]);
  expect(performance.now() - began).toBeLessThan(40_000);
  expect([kill.status, kill.body.status.state, kill.body.status.reason]).toEqual([200, "failed", "supervisor-lost"]);
  expect([remove.status, remove.body.complete]).toEqual([200, true]);
  for (const { supervisor, process: main } of [killed, deleted]) {
    expect(isAlive(supervisor.pid) && startTicksOf(supervisor.pid) > 0).toBe(false);
    expect(isAlive(main.pid)).toBe(false);
  }
  expect((await host.request("POST", "/v1/sandboxes/killed/start", {})).body.status.state).toBe("running");
});
