import { request as httpRequest, type IncomingMessage } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cgroupFile } from "../fixtures/cgroup-files.ts";
import { commandLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("stats", 1_890_000_000);
});
afterAll(() => host[Symbol.asyncDispose]());

// biome-ignore lint/suspicious/noExplicitAny: the shape is what the tests state
const statsOf = async (id: string): Promise<any> => (await host.request("GET", `/v1/sandboxes/${id}/stats`)).body;

it("counts memory, processes and CPU as the kernel does, and shows the limits", async () => {
  const command = [
    "/bin/bash",
    "-c",
    'x=$(head -c 9000000 /dev/zero | tr "\\0" a); for ((i = 0; i < 100000; i++)); do :; done; sleep 1000 & sleep 1001',
  ];
  const report = await host.run({ command, limits: { memoryBytes: 134_217_728, pids: 33 } });
  const { id, process } = report;
  await until("it is quiet", () => host.pidsInside(report).some((pid) => commandLine(pid)[1] === "1001"));
  const { usage, state } = await statsOf(id);
  expect(state).toBe("running");
  expect(usage.memory.limitBytes).toBe(134_217_728);
  const current = Number(cgroupFile(process.pid, "memory", "memory.usage_in_bytes", "memory.current"));
  expect(Math.abs(usage.memory.currentBytes - current)).toBeLessThan(4_000_000);
  expect(usage.memory.anonymousBytes).toBeGreaterThan(9_000_000);
  expect(usage.memory.peakBytes).toBeGreaterThanOrEqual(usage.memory.anonymousBytes);
  expect(usage.pids).toEqual({ current: Number(cgroupFile(process.pid, "pids", "pids.current")), limit: 33, refused: 0 });
  expect(usage.cpu.usageSeconds).toBeGreaterThan(0.05);
  expect(usage.cpu.userSeconds + usage.cpu.systemSeconds).toBeCloseTo(usage.cpu.usageSeconds, 2);
  expect(usage.throttling).toBeNull();
  expect(usage.network).toEqual({ receivedBytes: 0, receivedPackets: 0, sentBytes: 0, sentPackets: 0 });
});

it("tells throttling, forks that were refused and kills for want of memory", async () => {
  const loop = "while :; do :; done & for i in {1..40}; do sleep 1000 & done; x=$(head -c 99000000 /dev/zero | tr '\\0' a); sleep 1000";
  const limits = { memoryBytes: 33_554_432, cpus: 0.2, pids: 16 };
  const { id } = await host.run({ command: ["/bin/bash", "-c", `(${loop}); sleep 1000`], limits });
  const used = await until("all of it has happened", async () => {
    const { usage } = await statsOf(id);
    return usage?.throttling?.throttledPeriods > 0 && usage.pids.refused > 0 && usage;
  });
  expect(used.throttling.throttledPeriods).toBeLessThanOrEqual(used.throttling.periods);
  await host.request("POST", `/v1/sandboxes/${id}/kill`);

  const eater = await host.run({
    command: ["/bin/bash", "-c", "bash -c 'x=$(head -c 99000000 /dev/zero | tr \"\\0\" a)'; sleep 1000"],
    limits: { memoryBytes: 33_554_432 },
  });
  await until("a kill", async () => (await statsOf(eater.id)).usage.memory.oomKills > 0);
  expect(cgroupFile(eater.process.pid, "memory", "memory.oom_control", "memory.events")).toMatch(/^oom_kill [1-9]/m);
});

it("has no figures for a sandbox that does not run, nor network figures for one that shares the host's", async () => {
  const { body } = await host.request("POST", "/v1/sandboxes", { name: "still" });
  expect(await statsOf("still")).toMatchObject({ id: body.id, name: "still", state: "created", usage: null });
  const shared = await host.run({ namespaces: { net: false } });
  expect((await statsOf(shared.id)).usage.network).toBeNull();
  expect((await host.request("GET", "/v1/sandboxes/nobody/stats")).body.code).toBe("sandbox-not-found");
});

it("streams one a second until the sandbox ends", async () => {
  const { id } = await host.run({});
  const { socket: socketPath } = host.daemon;
  const answer = await new Promise<IncomingMessage>((resolve, reject) =>
    httpRequest({ socketPath, path: `/v1/sandboxes/${id}/stats?stream=true`, headers: { host: "localhost" } }, resolve)
      .on("error", reject)
      .end(),
  );
  let text = "";
  answer.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
  });
  await until("two have come", () => text.split("event: stats\n").length > 2);
  await host.request("POST", `/v1/sandboxes/${id}/kill`);
  await until("the end", () => answer.readableEnded);
  const [first = ""] = text.split("\n\n");
  expect(JSON.parse(first.split("data: ")[1] ?? "")).toMatchObject({ id, state: "running", usage: { pids: { limit: expect.anything() } } });
  expect(text.endsWith("event: end\ndata: {}\n\n")).toBe(true);
});
