import { afterAll, beforeAll, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";
import { startSmallDaemon } from "./small-daemon.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon("--ready-shells", "2");
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
