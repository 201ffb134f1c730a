/** Crowds of processes inside: short-lived orphans, which become zombies unless somebody reaps them. */
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { isAlive, statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("storms", 1_760_000_000);
});
afterEach(() => host.clear());
afterAll(() => host[Symbol.asyncDispose]());

/** Leaves ten orphans a round, a thousand rounds, then tells so and waits. */
const storm = "for ((i = 0; i < 1000; i++)); do (for j in 1 2 3 4 5 6 7 8 9 0; do : & done); done; echo over; read x; exit 9";
const zombies = (cgroupPids: readonly number[]): number[] => cgroupPids.filter((pid) => statusLine(pid, "State").startsWith("Z"));
const everyPid = (): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
const residentBytes = (pid: number): number => Number(statusLine(pid, "VmRSS").split(" ")[0]) * 1024;

it("10,000 orphans are reaped by the init, and the supervisor does not grow (check 44)", { timeout: 120_000 }, async () => {
  const report = await host.run({ command: ["/bin/bash", "-c", storm] });
  const before = residentBytes(report.supervisor.pid);
  const output = () => host.request("GET", `/v1/sandboxes/${report.id}/processes/main/output`);
  await until("the end of the storm", async () => (await output()).text.includes("over"), 100_000);
  await until("no zombie is left inside", () => {
    const inside = everyPid().filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(`/${host.cgroupParent}/`);
      } catch {
        return false;
      }
    });
    return zombies(inside).length === 0;
  });
  expect(host.pidsInside(report).filter(isAlive)).toHaveLength(2);
  expect(residentBytes(report.supervisor.pid) - before).toBeLessThan(1_000_000);
  await host.request("POST", `/v1/sandboxes/${report.id}/processes/main/stdin`, Buffer.from("\n"));
  expect((await host.reaches(report.id, "stopped")).exit).toMatchObject({ reason: "exited", code: 9 });
});

it("zombies that nobody reaps, without an init, end with the sandbox (check 44)", { timeout: 60_000 }, async () => {
  // The command is PID 1 and waits for none of its children: they stay zombies, up to the limit.
  const command = ["/usr/bin/perl", "-e", '$| = 1; for (1 .. 300) { fork // last or exit 0 } print "made\\n"; sleep 1000'];
  const root = { name: "perl", source: { kind: "copy", binaries: ["/usr/bin/perl"] } };
  expect((await host.request("POST", "/v1/roots?wait=true", root)).status).toBe(201);
  const report = await host.run({ root: "perl", init: false, command });
  const output = () => host.request("GET", `/v1/sandboxes/${report.id}/processes/main/output`);
  await until("the zombies", async () => (await output()).text.includes("made"), 20_000);
  await until("300 of them", () => zombies(everyPid().filter((pid) => statusLine(pid, "PPid") === `${report.process.pid}`)).length === 300);
  const { body } = await host.request("DELETE", `/v1/sandboxes/${report.id}`);
  expect(body).toMatchObject({ complete: true, remaining: [] });
  expect(everyPid().filter((pid) => statusLine(pid, "PPid") === `${report.process.pid}`)).toEqual([]);
  expect((await host.request("DELETE", "/v1/roots/perl")).status).toBe(204);
});
