/** A main process that ends by itself: state, reason and exit are right at once, and nothing stale is shown. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isAlive, startTicksOf, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("endings", 1_150_000_000);
});
afterAll(() => host[Symbol.asyncDispose]());

const nothingRuns = { process: null, supervisor: null, namespaces: null, enter: null, ids: null, bootId: null };
const bash = (script: string) => ["/bin/bash", "-c", script];

const endings: [string, string[], object, object][] = [
  ["exit 0", bash("sleep 0.1; exit 0"), {}, { reason: "exited", code: 0, signal: null }],
  ["exit 7", bash("sleep 0.1; exit 7"), {}, { reason: "exited", code: 7, signal: null }],
  ["exit 255 at once", bash("exit 255"), {}, { reason: "exited", code: 255, signal: null }],
  ["its own KILL", bash("sleep 0.1; kill -KILL $$"), {}, { reason: "signaled", code: null, signal: "SIGKILL" }],
  ["its own USR1", bash("sleep 0.1; kill -USR1 $$"), {}, { reason: "signaled", code: null, signal: "SIGUSR1" }],
  [
    "its memory limit",
    bash("sleep 0.1; a=0123456789abcdef; while :; do a=$a$a; done"),
    { memoryBytes: 33_554_432 },
    { reason: "out-of-memory", code: null, signal: "SIGKILL" },
  ],
];

describe("a main process that ends", () => {
  it.each(endings)("by %s is reported so", async (_, command, limits, exit) => {
    const { id, namespaces, process } = await host.run({ command, limits });
    const report = await host.reaches(id, "stopped");
    expect(report).toMatchObject({ status: { state: "stopped", reason: (exit as { reason: string }).reason }, exit, ...nothingRuns });
    expect(Date.parse(report.exit.exitedAt)).toBeGreaterThanOrEqual(Date.parse(report.startedAt) - 1000);
    expect(report.exit.durationMs).toBeLessThan(5_000);
    expect(startTicksOf(process.pid)).not.toBe(process.startTicks);
    const receipt = (await host.request("GET", `/v1/sandboxes/${id}/receipt`)).body;
    expect(receipt).toMatchObject({ id, complete: true, remaining: [], namespaces: { pid: namespaces.pid.inode } });
  });

  it.each([true, false])("at once is told as truly, many at a time, with an init of %s", async (init) => {
    const reports = await Promise.all(Array.from({ length: 20 }, () => host.run({ command: ["/bin/true"], init })));
    for (const { id } of reports) expect(await host.reaches(id, "stopped")).toMatchObject({ exit: { reason: "exited", code: 0 } });
  });

  it("takes what it left running along", async () => {
    const { id, process } = await host.run({ command: bash("set -m; sleep 1000 & sleep 1000 & sleep 0.1; exit 4") });
    const cgroup = host.cgroupOf(process.pid);
    expect(await host.reaches(id, "stopped")).toMatchObject({ exit: { code: 4 } });
    expect(host.cgroups().filter((path) => path.endsWith(cgroup))).toEqual([]);
  });

  it("killed from the host's shell is reported within 100 ms", async () => {
    const milliseconds: number[] = [];
    for (let round = 0; round < 7; round++) {
      const { id, process: main } = await host.run();
      process.kill(main.pid, "SIGKILL");
      await until("its end", () => !isAlive(main.pid));
      const ended = performance.now();
      const report = await until("the report", async () => {
        const now = await host.report(id);
        return now.namespaces === null && now;
      });
      milliseconds.push(performance.now() - ended);
      expect(report).toMatchObject({ exit: { reason: "signaled", signal: "SIGKILL" }, ...nothingRuns });
      expect(await host.reaches(id, "stopped")).toMatchObject({ status: { reason: "signaled" } });
    }
    milliseconds.sort((a, b) => a - b);
    // A stalled machine may delay one of them, not most.
    expect(milliseconds[3]).toBeLessThan(100);
  });

  it("starts again after each ending, its exit forgotten", async () => {
    const { id } = await host.run({ command: bash("sleep 0.05; exit 9") });
    await host.reaches(id, "stopped");
    const { body } = await host.request("POST", `/v1/sandboxes/${id}/start`, {});
    expect(body).toMatchObject({ status: { state: "running", reason: null }, exit: null });
    expect(await host.reaches(id, "stopped")).toMatchObject({ exit: { code: 9 } });
  });
});

describe("name and labels", () => {
  it("change under an ETag while the sandbox runs on", async () => {
    const report = await host.run({ name: "tagged" });
    const path = `/v1/sandboxes/${report.id}`;
    expect((await host.request("GET", path)).headers["etag"]).toBe('"1"');
    const changed = await host.request("PATCH", path, { labels: { a: "b" } }, { "if-match": '"1"' });
    expect([changed.status, changed.headers["etag"]]).toEqual([200, '"2"']);
    expect(changed.body).toMatchObject({ generation: 2, labels: { a: "b" }, definition: { labels: { a: "b" } }, process: report.process });
    const stale = await host.request("PATCH", path, { name: "late" }, { "if-match": '"1"' });
    expect([stale.status, stale.body.code]).toEqual([412, "precondition-failed"]);
    const renamed = await host.request("PATCH", path, { name: "renamed" }, { "if-match": '"2"' });
    expect(renamed.body).toMatchObject({ name: "renamed", generation: 3, definition: { hostname: "tagged" } });
    expect((await host.request("GET", "/v1/sandboxes/tagged")).status).toBe(404);
    expect((await host.report("renamed")).process).toEqual(report.process);
    expect((await host.request("GET", "/v1/sandboxes?label=a=b")).body.items.map(({ id }: { id: string }) => id)).toEqual([report.id]);
  });
});
