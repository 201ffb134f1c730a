import { statSync } from "node:fs";
import { join } from "node:path";
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

it("counts why sandboxes ended, and times each phase of their launches", async () => {
  const ended = (reason: string) => sample(`unshared_sandboxes_ended_total{reason="${reason}"}`);
  const reasons = [
    "exited",
    "signaled",
    "out-of-memory",
    "expired",
    "stopped-by-user",
    "launch-failed",
    "supervisor-lost",
    "host-rebooted",
  ];
  const before = await Promise.all(reasons.map(ended));
  const run = async (definition: object) => (await daemon.request("POST", "/v1/sandboxes?start=true", definition)).body;
  const rest = (id: string) =>
    until(
      "rest",
      async () => ["stopped", "failed"].includes((await daemon.request("GET", `/v1/sandboxes/${id}`)).body.status.state),
      30_000,
    );
  const executed = await sample('unshared_launch_phase_seconds_count{phase="exec"}');
  const exited = await run({ command: ["/bin/bash", "-c", "exit 3"] });
  const signaled = await run({});
  const lost = await run({});
  const stopped = await run({});
  expect(await sample('unshared_launch_phase_seconds_count{phase="exec"}')).toBe((Number.isNaN(executed) ? 0 : executed) + 4);
  process.kill(signaled.process.pid, "SIGKILL");
  process.kill(lost.supervisor.pid, "SIGKILL");
  await daemon.request("POST", `/v1/sandboxes/${stopped.id}/kill`, {});
  for (const { id } of [exited, signaled, lost]) await rest(id);
  for (const { id } of [exited, signaled, lost, stopped]) await daemon.request("DELETE", `/v1/sandboxes/${id}`);
  const after = await Promise.all(reasons.map(ended));
  expect(after.map((count, index) => count - (before[index] ?? 0))).toEqual([1, 1, 0, 0, 1, 0, 1, 0]);
});

it("tells the sizes of the database and its log, and how long commits and syncs take", async () => {
  const [commits, syncs] = [await sample("unshared_database_commit_seconds_count"), await sample("unshared_database_sync_seconds_count")];
  const { id } = (await daemon.request("POST", "/v1/sandboxes", {})).body;
  expect(await sample("unshared_database_commit_seconds_count")).toBeGreaterThan(commits);
  expect(await sample("unshared_database_sync_seconds_count")).toBeGreaterThan(syncs);
  expect(await sample("unshared_database_commit_seconds_sum")).toBeGreaterThan(0);
  const path = join(daemon.stateDir, "state.db");
  expect(await sample('unshared_database_bytes{file="database"}')).toBe(statSync(path).size);
  expect(await sample('unshared_database_bytes{file="log"}')).toBe(statSync(`${path}-wal`).size);
  await daemon.request("DELETE", `/v1/sandboxes/${id}`);
});

it("counts operations by kind and state", async () => {
  const done = 'unshared_operations{kind="root.provision",state="succeeded"}';
  const before = await sample(done);
  const refused = { name: "refused", source: { kind: "copy", binaries: ["/bin/ls"] } };
  expect((await daemon.request("POST", "/v1/roots?wait=true", refused)).status).toBe(201);
  expect(await sample(done)).toBe(before + 1);
  const { items } = (await daemon.request("GET", "/v1/operations?state=succeeded")).body;
  expect(items).toHaveLength(before + 1);
  await daemon.request("DELETE", "/v1/roots/refused");
});

it("tells the delay of the event loop", async () => {
  for (const name of ["nodejs_eventloop_lag_p50_seconds", "nodejs_eventloop_lag_p99_seconds"])
    expect(await sample(name), name).toBeGreaterThanOrEqual(0);
});

it("has no more series however many paths, names and sandboxes there have been", async () => {
  const series = async () =>
    (await daemon.request("GET", "/metrics")).text
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#") && !line.startsWith("nodejs_"))
      // Comes with the first launch that found no shell ready, whenever that is.
      .filter((line) => !line.includes('phase="prepare"'))
      .map((line) => line.slice(0, line.lastIndexOf(" ")))
      .toSorted();
  const ids: string[] = [];
  const round = async (number: number) => {
    const { id } = (await daemon.request("POST", "/v1/sandboxes?start=true", { name: `series-${number}`, labels: { n: `${number}` } }))
      .body;
    ids.push(id);
    for (const path of [`/v1/none-${number}`, `/v1/sandboxes/none-${number}`, `/v1/sandboxes/${id}`, `/v1/runs/none-${number}`])
      await daemon.request("GET", path);
    for (const refused of [{ command: [`/bin/none-${number}`] }, { root: `none-${number}` }]) {
      const { status, text } = await daemon.request("POST", "/v1/sandboxes?start=true", refused);
      expect(status, text).toBe(422);
    }
    await daemon.request("DELETE", `/v1/sandboxes/${id}`);
  };
  await round(0);
  await series();
  const before = await series();
  for (let number = 1; number <= 10; number += 1) await round(number);
  expect(await series()).toEqual(before);
  for (const text of [...ids, "none-", "series-"]) expect(before.join("\n")).not.toContain(text);
});
