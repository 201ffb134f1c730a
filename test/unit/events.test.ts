import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EventLog } from "../../server/domain/events.ts";
import { Database } from "../../server/store/database.ts";
import { EventStore } from "../../server/store/events.ts";
import { SandboxTable } from "../../server/store/sandboxes.ts";

let folder: string;
let database: Database;
let events: EventStore;
let log: EventLog;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "unshared-events-"));
  database = new Database(join(folder, "state.db"));
  events = new EventStore(database);
  log = new EventLog(events, { find: () => null, get: () => null, departed: () => null }, database);
});
afterEach(async () => {
  await database.close();
  rmSync(folder, { recursive: true });
});

const never = new AbortController().signal;
const all = { view: null, after: undefined, follow: false, sandbox: undefined, types: [], limit: Number.POSITIVE_INFINITY };
const append = (count: number) => {
  for (let number = 0; number < count; number += 1) events.append("sandbox.changed", "a", { number });
};
const numbers = () => events.page(0, 1_000).map(({ id }) => id);
const kept = { entries: 1_000, milliseconds: 60_000, batch: 500 };

test("prunes by count, in batches, from the front", () => {
  append(10);
  expect(events.prune(Date.now(), { ...kept, entries: 4, batch: 5 })).toBe(5);
  expect(numbers()).toEqual([6, 7, 8, 9, 10]);
  expect(events.prune(Date.now(), { ...kept, entries: 4, batch: 5 })).toBe(1);
  expect(events.prune(Date.now(), { ...kept, entries: 4, batch: 5 })).toBe(0);
  expect(numbers()).toEqual([7, 8, 9, 10]);
});

test("prunes by age, but never the newest: no number is given out twice", () => {
  append(5);
  expect(events.prune(Date.now() + 59_000, kept)).toBe(0);
  expect(events.prune(Date.now() + 61_000, kept)).toBe(4);
  append(1);
  expect(numbers()).toEqual([5, 6]);
});

test("a follower is told what is committed, and nothing that was rolled back", async () => {
  const reading = log.open({ ...all, follow: true }, never);
  const next = reading.next();
  expect(() =>
    database.transaction(() => {
      events.append("sandbox.failed", "a", {});
      throw new Error("undo");
    }),
  ).toThrow("undo");
  await Promise.resolve();
  database.transaction(() => events.append("sandbox.running", "a", {}));
  expect((await next).value).toMatchObject({ kind: "entries", entries: [{ id: 1, type: "sandbox.running" }] });
  const last = reading.next();
  log.close();
  expect(await last).toEqual({ done: true, value: undefined });
});

test("a reader that stalls gets what it missed page by page, and a gap where it is gone", async () => {
  append(150);
  const reading = log.open({ ...all, follow: true }, never);
  const first = (await reading.next()).value;
  expect(first?.kind === "entries" && first.entries.map(({ id }) => id)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
  append(5);
  expect(events.prune(Date.now(), { ...kept, entries: 20 })).toBe(135);
  expect((await reading.next()).value).toEqual({ kind: "gap", first: 136 });
  expect((await reading.next()).done).toBe(true);
});

test("the end of a reading that does not follow is where the events ended when it was opened", async () => {
  append(3);
  const reading = log.open(all, never);
  append(3);
  const piece = (await reading.next()).value;
  expect(piece?.kind === "entries" && piece.entries.length).toBe(3);
  expect((await reading.next()).done).toBe(true);
});

test("whose a deleted sandbox was is kept for as long as an event is, and no longer", async () => {
  const sandboxes = new SandboxTable(database);
  const insert =
    "INSERT INTO sandboxes (id, name, owner, definition, labels, generation, state, since, created_at) VALUES (?, ?, ?, '{}', ?, 1, 'created', 0, 0)";
  for (const [id, owner, labels] of [
    ["a", "t1", "{}"],
    ["b", null, '{"k":"v"}'],
    ["c", null, "{}"],
  ] as const) {
    database.prepare<unknown[], never>(insert).run(id, id, owner, labels);
    sandboxes.remove(id);
  }
  const found = () => ["a", "b", "c"].map((id) => sandboxes.departed(id));
  expect(found()).toEqual([{ owner: "t1", labels: {} }, { owner: null, labels: { k: "v" } }, null]);
  append(3);
  events.prune(Date.now(), { ...kept, entries: 2 });
  expect(found().slice(0, 2)).not.toContain(null);
  database.prepare<[], never>("UPDATE departed SET deleted_at = 1 WHERE id = 'a'").run();
  append(1);
  events.prune(Date.now(), { ...kept, entries: 2 });
  expect(found()).toEqual([null, { owner: null, labels: { k: "v" } }, null]);
});
