/** Limits of sandboxes: as they were given, changed while they run, and bounded by the daemon's settings. The witness is the cgroup. */
import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { cgroupFile, isHybrid } from "../fixtures/cgroup-files.ts";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start(
    "limits",
    1_780_000_000,
    "--default-limits",
    "pids=100,cpuWeight=200",
    "--max-limits",
    "memoryBytes=1073741824,pids=2000,cpus=2,openFiles=4096",
  );
});
afterEach(() => host.clear());
afterAll(() => host[Symbol.asyncDispose]());

const bash = (script: string) => ["/bin/bash", "-c", script];
const patch = (name: string, body: object, headers: Record<string, string> = {}) =>
  host.request("PATCH", `/v1/sandboxes/${name}`, body, headers);
/** What the kernel holds of a process: bytes, microseconds of each 100,000, a weight, a number. */
const kernelLimits = (pid: number) => ({
  memory: Number(cgroupFile(pid, "memory", "memory.limit_in_bytes", "memory.max").replace("max", "9223372036854771712")),
  quota: isHybrid ? Number(cgroupFile(pid, "cpu", "cpu.cfs_quota_us")) : Number(cgroupFile(pid, "cpu", "", "cpu.max").split(" ")[0]),
  weight: isHybrid ? Number(cgroupFile(pid, "cpu", "cpu.shares")) / 10.24 : Number(cgroupFile(pid, "cpu", "", "cpu.weight")),
  pids: Number(cgroupFile(pid, "pids", "pids.max")),
});

it("are those of the definition, else the daemon's defaults, and no more than its most", async () => {
  const { process, definition } = await host.run({ limits: { cpus: 0.5, memoryBytes: 67_108_864 } });
  expect(definition.limits).toEqual({
    memoryBytes: 67_108_864,
    cpus: 0.5,
    cpuWeight: 200,
    pids: 100,
    diskBytes: null,
    openFiles: 1_024,
    outputBytes: 1_048_576,
  });
  expect(kernelLimits(process.pid)).toEqual({ memory: 67_108_864, quota: 50_000, weight: 200, pids: 100 });
  const { definition: bounded, process: other } = await host.run({ limits: { memoryBytes: null } });
  expect([bounded.limits.memoryBytes, bounded.limits.cpus]).toEqual([1_073_741_824, 2]);
  expect(kernelLimits(other.pid)).toMatchObject({ memory: 1_073_741_824, quota: 200_000 });
  const refused = expectProblem(await host.request("POST", "/v1/sandboxes", { limits: { pids: 2_001, memoryBytes: 2 ** 31 } }), 422);
  expect([refused.code, refused.errors?.map(({ pointer }) => pointer)]).toEqual([
    "invalid-definition",
    ["/limits/memoryBytes", "/limits/pids"],
  ]);
  const run = expectProblem(await host.request("POST", "/v1/runs", { command: ["true"], limits: { pids: 2_001 } }), 422);
  expect(run.errors?.map(({ pointer }) => pointer)).toEqual(["/limits/pids"]);
});

describe("changed while it runs", () => {
  it("hold at once, for what runs and what is started later", async () => {
    const { id, process, generation } = await host.run({ command: bash("while :; do :; done") });
    const change = { memoryBytes: 134_217_728, cpus: 0.25, cpuWeight: 50, pids: 40, openFiles: 77 };
    const { status, body, headers } = await patch(id, { limits: change });
    expect([status, body.definition.limits, body.generation]).toEqual([200, { ...body.definition.limits, ...change }, generation + 1]);
    expect(headers["etag"]).toBe(`"${generation + 1}"`);
    expect(kernelLimits(process.pid)).toEqual({ memory: 134_217_728, quota: 25_000, weight: 50, pids: 40 });
    await until("it is throttled", () => /nr_throttled [1-9]/.test(cgroupFile(process.pid, "cpu", "cpu.stat")));
    const exec = await host.request("POST", `/v1/sandboxes/${id}/processes?wait=true`, { command: bash("ulimit -n") });
    expect(exec.body.output.stdout.data).toBe("77\n");
    // What is not named stays; null takes away, as far as the daemon's most allows.
    const more = await patch(id, { limits: { memoryBytes: null, cpus: 1 }, labels: { a: "b" } });
    expect(more.body).toMatchObject({
      labels: { a: "b" },
      definition: { limits: { memoryBytes: 1_073_741_824, cpus: 1, cpuWeight: 50, pids: 40 } },
    });
    expect(kernelLimits(process.pid)).toEqual({ memory: 1_073_741_824, quota: 100_000, weight: 50, pids: 40 });
    expect((await host.request("GET", `/v1/sandboxes/${id}/stats`)).body.usage.memory.limitBytes).toBe(1_073_741_824);
  });

  it("survive the daemon, and a restart of the sandbox", async () => {
    const { id, process } = await host.run();
    await patch(id, { limits: { pids: 60, memoryBytes: 100_003_840 } });
    await host.daemon.end("SIGKILL");
    await host.daemon.start();
    expect((await host.report(id)).definition.limits).toMatchObject({ pids: 60, memoryBytes: 100_003_840 });
    expect(kernelLimits(process.pid)).toMatchObject({ pids: 60, memory: 100_003_840 });
    const again = (await host.request("POST", `/v1/sandboxes/${id}/restart`, { graceSeconds: 0 })).body;
    expect(kernelLimits(again.process.pid)).toMatchObject({ pids: 60, memory: 100_003_840 });
  });

  it("kill for want of memory by the new limit, and for that reason", async () => {
    const { id } = await host.run({ command: bash("read x; a=x; while :; do a=$a$a; done"), limits: { memoryBytes: 1_073_741_824 } });
    await patch(id, { limits: { memoryBytes: 33_554_432 } });
    await host.request("POST", `/v1/sandboxes/${id}/processes/main/stdin`, Buffer.from("\n"));
    expect((await host.reaches(id, "stopped", 20_000)).status.reason).toBe("out-of-memory");
  });

  it("are refused when more memory is in use, and nothing is changed then", async () => {
    const script = "x=$(head -c 60000000 /dev/zero | tr '\\0' a); read y";
    const { id, process } = await host.run({ command: bash(script), limits: { memoryBytes: 268_435_456, pids: 50 } });
    await until("the memory is used", () => used(process.pid));
    const problem = expectProblem(await patch(id, { limits: { memoryBytes: 33_554_432, pids: 10, cpus: 0.5 } }), 409);
    expect(problem.code).toBe("limit-in-use");
    expect(kernelLimits(process.pid)).toMatchObject({ memory: 268_435_456, pids: 50, quota: 200_000 });
    expect((await host.report(id)).definition.limits).toMatchObject({ memoryBytes: 268_435_456, pids: 50, cpus: 2 });
    expect((await host.report(id)).status.state).toBe("running");
  });

  it("are refused as a whole where they are not allowed or not known", async () => {
    const { id, generation } = await host.run();
    for (const limits of [{ pids: 2_001 }, { pids: 5, memoryBytes: 2 ** 31 }]) {
      expect(expectProblem(await patch(id, { limits }), 422).code).toBe("invalid-definition");
    }
    for (const limits of [{ pids: 0 }, { surprise: 1 }, { cpus: "1" }, null]) expectProblem(await patch(id, { limits }), [400, 422]);
    expectProblem(await patch(id, { limits: { pids: 30 } }, { "if-match": '"9"' }), 412);
    expect((await host.report(id)).generation).toBe(generation);
  });

  it("twenty at once end with the kernel as the definition", async () => {
    const { id, process } = await host.run();
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, index) => patch(id, { limits: { pids: 20 + index, cpuWeight: 100 + index } })),
    );
    expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    const { definition, generation } = await host.report(id);
    expect(generation).toBe(21);
    expect(kernelLimits(process.pid)).toMatchObject({ pids: definition.limits.pids });
  });
});

it("of one that does not run are for its next start", async () => {
  await host.request("POST", "/v1/sandboxes", { name: "later" });
  expect((await patch("later", { limits: { pids: 31 } })).status).toBe(200);
  const { body } = await host.request("POST", "/v1/sandboxes/later/start");
  expect(kernelLimits(body.process.pid).pids).toBe(31);
});

const used = (pid: number): boolean => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) > 55_000;
