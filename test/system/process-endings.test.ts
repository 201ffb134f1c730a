/** What becomes of processes when their sandbox, the daemon or their supervisor ends. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

let daemon: SandboxDaemon;
const base = "/v1/sandboxes/box/processes";
beforeAll(async () => {
  daemon = await SandboxDaemon.start("process-endings", 1_715_000_000);
  await daemon.run({ name: "box", command: ["sleep", "infinity"] });
});
afterAll(() => daemon[Symbol.asyncDispose]());

// biome-ignore lint/suspicious/noExplicitAny: tests state the shape of what they look into
const started = async (body: object): Promise<any> => {
  const reply = await daemon.request("POST", base, body);
  expect(reply.status, reply.text).toBe(201);
  return reply.body;
};
const get = async (id: string, query = "") => (await daemon.request("GET", `${base}/${id}${query}`)).body;

describe("the end of the sandbox", () => {
  it("ends its processes; their exits and their output stay known", async () => {
    await daemon.run({ name: "brief", command: ["/bin/sh", "-c", "echo main; exec cat"] });
    const { body } = await daemon.request("POST", "/v1/sandboxes/brief/processes", { script: "echo one; exec sleep 100" });
    for (const id of ["main", body.id])
      await until("its line", async () => (await daemon.request("GET", `/v1/sandboxes/brief/processes/${id}/output`)).text !== "", 20_000);
    await daemon.request("POST", "/v1/sandboxes/brief/stop", { graceSeconds: 0 });
    const path = `/v1/sandboxes/brief/processes/${body.id}`;
    expect((await daemon.request("GET", path)).body).toMatchObject({
      state: "ended",
      pid: null,
      exit: { reason: "signaled", signal: "SIGKILL" },
    });
    expect((await daemon.request("GET", "/v1/sandboxes/brief/processes/main")).body).toMatchObject({ state: "ended", pid: null });
    const lines = async (of: string) =>
      (await daemon.request("GET", `${of}/output?follow=true`)).text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
    expect(await lines(path)).toMatchObject([
      { seq: 1, data: "one\n" },
      { seq: 2, exit: { signal: "SIGKILL" } },
    ]);
    expect(await lines("/v1/sandboxes/brief/processes/main")).toMatchObject([
      { seq: 1, data: "main\n" },
      { seq: 2, exit: {} },
    ]);
    expect((await daemon.request("GET", `${path}?wait=true`)).body.output).toMatchObject({ stdout: { data: "one\n" }, droppedBytes: 0 });
    expectProblem(await daemon.request("POST", `${path}/signal`, { signal: "TERM" }), 409);
    await daemon.request("DELETE", "/v1/sandboxes/brief");
  });

  it("is waited for by those who wait for its processes", async () => {
    await daemon.run({ name: "waited" });
    const { body } = await daemon.request("POST", "/v1/sandboxes/waited/processes", { command: ["sleep", "100"] });
    const waiting = daemon.request("GET", `/v1/sandboxes/waited/processes/${body.id}?wait=30`);
    const main = daemon.request("GET", "/v1/sandboxes/waited/processes/main?wait=30");
    await daemon.request("POST", "/v1/sandboxes/waited/kill");
    expect((await waiting).body.exit.signal).toBe("SIGKILL");
    expect((await main).body.exit.signal).toBe("SIGKILL");
    await daemon.request("DELETE", "/v1/sandboxes/waited");
  });
});

describe("a restart of the daemon", () => {
  it("keeps processes with their numbers, takes in what ended meanwhile, and holds time limits", async () => {
    const steady = await started({ command: ["sleep", "100"] });
    const brief = await started({ script: "sleep 0.4; exit 9" });
    const limited = await started({ command: ["sleep", "100"], timeoutSeconds: 0.5 });
    await daemon.daemon.end("SIGKILL");
    await new Promise((next) => setTimeout(next, 800));
    await daemon.daemon.start();
    expect(await get(steady.id)).toEqual(steady);
    expect((await get(brief.id)).exit).toMatchObject({ reason: "exited", code: 9 });
    expect((await get(brief.id)).exit.durationMs).toBeGreaterThan(390);
    expect((await get(limited.id)).exit).toMatchObject({ reason: "timed-out" });
    await daemon.request("DELETE", `${base}/${steady.id}`);
  });

  it("says of a process whose supervisor was killed that its end was not seen", async () => {
    const lost = await daemon.run({ name: "lost" });
    const { body } = await daemon.request("POST", "/v1/sandboxes/lost/processes", { command: ["sleep", "100"] });
    const waiting = daemon.request("GET", `/v1/sandboxes/lost/processes/${body.id}?wait=30`);
    process.kill(lost.supervisor.pid, "SIGKILL");
    expect(expectProblem(await waiting, 500).code).toBe("process-lost");
    expect((await daemon.request("GET", `/v1/sandboxes/lost/processes/${body.id}`)).body).toMatchObject({
      state: "lost",
      exit: null,
      pid: null,
    });
    await daemon.request("DELETE", "/v1/sandboxes/lost");
  });
});

describe("the end of the supervisor", () => {
  it("is what a process that was to be killed ends with, too: it is told as lost, and not refused", async () => {
    const report = await daemon.run({ name: "hung", command: ["sleep", "infinity"] });
    const path = "/v1/sandboxes/hung/processes";
    const { body } = await daemon.request("POST", path, { command: ["sleep", "infinity"] });
    process.kill(report.supervisor.pid, "SIGSTOP");
    const asked = [daemon.request("DELETE", `${path}/main`), daemon.request("DELETE", `${path}/${body.id}`)];
    expect(await Promise.race([...asked, new Promise<null>((next) => setTimeout(() => next(null), 300))])).toBe(null);
    process.kill(report.supervisor.pid, "SIGKILL");
    for (const reply of await Promise.all(asked)) expect(reply).toMatchObject({ status: 200, body: { state: "lost", pid: null } });
    expect((await daemon.reaches("hung", "failed", 20_000)).status.reason).toBe("supervisor-lost");
    for (const pid of [report.process.pid, body.pid]) expect(isAlive(pid)).toBe(false);
    await daemon.request("DELETE", "/v1/sandboxes/hung");
  });
});

it("a main process that is not there yet, since the sandbox is being started, cannot be ended", async () => {
  const launcher = await daemon.launcherPid();
  process.kill(launcher, "SIGSTOP");
  const starting = daemon.request("POST", "/v1/sandboxes?start=true", { name: "slow" });
  try {
    await until("its launch", async () => (await daemon.report("slow")).status?.state === "starting", 20_000);
    const problem = expectProblem(await daemon.request("DELETE", "/v1/sandboxes/slow/processes/main"), 409);
    expect(problem).toMatchObject({ code: "state-conflict", state: "starting" });
  } finally {
    process.kill(launcher, "SIGCONT");
  }
  expect((await starting).status).toBe(201);
  expect((await daemon.request("DELETE", "/v1/sandboxes/slow/processes/main")).body).toMatchObject({ exit: { signal: "SIGKILL" } });
  await daemon.request("DELETE", "/v1/sandboxes/slow");
});
