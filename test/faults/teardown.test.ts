/**
 * What the host does not let go of: a cgroup with another in it, files below a mount, an image that somebody has in use. It is named, tried again and
 * again, also by the next daemon, and nothing is called stopped or deleted before it is gone.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { inodeOf, isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

const patience = 30_000;

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("teardown", 1_380_000_000);
});
const obstacles: (() => void)[] = [];
const freeAll = () => {
  for (const free of obstacles.splice(0)) free();
};
afterEach(async () => {
  freeAll();
  await host.clear();
});
afterAll(() => host[Symbol.asyncDispose]());

interface Report {
  id: string;
  process: { pid: number };
  supervisor: { pid: number };
  namespaces: { mnt: { inode: number } };
}

const directoryOf = ({ process: { pid } }: Report): string =>
  host.cgroups().find((each) => each.endsWith(host.cgroupOf(pid))) ?? "no cgroup";

/** A cgroup inside that of the sandbox, which the kernel does not remove with it. */
const nestCgroup = (report: Report): void => {
  const child = join(directoryOf(report), "in-the-way");
  mkdirSync(child);
  obstacles.push(() => rmdirSync(child));
};

/** A mount of the host's on a directory that the sandbox has made. */
const mountBelow = async ({ id }: Report): Promise<void> => {
  const busy = join(host.daemon.stateDir, "sandboxes", id, "upper/busy");
  await until("the directory", () => existsSync(busy), patience);
  expect(spawnSync("mount", ["-t", "tmpfs", "none", busy]).status).toBe(0);
  obstacles.push(() => spawnSync("umount", [busy]));
};

/** A process of the host's in the sandbox's mount namespace, and in none of its cgroups. */
const enterMounts = async ({ process: { pid }, namespaces }: Report): Promise<void> => {
  const holder = spawn("nsenter", ["--mount", "--target", String(pid), "sleep", "1000"], { stdio: "ignore" });
  obstacles.push(() => holder.kill("SIGKILL"));
  await until("it is inside", () => inodeOf(holder.pid ?? 0, "mnt") === namespaces.mnt.inode, patience);
};

const held = (name: string, what: RegExp) =>
  until(
    `${name} says that it is held by ${what}`,
    async () => {
      const { status } = await host.report(name);
      return status.state === "stopping" && what.test(status.message) && status;
    },
    patience,
  );
const receipt = async (name: string) => (await host.request("GET", `/v1/sandboxes/${name}/receipt`)).body;
const deleted = (name: string) =>
  until(`${name} is deleted`, async () => (await host.request("GET", `/v1/sandboxes/${name}`)).status === 404, patience);

it("each thing is named and waited for, over a new daemon", { timeout: 120_000 }, async () => {
  const ended = await host.run({ name: "ended" });
  nestCgroup(ended);
  const lost = await host.run({ name: "lost" });
  nestCgroup(lost);
  const used = await host.run({ name: "used", limits: { diskBytes: 33_554_432 } });
  const slot = directoryOf(used);
  await enterMounts(used);
  const mounted = await host.run({ name: "mounted", command: ["/bin/bash", "-c", "mkdir /busy; read"] });
  await mountBelow(mounted);

  process.kill(lost.supervisor.pid, "SIGKILL");
  for (const { process: main } of [ended, used]) process.kill(main.pid, "SIGKILL");
  const refused = expectProblem(await host.request("DELETE", "/v1/sandboxes/mounted"), 503);
  const filesBusy = /^files: .*\/busy: Device or resource busy$/;
  expect([refused.code, refused["state"], refused["remaining"]]).toEqual([
    "teardown-incomplete",
    "stopping",
    [expect.stringMatching(filesBusy)],
  ]);
  for (const verb of ["stop", "kill"])
    expect((await host.request("POST", `/v1/sandboxes/mounted/${verb}`, {})).body.code).toBe("teardown-incomplete");

  const all = {
    ended: /the cgroup .*: Device or resource busy/,
    lost: /unshared-teardown.*: Device or resource busy/,
    used: /disk image/,
    mounted: /files: /,
  };
  const allHeld = async () => {
    for (const [name, what] of Object.entries(all)) {
      await held(name, what);
      expect(await receipt(name)).toMatchObject({ complete: false, remaining: [expect.stringMatching(what)] });
      expect(expectProblem(await host.request("POST", `/v1/sandboxes/${name}/start`, {}), 409).code).toBe("state-conflict");
    }
    for (const { process: main } of [ended, lost, used, mounted]) expect(isAlive(main.pid)).toBe(false);
    // Whose disk is in use keeps its place.
    expect(existsSync(slot)).toBe(true);
  };
  await allHeld();
  expect((await host.report("lost")).status.reason).toBe("supervisor-lost");
  await host.daemon.end("SIGKILL");
  await host.daemon.start();
  await allHeld();

  freeAll();
  expect((await host.reaches("ended", "stopped", patience)).status).toMatchObject({ reason: "signaled" });
  expect((await host.reaches("used", "stopped", patience)).status).toMatchObject({ reason: "signaled" });
  expect((await host.reaches("lost", "failed", patience)).status).toMatchObject({ reason: "supervisor-lost" });
  for (const name of ["ended", "used", "lost"]) expect(await receipt(name)).toMatchObject({ complete: true, remaining: [] });
  await deleted("mounted");
  expect(existsSync(join(host.daemon.stateDir, "sandboxes", mounted.id))).toBe(false);
  const events = (await host.request("GET", `/v1/events?sandbox=${mounted.id}`)).text.match(/sandbox\.\w+/g) ?? [];
  expect([events.at(-1), events.filter((each) => each === "sandbox.deleted").length]).toEqual(["sandbox.deleted", 1]);
  expect(host.cgroups().filter((path) => path.endsWith("in-the-way") || path === slot)).toEqual([]);
  expect((await host.request("POST", "/v1/sandboxes/ended/start", {})).body.status.state).toBe("running");
});

it("stop and delete name it, and the deletion goes on by itself", { timeout: 120_000 }, async () => {
  nestCgroup(await host.run({ name: "box" }));
  for (const [method, path] of [
    ["POST", "/v1/sandboxes/box/kill"],
    ["DELETE", "/v1/sandboxes/box"],
  ] as const) {
    const problem = expectProblem(await host.request(method, path), 503);
    expect([problem.code, problem.retryable, problem["remaining"]]).toEqual([
      "teardown-incomplete",
      true,
      [expect.stringMatching(/the cgroup .*: Device or resource busy/)],
    ]);
  }
  freeAll();
  await deleted("box");
});
