/** Every change of a state is told once and in order, also what a start of the daemon finds out. */
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SQLite from "better-sqlite3";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

interface Event {
  id: number;
  type: string;
  subject: string;
  data: Record<string, unknown>;
}

// Daemons are restarted here, which takes its time on a loaded machine.
vi.setConfig({ testTimeout: 120_000 });

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("event-order", 1_166_000_000);
});
afterEach(() => host.clear());
afterAll(() => host[Symbol.asyncDispose]());

const read = async (query = ""): Promise<Event[]> =>
  (await host.request("GET", `/v1/events?${query}`)).text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
const last = async () => (await read()).at(-1)?.id ?? 0;
const states = ["created", "starting", "running", "paused", "stopping", "stopped", "failed", "deleted"];
/** The changes of a sandbox's state since then, without the facts that change none. */
const changes = async (id: string, after: number) =>
  (await read(`after=${after}&sandbox=${id}&type=sandbox.*`))
    .map(({ type, data }) => ({ state: type.slice("sandbox.".length), reason: data["reason"] }))
    .filter(({ state }) => states.includes(state));
const recovered = async (after: number) => {
  const told = await read(`after=${after}&type=daemon.recovered`);
  expect(told).toHaveLength(1);
  expect(told[0]?.subject).toBe("daemon");
  // What is told is what the daemon says of itself.
  expect(told[0]?.data).toEqual((await host.request("GET", "/v1/info")).body.recovery);
  return told[0]?.data as Record<string, string[]>;
};

describe("a start of the daemon tells once", () => {
  it("what it adopted, what ended meanwhile with its true exit, what was lost with its supervisor, and a root that was not finished", async () => {
    const [adopted, ended, lost] = [await host.run(), await host.run(), await host.run()];
    const folder = mkdtempSync(join(tmpdir(), "unshared-large-"));
    try {
      writeFileSync(join(folder, "large"), "");
      truncateSync(join(folder, "large"), 2 ** 32);
      const after = await last();
      const source = { kind: "copy", binaries: [], files: [{ source: join(folder, "large"), target: "/large" }] };
      const { body: operation } = await host.request("POST", "/v1/roots", { name: "half", source });
      const trees = () => readdirSync(join(host.daemon.stateDir, "roots")).filter((name) => name.includes(operation.subject));
      await until("that the root has begun", () => trees().length > 0, 20_000);
      await host.daemon.end("SIGKILL");
      for (const { pid } of [ended.process, lost.supervisor]) {
        process.kill(pid, "SIGKILL");
        await until("its end", () => !isAlive(pid), 20_000);
      }
      await host.daemon.start();
      await host.reaches(ended.id, "stopped", 20_000);
      expect(await recovered(after)).toMatchObject({ adopted: [adopted.id], ended: [ended.id], lost: [lost.id], rebooted: [] });

      expect(await read(`after=${after}&sandbox=${adopted.id}`)).toEqual([]);
      expect(await changes(ended.id, after)).toEqual([
        { state: "stopping", reason: "signaled" },
        { state: "stopped", reason: "signaled" },
      ]);
      const exits = (await read(`after=${after}&sandbox=${ended.id}&type=sandbox.*`)).filter(({ data }) => "exit" in data);
      expect(exits.map(({ data }) => data["exit"])).toEqual([expect.objectContaining({ reason: "signaled", signal: "SIGKILL" })]);
      expect(await changes(lost.id, after)).toEqual([{ state: "failed", reason: "supervisor-lost" }]);
      expect((await read(`after=${after}&type=root.*`)).map(({ type, subject }) => [type, subject])).toEqual([
        ["root.created", operation.subject],
        ["root.failed", operation.subject],
      ]);
      expect((await host.request("GET", `/v1/operations/${operation.id}`)).body).toMatchObject({
        state: "failed",
        problem: { code: "shutting-down" },
      });
      expect([trees(), (await host.request("GET", "/v1/roots/half")).status]).toEqual([[], 404]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("what a reboot of the host ended, and what starts after it by itself", async () => {
    const [{ id }, { id: automatic }] = [await host.run(), await host.run({ autostart: true })];
    // Both end in truth; the rows then claim that they ran when another boot was.
    const path = join(host.daemon.stateDir, "state.db");
    const select = "SELECT instance, state FROM sandboxes WHERE id = ?";
    const reader = new SQLite(path, { readonly: true });
    const instances = [id, automatic].map((each) => (reader.prepare(select).get(each) as { instance: string }).instance);
    reader.close();
    for (const each of [id, automatic]) await host.request("POST", `/v1/sandboxes/${each}/kill`, {});
    await host.daemon.end();
    const writer = new SQLite(path);
    const sql =
      "UPDATE sandboxes SET state = 'running', reason = NULL, exit = NULL, boot_id = 'another', instance = ?, stop_by = NULL WHERE id = ?";
    for (const [index, each] of [id, automatic].entries()) writer.prepare(sql).run(instances[index], each);
    const after = (writer.prepare("SELECT max(id) AS id FROM events").get() as { id: number }).id;
    writer.close();
    await host.daemon.start();
    await host.reaches(automatic, "running", 20_000);
    expect((await recovered(after))["rebooted"]?.toSorted()).toEqual([id, automatic].toSorted());
    expect(await changes(id, after)).toEqual([{ state: "failed", reason: "host-rebooted" }]);
    expect(await changes(automatic, after)).toEqual([
      { state: "failed", reason: "host-rebooted" },
      { state: "starting", reason: null },
      { state: "running", reason: null },
    ]);
    // Another start finds nothing more to tell.
    const then = await last();
    await host.daemon.end("SIGKILL");
    await host.daemon.start();
    expect(await changes(id, then)).toEqual([]);
    expect((await recovered(then))["rebooted"]).toEqual([]);
  });
});

it("a supervisor that is killed is told within a moment, once", async () => {
  const { id, supervisor } = await host.run();
  const after = await last();
  process.kill(supervisor.pid, "SIGKILL");
  await host.reaches(id, "failed", 20_000);
  expect(await changes(id, after)).toEqual([{ state: "failed", reason: "supervisor-lost" }]);
});

/** Which state may come after which (server/domain/lifecycle.ts), in the words of the events. */
const follows: Readonly<Record<string, readonly string[]>> = {
  created: ["starting", "deleted"],
  starting: ["running", "failed", "deleted"],
  running: ["paused", "stopping", "stopped", "failed"],
  paused: ["running", "stopping", "stopped", "failed"],
  stopping: ["stopped", "failed"],
  stopped: ["starting", "failed", "deleted"],
  failed: ["starting", "deleted"],
  deleted: [],
};

it("is a path through the lifecycle for each of a crowd, over kills of the daemon and of what it started", {
  timeout: 120_000,
}, async () => {
  const begin = await last();
  const collected: Event[] = [];
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  const verbs = ["start", "stop", "kill", "pause", "resume", "restart"];
  const ids: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    for (let count = 0; count < 4; count += 1) ids.push((await host.run({ restart: { policy: "on-failure", maxRetries: 1 } })).id);
    const calls = Array.from({ length: 40 }, async () => {
      const id = ids[random(ids.length)];
      const verb = verbs[random(verbs.length)];
      const body = verb === "stop" || verb === "restart" ? { graceSeconds: 0 } : {};
      if (random(12) === 0) await host.request("DELETE", `/v1/sandboxes/${id}`);
      else await host.request("POST", `/v1/sandboxes/${id}/${verb}`, body);
    });
    const victim = (await host.report(ids[random(ids.length)] ?? "")).process?.pid;
    if (victim !== undefined && isAlive(victim)) process.kill(victim, "SIGKILL");
    // The kill comes in the middle of the calls, wherever each of them is then.
    await Promise.any(calls);
    const ended = host.daemon.end("SIGKILL");
    await Promise.allSettled(calls);
    await ended;
    await host.daemon.start();
    collected.push(...(await read(`after=${collected.at(-1)?.id ?? begin}`)));
  }
  await until(
    "that all have come to rest",
    async () => {
      const { items } = (await host.request("GET", "/v1/sandboxes")).body;
      const moving = (report: { status: { state: string }; restart: { nextAt: string | null } }) =>
        ["starting", "stopping"].includes(report.status.state) || report.restart.nextAt !== null;
      return !items.some(moving);
    },
    30_000,
  );
  collected.push(...(await read(`after=${collected.at(-1)?.id ?? begin}`)));
  // Read piece by piece over the lives of the daemon, or at once at the end: the same, each once.
  expect(collected).toEqual(await read(`after=${begin}`));
  const rows = new Map((await host.request("GET", "/v1/sandboxes")).body.items.map((row: { id: string }) => [row.id, row]));
  for (const id of ids) {
    const path = collected
      .filter(({ subject, type }) => subject === id && type.startsWith("sandbox."))
      .map(({ type }) => type.slice("sandbox.".length))
      .filter((state) => states.includes(state));
    expect(path[0], id).toBe("created");
    for (const [index, state] of path.entries())
      if (index > 0) expect(follows[path[index - 1] ?? ""], `${id}: ${path.join(" ")}`).toContain(state);
    const row = rows.get(id) as { status: { state: string } } | undefined;
    expect(path.at(-1), `${id}: ${path.join(" ")}`).toBe(row === undefined ? "deleted" : row.status.state);
  }
});
