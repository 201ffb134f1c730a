import { afterAll, beforeAll, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";
import { startSmallDaemon } from "./small-daemon.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon("--ready-shells", "2", "--run-concurrency", "1");
});
afterAll(() => daemon[Symbol.asyncDispose]());

const sample = async (name: string): Promise<number> => {
  const { status, headers, text } = await daemon.request("GET", "/metrics");
  expect(status).toBe(200);
  expect(headers["content-type"]).toMatch(/^text\/plain/);
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? Number.NaN);
};

it("counts sandboxes by state and the shells that wait", async () => {
  expect(await sample("unshared_ready_shells_target")).toBe(2);
  await until("two shells ready", async () => (await sample("unshared_ready_shells")) === 2);
  const preflight = (await daemon.request("GET", "/v1/preflight")).text;
  expect(preflight).toMatch(/2 of 2|2\/2/);
});

it("counts failed launches by code and layer", async () => {
  const before = await sample('unshared_launch_failures_total{code="command-not-found",layer="command"}');
  expect((await daemon.request("POST", "/v1/sandboxes?start=true", { command: ["/bin/nope"] })).status).toBe(422);
  const after = await sample('unshared_launch_failures_total{code="command-not-found",layer="command"}');
  expect(after).toBe((Number.isNaN(before) ? 0 : before) + 1);
});

it("counts runs that wait and are under way, why others ended, and their times", async () => {
  const send = async (body: object, query = "") => (await daemon.request("POST", `/v1/runs${query}`, body)).body;
  const [held, waiting] = [await send({ command: ["/bin/sleep", "60"] }), await send({ command: ["/bin/sleep", "60"] })];
  expect([await sample('unshared_runs{state="running"}'), await sample('unshared_runs{state="queued"}')]).toEqual([1, 1]);
  expect(await sample("unshared_run_wait_seconds_count")).toBe(1);
  for (const { id } of [waiting, held]) await daemon.request("DELETE", `/v1/runs/${id}`);
  expect([await sample('unshared_runs{state="running"}'), await sample('unshared_runs{state="queued"}')]).toEqual([0, 0]);
  // One that never had its turn has no time.
  expect(await sample("unshared_run_seconds_count")).toBe(1);
  await send({ command: ["/bin/sleep", "60"], timeoutSeconds: 0.05 }, "?wait=true");
  await send({ command: ["/bin/bash", "-c", "exit 3"] }, "?wait=true");
  await send({ command: ["/nope"] }, "?wait=true");
  const outcomes = ["exited", "signaled", "timed-out", "out-of-memory", "output-limit", "cancelled", "failed"];
  const counts = await Promise.all(outcomes.map((outcome) => sample(`unshared_runs_ended_total{outcome="${outcome}"}`)));
  expect(counts).toEqual([1, 0, 1, 0, 0, 2, 1]);
  expect([await sample("unshared_run_seconds_count"), await sample("unshared_run_wait_seconds_count")]).toEqual([4, 4]);
  expect(await sample("unshared_run_seconds_sum")).toBeGreaterThan(0.05);
});
