/**
 * A launcher that hangs for longer than a launch may take, and then does what it was told: who asked has been told that it failed, and what
 * comes to be after all is ended, whether its daemon lives or another one has come in between.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

const patience = 20_000;
const [living, killed] = ["living", "killed"];
const hosts: Record<string, SandboxDaemon> = {};
beforeAll(async () => {
  // Without prepared shells the launcher has no other process.
  const flags = ["--ready-shells", "0"];
  hosts[living] = await SandboxDaemon.start("late", 1_630_000_000, ...flags);
  hosts[killed] = await SandboxDaemon.start("late-killed", 1_640_000_000, ...flags);
});
/** Launchers that hang; a test that failed leaves its own so. */
const hung = new Set<number>();
afterAll(async () => {
  for (const launcher of hung) process.kill(launcher, "SIGCONT");
  await Promise.all(Object.values(hosts).map((host) => host[Symbol.asyncDispose]()));
});

/** A sandbox that was never started, and the pid of the launcher, which hangs from here on. */
const withHungLauncher = async (name: string): Promise<[SandboxDaemon, number]> => {
  const host = hosts[name] as SandboxDaemon;
  expect((await host.request("POST", "/v1/sandboxes", { name: "stored" })).status).toBe(201);
  const launcher = await host.launcherPid();
  process.kill(launcher, "SIGSTOP");
  hung.add(launcher);
  return [host, launcher];
};

const goOn = (launcher: number): void => {
  hung.delete(launcher);
  process.kill(launcher, "SIGCONT");
};

const nothingRuns = (host: SandboxDaemon, launcher: number): Promise<unknown> =>
  until("no process but the launcher", () => host.processes().join() === String(launcher), patience);

it.concurrent("ends what is launched after its caller was told that it failed (check 70)", { timeout: 90_000 }, async () => {
  const [host, launcher] = await withHungLauncher(living);
  const answers = await Promise.all([
    host.request("POST", "/v1/sandboxes?start=true", { name: "made" }),
    host.request("POST", "/v1/sandboxes/stored/start", {}),
  ]).finally(() => goOn(launcher));
  for (const answer of answers) expect(expectProblem(answer, 504).code).toBe("deadline-exceeded");
  // The new ones come before anything else that the launcher is asked.
  expect((await host.request("GET", "/v1/preflight")).status).toBe(200);
  await nothingRuns(host, launcher);
  await until(
    "no files of the one that was never answered",
    () => readdirSync(join(host.daemon.stateDir, "sandboxes")).length < 2,
    patience,
  );
  expect((await host.report("stored")).status).toMatchObject({ state: "failed", reason: "launch-failed" });
  expect((await host.request("POST", "/v1/sandboxes/stored/start", {})).status).toBe(200);
  expect((await host.request("DELETE", "/v1/sandboxes/stored")).body.complete).toBe(true);
  await nothingRuns(host, launcher);
});

it.concurrent("goes on with a deletion that such a launch came into, after a kill -9 too (checks 65 and 70)", {
  timeout: 90_000,
}, async () => {
  const [host, launcher] = await withHungLauncher(killed);
  expectProblem(await host.request("POST", "/v1/sandboxes/stored/start", {}), 504);
  const deletion = host.request("DELETE", "/v1/sandboxes/stored").catch(() => null);
  await until("a deletion", async () => (await host.request("GET", "/v1/sandboxes/stored/receipt")).body.complete === false, patience);
  await host.daemon.end("SIGKILL");
  await deletion;
  goOn(launcher);
  await until("the late sandbox", () => host.processes().length > 2, patience);
  await host.daemon.start();
  await until("nothing stored", async () => (await host.request("GET", "/v1/sandboxes")).body.items.length === 0, patience);
  await nothingRuns(host, await host.launcherPid());
  expect(readdirSync(join(host.daemon.stateDir, "sandboxes"))).toEqual([]);
});
