/**
 * A call of the kernel fails in the daemon itself (strace(1), inject), or the daemon has few descriptors: whoever asked is told so with a documented code,
 * nothing is half made, and the same daemon goes on.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Reply } from "../fixtures/daemon.ts";
import { injecting } from "../fixtures/injection.ts";
import { isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

const patience = 20_000;
let host: SandboxDaemon;
let pid: number;
beforeAll(async () => {
  host = await SandboxDaemon.start("daemonerrors", 1_660_000_000, "--ready-shells", "0");
  await host.run();
  await host.clear();
  pid = host.daemon.pid;
}, 60_000);
afterAll(() => host[Symbol.asyncDispose](), 60_000);

/** By a connection of its own. */
const ask = (method: string, path: string, body?: object): Promise<Reply> => host.request(method, path, body, { connection: "close" });
const create = () => ask("POST", "/v1/sandboxes?start=true", { name: "box" });
const provision = () => ask("POST", "/v1/roots?wait=30", { name: "made", source: { kind: "copy", binaries: ["/bin/true"] } });

/** Whatever failed: the same daemon does all of it now, and leaves nothing. */
const allIsWell = async (): Promise<void> => {
  expect(host.daemon.pid).toBe(pid);
  expect((await ask("GET", "/v1/sandboxes")).body.items).toEqual([]);
  expect((await create()).status).toBe(201);
  expect((await ask("DELETE", "/v1/sandboxes/box")).body).toMatchObject({ complete: true, remaining: [] });
  const launcher = await host.launcherPid();
  await until("no process but the launcher", () => host.processes().join() === String(launcher), patience);
  expect(readdirSync(join(host.daemon.stateDir, "sandboxes"))).toEqual([]);
  expect(host.cgroups().filter((path) => /\/\d+$/.test(path))).toEqual([]);
};

const creations: [string, string, number, string][] = [
  ["fdatasync", "EIO", 503, "storage-failed"],
  ["fdatasync", "ENOSPC", 507, "no-space"],
  ["pwrite64", "EIO", 503, "storage-failed"],
  ["pwrite64", "ENOSPC", 507, "no-space"],
  ["statx", "EMFILE", 503, "host-exhausted"],
];
it.each(creations)("a create and start in which %s answers %s", { timeout: 60_000 }, async (call, error, status, code) => {
  const { result, injected } = await injecting(pid, `${call}:error=${error}:when=1+`, create);
  expect(injected).toBeGreaterThan(0);
  expect(expectProblem(result, status).code).toBe(code);
  await allIsWell();
});

const provisions: [string, string, number, string][] = [
  ["fsync", "EIO", 500, "root-provision-failed"],
  ["rename", "EIO", 500, "root-provision-failed"],
  ["mkdir", "ENOSPC", 500, "root-provision-failed"],
  ["openat", "EMFILE", 503, "host-exhausted"],
  ["openat", "ENOMEM", 503, "host-exhausted"],
  ["pread64", "EIO", 503, "storage-failed"],
];
it.each(provisions)("the making of a root in which %s answers %s", { timeout: 60_000 }, async (call, error, status, code) => {
  const { result, injected } = await injecting(pid, `${call}:error=${error}:when=1`, provision);
  expect(injected).toBeGreaterThan(0);
  expect(expectProblem(result, status).code).toBe(code);
  expect((await provision()).status).toBe(201);
  expect((await ask("DELETE", "/v1/roots/made")).status).toBe(204);
  await allIsWell();
});

it("connections for which accept answers EMFILE are closed, and later ones served", { timeout: 60_000 }, async () => {
  const health = () => ask("GET", "/healthz").catch(() => null);
  const { result, injected } = await injecting(pid, "accept4:error=EMFILE:when=1", async () => {
    await health();
    return until("one is served", health, patience);
  });
  expect([injected, result.status]).toEqual([1, 200]);
  await allIsWell();
});

it("no descriptor for the supervisor's connection: what was started runs, is told of later, and takes no orders until then", {
  timeout: 60_000,
}, async () => {
  const command = { command: ["/bin/true"] };
  const { result } = await injecting(pid, "socket:error=EMFILE:when=1+", async () => {
    const created = await create();
    expect(created.status).toBe(201);
    expect(expectProblem(await ask("POST", "/v1/sandboxes/box/processes", command), 503).code).toBe("launcher-unavailable");
    process.kill(created.body.process.pid, "SIGKILL");
    return created.body;
  });
  expect((await host.reaches("box", "stopped", patience)).status).toMatchObject({ reason: "signaled" });
  await until("its supervisor's end", () => !isAlive(result.supervisor.pid), patience);
  await ask("DELETE", "/v1/sandboxes/box");
  await allIsWell();
});

it("a launcher that cannot be started for want of a process", { timeout: 60_000 }, async () => {
  const launcher = await host.launcherPid();
  // It would be replaced in a second by itself.
  const { result, injected } = await injecting(pid, "clone,clone3,fork,vfork:error=EAGAIN:when=1+", async () => {
    process.kill(launcher, "SIGKILL");
    await until("its end", () => !isAlive(launcher), patience);
    return create();
  });
  expect(injected).toBeGreaterThan(0);
  expect(expectProblem(result, 503).code).toBe("launcher-unavailable");
  await allIsWell();
});

describe("with 64 descriptors", () => {
  it("more sandboxes than it can hold connections to run, end and go", { timeout: 60_000 }, async () => {
    await using small = await SandboxDaemon.startAs(
      { wrapper: ["prlimit", "--nofile=64:64", "--"] },
      "fewdescriptors",
      1_670_000_000,
      "--ready-shells",
      "0",
    );
    /** A connection that is closed for want of a descriptor was not served, and is tried again. */
    const served = (method: string, path: string, body?: object): Promise<Reply> =>
      until(path, () => small.request(method, path, body).catch(() => null), patience);
    const running: { name: string; process: { pid: number } }[] = [];
    for (let n = 0; n < 50; n += 1) {
      const reply = await served("POST", "/v1/sandboxes?start=true", { name: `n${n}`, limits: { openFiles: 32 } });
      if (reply.status === 201) running.push(reply.body);
      else if (reply.status !== 409) expectProblem(reply, 503);
    }
    expect(running.length).toBeGreaterThan(30);
    expect(readdirSync(`/proc/${small.daemon.pid}/fd`).length).toBeGreaterThanOrEqual(63);
    const [last] = running.slice(-1);
    process.kill(last?.process.pid ?? 0, "SIGKILL");
    for (const { name, process: main } of running.slice(0, -1)) {
      expect(isAlive(main.pid)).toBe(true);
      expect((await served("DELETE", `/v1/sandboxes/${name}`)).status, name).toBe(200);
    }
    expect((await small.reaches(last?.name ?? "", "stopped", patience)).status.reason).toBe("signaled");
  });
});
