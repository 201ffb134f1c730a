import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DomainError } from "../../server/domain/errors.ts";
import { type Job, type Operation, Operations } from "../../server/domain/operations.ts";
import type { BuildControl } from "../../server/domain/root-ports.ts";
import { Database } from "../../server/store/database.ts";
import { SqlOperationStore } from "../../server/store/operations.ts";

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let directory: string;
let database: Database;
let operations: Operations;
const ended: string[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "unshared-operations-"));
  database = new Database(join(directory, "state.db"));
  operations = new Operations(new SqlOperationStore(database), database, quiet);
  ended.length = 0;
});
afterEach(async () => {
  await operations.shutDown();
  await database.close();
  await rm(directory, { recursive: true });
});

const start = (work: (control: BuildControl) => Promise<Record<string, unknown>>, more: Partial<Job> = {}): Operation =>
  operations.start({
    kind: "test",
    subject: "subject",
    work,
    succeeded: () => void ended.push("succeeded"),
    failed: (problem) => void ended.push(problem?.code ?? "cancelled"),
    ...more,
  });
const untilAborted = ({ signal }: BuildControl): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

describe("operations", () => {
  it("end with the result of their work, stored", async () => {
    const { id } = start(async ({ report }) => {
      report("halfway", 0.5, "a thing");
      return { answer: 42 };
    });
    const operation = await operations.wait(id, 5000);
    expect(operation).toMatchObject({
      state: "succeeded",
      phase: "done",
      progress: 1,
      result: { answer: 42 },
      problem: null,
      message: null,
    });
    expect(new SqlOperationStore(database).get(id)).toMatchObject({
      state: "succeeded",
      result: { answer: 42 },
      endedAt: operation.endedAt,
    });
    expect(ended).toEqual(["succeeded"]);
  });

  it("keep a refusal as their problem, and hide what nobody foresaw", async () => {
    const refused = start(() => Promise.reject(new DomainError("root-provision-failed", "no", { members: { log: ["x"] } })));
    expect((await operations.wait(refused.id, 5000)).problem).toEqual({
      code: "root-provision-failed",
      detail: "no",
      members: { log: ["x"] },
    });
    const broken = start(() => Promise.reject(new Error("secret")));
    const { state, problem } = await operations.wait(broken.id, 5000);
    expect([state, problem?.code]).toEqual(["failed", "internal"]);
    expect(JSON.stringify(problem)).not.toContain("secret");
  });

  it("are cancelled once their work has let go; again changes nothing", async () => {
    let cleaned = false;
    const { id } = start((control) =>
      untilAborted(control).finally(() => new Promise((done) => setTimeout(done, 30)).then(() => (cleaned = true))),
    );
    await operations.wait(id, 20);
    const first = await operations.cancel(id);
    expect([first.state, first.problem, cleaned, ended]).toEqual(["cancelled", null, true, ["cancelled"]]);
    expect(await operations.cancel(id)).toEqual(first);
  });

  it("can be cancelled before their work has begun", async () => {
    let begun = false;
    const { id } = start(async () => {
      begun = true;
      return {};
    });
    expect([(await operations.cancel(id)).state, begun]).toEqual(["cancelled", false]);
  });

  it("are waited for no longer than asked", async () => {
    const { id } = start(untilAborted);
    expect((await operations.wait(id, 40)).state).toBe("running");
    expect(operations.running("subject")?.id).toBe(id);
  });

  it("are watched through to the end", async () => {
    const { id } = start(async ({ report }) => {
      for (const part of [0.2, 0.4, 0.6]) {
        report("counting", part);
        await new Promise((next) => setTimeout(next, 120));
      }
      return {};
    });
    const seen: string[] = [];
    for await (const { state, progress } of operations.watch(id, new AbortController().signal)) seen.push(`${state} ${progress}`);
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.at(-1)).toBe("succeeded 1");
  });

  it("are left by a watcher that goes away", async () => {
    const { id } = start(untilAborted);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 30);
    const seen: string[] = [];
    for await (const { state } of operations.watch(id, controller.signal)) seen.push(state);
    expect(seen).toEqual(["running"]);
  });

  it("fail with the daemon: when it stops, and when the next one finds them running", async () => {
    const stopped = start(untilAborted);
    await operations.shutDown();
    expect(operations.get(stopped.id)).toMatchObject({ state: "failed", problem: { code: "shutting-down" } });
    const store = new SqlOperationStore(database);
    store.insert({ ...stopped, id: "01lost0000000000000000000a" });
    expect(operations.recover()).toBe(1);
    expect(store.get("01lost0000000000000000000a")).toMatchObject({ state: "failed", problem: { code: "shutting-down" } });
  });

  it("are told as ended by nobody where the disk did not take it", async () => {
    const place = await mkdtemp(join(tmpdir(), "unshared-operations-"));
    const lost = new Database(join(place, "state.db"));
    const own = new Operations(new SqlOperationStore(lost), lost, quiet);
    const gate = Promise.withResolvers<Record<string, unknown>>();
    const job = { kind: "test", subject: "subject", work: () => gate.promise, succeeded: () => {}, failed: () => {} };
    const { id } = own.start(job);
    const waited = expect(own.wait(id, 5000)).rejects.toMatchObject({ code: "storage-failed" });
    const watched = expect(Array.fromAsync(own.watch(id, new AbortController().signal))).rejects.toMatchObject({ code: "storage-failed" });
    await rm(place, { recursive: true });
    gate.resolve({});
    await Promise.all([waited, watched]);
    await expect(own.shutDown()).resolves.toBe(undefined);
  });

  it("that are not there are refused", async () => {
    expect(() => operations.get("none")).toThrow(expect.objectContaining({ code: "operation-not-found" }));
    await expect(operations.cancel("none")).rejects.toMatchObject({ code: "operation-not-found" });
    await expect(operations.wait("none", 10)).rejects.toMatchObject({ code: "operation-not-found" });
  });
});
