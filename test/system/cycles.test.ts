/** Five hundred lives of a sandbox: neither the daemon nor the launcher grows by them. */
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const cycles = 500;
const parallel = 4;

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("cycles", 1_190_000_000);
});
afterAll(() => host[Symbol.asyncDispose]());

const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
const threads = (pid: number): number => Number(statusLine(pid, "Threads"));
const residentKilobytes = (pid: number): number => Number.parseInt(statusLine(pid, "VmRSS"), 10);

const cycle = async (): Promise<void> => {
  const { id } = await host.run();
  const { status, body } = await host.request("DELETE", `/v1/sandboxes/${id}`);
  if (status !== 200 || body.complete !== true) throw new Error(`a delete answered ${status} ${JSON.stringify(body)}`);
};
const run = (count: number) =>
  Promise.all(
    Array.from({ length: parallel }, async () => {
      for (let done = 0; done < count / parallel; done++) await cycle();
    }),
  );

it(`${cycles} create-start-delete cycles leave descriptors, threads and memory where they were (check 72)`, {
  timeout: 120_000,
}, async () => {
  await run(500); // by then the daemon's heap has its level
  const pids = [host.daemon.pid, await host.launcherPid()];
  // Each with its supervisor, and the launcher: of what was deleted nothing is on its way out any more.
  const processes = 1 + 2 * 4;
  const ready = async () => (await host.request("GET", "/v1/info")).body.launcher.readyShells;
  await until("four prepared shells and nothing else", async () => (await ready()) === 4 && host.processes().length === processes);
  const base = pids.map((pid) => ({ descriptors: descriptors(pid), threads: threads(pid), resident: residentKilobytes(pid) }));
  await run(cycles);
  for (const [index, pid] of pids.entries()) {
    const was = base[index] ?? { descriptors: 0, threads: 0, resident: 0 };
    await until(`descriptors of ${pid} as before: ${was.descriptors}`, () => descriptors(pid) <= was.descriptors, 15_000);
    expect(threads(pid)).toBe(was.threads);
    // A heap breathes; the launcher has none to speak of.
    expect(residentKilobytes(pid) - was.resident).toBeLessThan(index === 0 ? 24_576 : 512);
  }
  await until("processes as before", () => host.processes().length === processes);
  expect(readdirSync(`${host.daemon.stateDir}/sandboxes`)).toEqual([]);
  expect(readdirSync(`${host.daemon.directory}/run/sandboxes`)).toEqual([]);
  expect((await host.request("GET", "/v1/sandboxes")).body.items).toEqual([]);
  // In each hierarchy its parent, and one for each prepared shell.
  const hierarchies = host.cgroups().filter((path) => path.endsWith(host.cgroupParent)).length;
  await until("the shells' cgroups only", () => host.cgroups().length === hierarchies * (1 + 4));
});
