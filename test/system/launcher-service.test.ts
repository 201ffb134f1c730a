/** A launcher that is a service of its own: the daemon leaves its restart to whoever started it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const idBase = 1_310_000_000;
let host: SandboxDaemon;
let launcher: ChildProcess;

const socket = () => join(host.daemon.directory, "run/launcher.sock");
const startLauncher = (): void => {
  const directories = ["--run-dir", join(host.daemon.directory, "run"), "--state-dir", host.daemon.stateDir];
  const own = ["--cgroup-parent", host.cgroupParent, "--id-base", `${idBase}`, "--ready-shells", "1"];
  launcher = spawn(host.program, ["launcher", ...directories, ...own], { stdio: "ignore" });
};
const endLauncher = async (): Promise<void> => {
  const ended = once(launcher, "exit");
  launcher.kill();
  await ended;
};
const startedByDaemon = () => host.daemon.log.filter(({ msg }) => msg === "started the launcher").length;

beforeAll(async () => {
  host = await SandboxDaemon.start("launcher-service", idBase);
  await host.daemon.end();
  startLauncher();
  await until("the launcher", () => existsSync(socket()));
  host.daemon.log.length = 0;
  await host.daemon.start();
});
afterAll(async () => {
  await host[Symbol.asyncDispose]();
});

it("is used as it is found, and lives on when the daemon is restarted", async () => {
  expect(await host.launcherPid()).toBe(launcher.pid);
  await host.daemon.end();
  await host.daemon.start();
  expect(await host.launcherPid()).toBe(launcher.pid);
  expect(startedByDaemon()).toBe(0);
});

it("may be restarted: a launch that comes meanwhile waits for the next one", async () => {
  await endLauncher();
  await until("the daemon has noticed", () => host.daemon.log.some(({ msg }) => msg === "the connection to the launcher ended"));
  const launch = host.run({ name: "meanwhile" });
  await until("a launch that waits", async () => (await host.report("meanwhile")).status?.state === "starting");
  startLauncher();
  expect((await launch).status.state).toBe("running");
  expect([await host.launcherPid(), startedByDaemon()]).toEqual([launcher.pid, 0]);
});

it("that does not come back is replaced by one of the daemon's own", async () => {
  await endLauncher();
  await until(
    "the daemon has started one",
    async () => {
      const { body } = await host.request("POST", "/v1/sandboxes?start=true", {});
      return body.status?.state === "running" && startedByDaemon() === 1;
    },
    20_000,
  );
  expect(await host.launcherPid()).not.toBe(launcher.pid);
});
