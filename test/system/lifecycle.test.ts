/** The verbs in every state that can be reached over HTTP: once, twice, and all at once. */
import { execSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { commandLine, isAlive, startTicksOf, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

/** A main process that does not care about TERM, and says in its command line that it has come so far. */
const deaf = { command: ["/bin/bash", "-c", "trap '' TERM; sleep 1001 & wait; wait; sleep 1002"] };

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("lifecycle", 1_140_000_000);
});
afterAll(() => host[Symbol.asyncDispose]());

const post = (name: string, verb: string, body: object = {}) => host.request("POST", `/v1/sandboxes/${name}/${verb}`, body);
const remove = (name: string) => host.request("DELETE", `/v1/sandboxes/${name}`);
const create = async (definition: object) => (await host.request("POST", "/v1/sandboxes", definition)).body;
const nothingRuns = { process: null, supervisor: null, namespaces: null, enter: null, ids: null, bootId: null };
/** Supervisors that guard this sandbox: the second word of their title is its id. */
const supervisorsOf = (id: string): number[] => host.ownProcesses().filter((pid) => commandLine(pid).join(" ").includes(id));
const runDeaf = async (name: string) => {
  const report = await host.run({ name, ...deaf });
  await until("the trap", () => host.pidsInside(report).some((pid) => commandLine(pid)[1] === "1001"));
  return report;
};

describe("a sandbox at rest", () => {
  const atRest: [string, () => Promise<string>][] = [
    ["created", async () => (await create({})).id],
    [
      "stopped",
      async () => {
        const { id } = await host.run();
        await post(id, "kill");
        return id;
      },
    ],
    [
      "failed",
      async () => {
        const { id } = await create({ command: ["/no/such"] });
        expect((await post(id, "start")).body.code).toBe("command-not-found");
        return id;
      },
    ],
  ];
  for (const [state, make] of atRest) {
    it(`${state}: stop and kill are accepted and change nothing, delete removes it`, async () => {
      const id = await make();
      const before = await host.report(id);
      expect(before).toMatchObject({ status: { state }, ...nothingRuns });
      for (const verb of ["stop", "kill", "stop"]) {
        const { status, body } = await post(id, verb);
        expect([status, body], verb).toEqual([200, before]);
      }
      expect((await remove(id)).body).toMatchObject({ processes: 0, complete: true });
      expect((await remove(id)).status).toBe(404);
    });
  }

  it("stopped: starts again, as another instance with the same files", async () => {
    const first = await host.run({ name: "again" });
    execSync(`${first.enter} /bin/bash -c 'echo kept > /kept'`);
    await post("again", "stop", { graceSeconds: 5 });
    const { status, body: second } = await post("again", "start");
    expect(status).toBe(200);
    expect(second).toMatchObject({ id: first.id, generation: first.generation, status: { state: "running", reason: null }, exit: null });
    expect(second.process.pid).not.toBe(first.process.pid);
    expect(isAlive(first.process.pid)).toBe(false);
    // An id range belongs to the instance; on the disk the ids are plain, so the file is root's again.
    expect(execSync(`${second.enter} /bin/bash -c 'stat -c "%u %g" /kept; cat /kept'`, { encoding: "utf8" })).toBe("0 0\nkept\n");
  });

  it("failed: says what failed", async () => {
    const { id } = await create({ name: "mended", command: ["/late"] });
    await post(id, "start");
    expect((await host.report(id)).status).toMatchObject({
      state: "failed",
      reason: "launch-failed",
      message: expect.stringContaining("/late"),
    });
    expect(supervisorsOf(id)).toEqual([]);
  });

  it("restart starts it", async () => {
    await create({ name: "restarted" });
    expect((await post("restarted", "restart")).body.status.state).toBe("running");
  });
});

describe("a running sandbox", () => {
  it("start answers the report as it is", async () => {
    const report = await host.run({ name: "started" });
    const { status, body } = await post("started", "start");
    expect([status, body]).toEqual([200, report]);
  });

  it("stop asks by TERM and gives it time", async () => {
    await host.run({ name: "polite", command: ["/bin/bash", "-c", "trap 'exit 3' TERM; sleep 1001 & wait"] });
    await until("the trap", async () => host.pidsInside(await host.report("polite")).some((pid) => commandLine(pid)[1] === "1001"));
    const { status, body } = await post("polite", "stop", { graceSeconds: 60 });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      status: { state: "stopped", reason: "stopped-by-user" },
      exit: { reason: "exited", code: 3, signal: null },
      ...nothingRuns,
    });
    expect(body.exit.durationMs).toBeLessThan(10_000);
  });

  it("stop kills what ignores TERM when the grace is over, and not before", async () => {
    const report = await runDeaf("deaf");
    const began = performance.now();
    const { body } = await post("deaf", "stop", { graceSeconds: 0.5 });
    expect(performance.now() - began).toBeGreaterThan(490);
    expect(body).toMatchObject({
      status: { state: "stopped", reason: "stopped-by-user" },
      exit: { reason: "signaled", code: null, signal: "SIGKILL" },
      ...nothingRuns,
    });
    expect(startTicksOf(report.process.pid)).toBe(0);
    const receipt = (await host.request("GET", "/v1/sandboxes/deaf/receipt")).body;
    expect(receipt).toMatchObject({ id: report.id, reason: "stopped-by-user", processes: 3, complete: true, remaining: [] });
  });

  it("kill does not ask", async () => {
    const report = await runDeaf("killed");
    const { body } = await post("killed", "kill");
    expect(body).toMatchObject({ status: { state: "stopped", reason: "stopped-by-user" }, exit: { signal: "SIGKILL" }, ...nothingRuns });
    await until("no supervisor", () => supervisorsOf(report.id).length === 0);
  });

  it("restart gives another process in the same sandbox", async () => {
    const report = await host.run({ name: "anew" });
    const { body } = await post("anew", "restart", { graceSeconds: 1 });
    expect(body).toMatchObject({ id: report.id, status: { state: "running" } });
    expect(body.process).not.toEqual(report.process);
    expect(isAlive(report.process.pid)).toBe(false);
    expect(isAlive(body.process.pid)).toBe(true);
  });
});

describe("a stopping sandbox", () => {
  const stopping = async (name: string) => {
    const report = await runDeaf(name);
    const stopped = post(name, "stop", { graceSeconds: 60 });
    await host.reaches(name, "stopping");
    return { report, stopped };
  };

  it("still names its processes, and cannot be started", async () => {
    const { report, stopped } = await stopping("stopping");
    expect(await host.report("stopping")).toMatchObject({ process: report.process, namespaces: report.namespaces });
    const { status, body } = await post("stopping", "start");
    expect([status, body.code, body.state]).toEqual([409, "state-conflict", "stopping"]);
    expect((await post("stopping", "kill")).body.status).toMatchObject({ state: "stopped", reason: "stopped-by-user" });
    expect((await stopped).body.status.state).toBe("stopped");
  });

  it("is stopped sooner by a second stop with less grace", async () => {
    const { stopped } = await stopping("sooner");
    expect((await post("sooner", "stop", { graceSeconds: 0 })).body.status.state).toBe("stopped");
    expect((await stopped).status).toBe(200);
  });

  it("is deleted at once", async () => {
    const { report, stopped } = await stopping("deleted");
    expect((await remove("deleted")).body).toMatchObject({ reason: "deleted", processes: 3, complete: true });
    expect([200, 404]).toContain((await stopped).status);
    expect(startTicksOf(report.process.pid)).toBe(0);
  });
});

describe("at once", () => {
  const times = <T>(count: number, work: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: count }, work));

  it("ten starts give one instance", async () => {
    const { id } = await create({ name: "raced" });
    const replies = await times(10, () => post(id, "start"));
    for (const { status, body } of replies) expect(status === 200 || body.code === "state-conflict").toBe(true);
    const pids = new Set(replies.filter(({ status }) => status === 200).map(({ body }) => body.process.pid));
    expect([...pids]).toEqual([(await host.report(id)).process.pid]);
    expect(supervisorsOf(id)).toHaveLength(1);
  });

  it("five stops, five kills and five deletes all come to an answer", async () => {
    const { id } = await host.run({ name: "stopped-by-many" });
    for (const { body } of await times(5, () => post(id, "stop", { graceSeconds: 5 }))) expect(body.status.state).toBe("stopped");
    for (const { body } of await times(5, () => post(id, "kill"))) expect(body.status.state).toBe("stopped");
    await post(id, "start");
    // All five lie before the daemon when it looks: one that came after the end of the first would rightly be told 404.
    process.kill(host.daemon.pid, "SIGSTOP");
    const asked = times(5, () => remove(id));
    await new Promise((next) => setTimeout(next, 100));
    process.kill(host.daemon.pid, "SIGCONT");
    const receipts = await asked;
    expect(new Set(receipts.map(({ status }) => status))).toEqual(new Set([200]));
    for (const { body } of receipts) expect(body).toMatchObject({ id, complete: true });
    expect(supervisorsOf(id)).toEqual([]);
  });

  it("a start and a delete leave nothing, whichever wins", async () => {
    for (let round = 0; round < 5; round++) {
      const { id } = await create({});
      const [started, removed] = await Promise.all([post(id, "start"), remove(id)]);
      expect([200, 404, 409]).toContain(started.status);
      expect(removed.status).toBe(200);
      expect((await host.request("GET", `/v1/sandboxes/${id}`)).status).toBe(404);
      await until("no supervisor", () => supervisorsOf(id).length === 0);
    }
  });

  it("starts, stops, kills and restarts end in one instance or none", async () => {
    const { id } = await create({ name: "tumult" });
    const verbs = ["start", "stop", "restart", "kill", "start", "restart", "stop", "start"];
    const replies = await Promise.all(
      [...verbs, ...verbs].map((verb) => post(id, verb, verb === "stop" || verb === "restart" ? { graceSeconds: 0 } : {})),
    );
    for (const { status, text } of replies) expect([200, 409], text).toContain(status);
    const { status, process } = await host.report(id);
    expect(["running", "stopped"]).toContain(status.state);
    await until("one supervisor or none", () => supervisorsOf(id).length === (status.state === "running" ? 1 : 0));
    if (process !== null) expect(startTicksOf(process.pid)).toBe(process.startTicks);
  });
});
