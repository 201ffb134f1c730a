/** Pause and resume, seen from the kernel: cgroup.events, and whether a counter goes on. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { RawClient } from "../supervisor/raw-client.ts";

const v2 = existsSync("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("pause", 1_860_000_000);
});
afterAll(() => host[Symbol.asyncDispose]());

const counter = { command: ["/bin/bash", "-c", "i=0; while :; do echo $((i += 1)) > /count; done"] };
const post = (id: string, verb: string, body?: object) => host.request("POST", `/v1/sandboxes/${id}/${verb}`, body);
const count = (id: string): string => {
  try {
    return readFileSync(join(host.daemon.stateDir, "sandboxes", id, "upper/count"), "utf8");
  } catch {
    return "";
  }
};
const frozen = (pid: number): boolean => /^frozen 1$/m.test(readFileSync(join(v2, host.cgroupOf(pid), "cgroup.events"), "utf8"));
/** Utime and stime of the main process, in ticks (proc_pid_stat(5)). */
const ticks = (pid: number): string => readFileSync(`/proc/${pid}/stat`, "utf8").split(" ").slice(13, 15).join(" ");
const goesOn = async (id: string): Promise<void> => {
  const before = count(id);
  await until("the counter goes on", () => count(id) !== before && count(id) !== "");
};

it("stops every process where it stands, and lets it go on", async () => {
  const { id, process } = await host.run(counter);
  await goesOn(id);
  const paused = await post(id, "pause");
  expect([paused.status, paused.body.status.state]).toEqual([200, "paused"]);
  expect(frozen(process.pid)).toBe(true);
  const [used, counted] = [ticks(process.pid), count(id)];
  await new Promise((later) => setTimeout(later, 300));
  expect([ticks(process.pid), count(id)]).toEqual([used, counted]);
  expect((await post(id, "pause")).body.status.state).toBe("paused");
  expect(paused.body.process).toEqual(process);

  const resumed = await post(id, "resume");
  expect([resumed.status, resumed.body.status.state]).toEqual([200, "running"]);
  expect(frozen(process.pid)).toBe(false);
  await goesOn(id);
  expect((await post(id, "resume")).body.status.state).toBe("running");
});

it("refuses what would stand still at once, and sandboxes that do not run", async () => {
  const { id } = await host.run(counter);
  await post(id, "pause");
  const exec = await host.request("POST", `/v1/sandboxes/${id}/processes`, { command: ["true"] });
  expect([exec.status, exec.body.code]).toEqual([409, "state-conflict"]);
  const files = await host.request("GET", `/v1/sandboxes/${id}/files?path=/count`);
  expect([files.status, files.body.code]).toEqual([409, "state-conflict"]);
  const start = await post(id, "start");
  expect([start.status, start.body.code]).toEqual([409, "state-conflict"]);
  await post(id, "kill");
  for (const verb of ["pause", "resume"]) expect((await post(id, verb)).body.code).toBe("state-conflict");
  expect((await post("nobody", "pause")).body.code).toBe("sandbox-not-found");
});

it.each(["stop", "kill", "delete"])("%s works on a paused one, and leaves nothing", async (verb) => {
  const command = ["/bin/bash", "-c", "trap 'echo bye > /bye; exit 3' TERM; echo up > /count; while :; do sleep 0.05; done"];
  const { id, process } = await host.run({ command });
  await until("the trap is set", () => count(id) !== "");
  await post(id, "pause");
  const { status, body } = verb === "delete" ? await host.request("DELETE", `/v1/sandboxes/${id}`) : await post(id, verb);
  expect(status).toBe(200);
  expect(isAlive(process.pid)).toBe(false);
  if (verb === "delete") expect(body.complete).toBe(true);
  else expect(body.status).toMatchObject({ state: "stopped", reason: "stopped-by-user" });
  // With a grace it is let go on first, so that it can end in order.
  if (verb === "stop") expect(body.exit).toMatchObject({ reason: "exited", code: 3 });
});

it("is adopted as it is found by the next daemon", async () => {
  const { id, process } = await host.run(counter);
  await goesOn(id);
  await post(id, "pause");
  await host.daemon.end("SIGKILL");
  await host.daemon.start();
  expect((await host.report(id)).status.state).toBe("paused");
  expect(frozen(process.pid)).toBe(true);
  expect((await post(id, "resume")).body.status.state).toBe("running");
  await goesOn(id);
});

it("is told as it is where the daemon died before it could store an order that was done", async () => {
  const { id } = await host.run(counter);
  for (const [state, frozen] of [
    ["paused", 1],
    ["running", 0],
  ] as const) {
    await host.daemon.end("SIGKILL");
    const supervisor = await RawClient.open(join(host.daemon.directory, "run/sandboxes", `${id}.sock`));
    expect((await supervisor.ask("FREEZE", { frozen })).name).toBe("DONE");
    supervisor.close();
    await host.daemon.start();
    expect((await host.report(id)).status.state).toBe(state);
  }
});

it("is told by events, once each", async () => {
  const { id } = await host.run(counter);
  await post(id, "pause");
  await post(id, "resume");
  const { text } = await host.request("GET", `/v1/events?sandbox=${id}`);
  const types = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).type);
  expect(types.filter((type) => type.startsWith("sandbox."))).toEqual([
    "sandbox.created",
    "sandbox.starting",
    "sandbox.running",
    "sandbox.paused",
    "sandbox.running",
  ]);
});

it("refuses to end one process of a sandbox that stands still: nobody inside could reap it", async () => {
  const { id } = await host.run();
  await post(id, "pause");
  const refused = await host.request("DELETE", `/v1/sandboxes/${id}/processes/main`);
  expect([refused.status, refused.body.code, refused.body.state]).toEqual([409, "state-conflict", "paused"]);
  await post(id, "resume");
  expect((await host.request("DELETE", `/v1/sandboxes/${id}/processes/main`)).body.exit.signal).toBe("SIGKILL");
});
