import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import SQLite from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DaemonLock, LockedError } from "../../server/store/daemon-lock.ts";
import { Database } from "../../server/store/database.ts";
import { listMigrations, migrate } from "../../server/store/migrations.ts";
import { until } from "../fixtures/processes.ts";

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "unshared-database-"));
  path = join(folder, "state.db");
});
afterEach(() => rmSync(folder, { recursive: true }));

const countMarkers = (database: Database): number | undefined =>
  database.prepare<[], { n: number }>("SELECT count(*) AS n FROM markers").get()?.n;
const mark = (database: Database, name: string) =>
  database.prepare<[string], never>("INSERT INTO markers (name, time) VALUES (?, 0)").run(name);

test("what was committed is there after a new start, and a rolled back transaction is not", async () => {
  const first = new Database(path);
  first.transaction(() => mark(first, "a"));
  expect(() =>
    first.transaction(() => {
      mark(first, "b");
      throw new Error("undo");
    }),
  ).toThrow("undo");
  await first.durable();
  await first.close();
  const second = new Database(path);
  expect(countMarkers(second)).toBe(1);
  await second.close();
});

test("a long log of programs that were killed is moved into the database by the next one", async () => {
  const killed = new Database(path);
  const name = "x".repeat(1 << 20);
  for (let index = 0; index < 24; index++) killed.transaction(() => mark(killed, `${index}${name}`));
  await killed.durable();
  const copy = join(folder, "copy.db");
  for (const suffix of ["", "-wal"]) copyFileSync(`${path}${suffix}`, `${copy}${suffix}`);
  await killed.close();
  const logBytes = () => statSync(`${copy}-wal`).size;
  const before = statSync(copy).size;
  expect(logBytes()).toBeGreaterThan(24 << 20);
  const next = new Database(copy);
  await until("all of it in the database", () => statSync(copy).size - before > 24 << 20, 20_000);
  const isAnew = async () => {
    // Time for the thread to reach the end of the log: a commit begins it anew only then.
    await sleep(300);
    next.transaction(() => mark(next, `${performance.now()}`));
    return logBytes() < 17 << 20;
  };
  await until("a log begun anew", isAnew, 20_000);
  expect(countMarkers(next)).toBeGreaterThan(24);
  await next.close();
});

test("callers that arrive together share a sync, and each gets one that began after its call", async () => {
  const database = new Database(path);
  const settled = await Promise.allSettled(
    Array.from({ length: 200 }, async (_, index) => {
      database.transaction(() => mark(database, `m${index}`));
      if (index % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
      await database.durable();
    }),
  );
  expect(settled.every(({ status }) => status === "fulfilled")).toBe(true);
  expect(countMarkers(database)).toBe(200);
  await database.close();
});

test("a database of a newer program is refused and left as it is (check 73)", async () => {
  await new Database(path).close();
  const raw = new SQLite(path);
  raw.pragma("user_version = 99");
  raw.close();
  expect(() => new Database(path)).toThrow(/version 99.*newer/);
});

test("another program's database is refused", () => {
  const raw = new SQLite(path);
  raw.exec("CREATE TABLE theirs (x)");
  raw.close();
  expect(() => new Database(path)).toThrow("not a database of this program");
});

test("a damaged database is refused (check 73)", async () => {
  const database = new Database(path);
  database.transaction(() => {
    for (let index = 0; index < 2_000; index += 1) mark(database, `marker number ${index}`);
  });
  await database.close();
  const { size } = statSync(path);
  const file = openSync(path, "r+");
  writeSync(file, Buffer.alloc(size - 4096 * 3, 0x5a), 0, size - 4096 * 3, 4096 * 3);
  closeSync(file);
  expect(() => new Database(path)).toThrow();
});

test("what is no database, or is cut off, is refused with its path (check 73)", async () => {
  writeFileSync(path, "no database".repeat(1_000));
  expect(() => new Database(path)).toThrow(`${path} is damaged`);
  rmSync(path);
  await new Database(path).close();
  truncateSync(path, 8_192);
  expect(() => new Database(path)).toThrow(`${path} is damaged`);
});

test("each migration is one transaction, after a copy of what was there", () => {
  const folderOfMigrations = join(folder, "migrations");
  const write = (name: string, sql: string) => writeFileSync(join(folderOfMigrations, name), sql);
  mkdirSync(folderOfMigrations);
  write("0001-first.sql", "CREATE TABLE one (x);");
  const raw = new SQLite(path);
  migrate(raw, path, folderOfMigrations);
  write("0002-second.sql", "CREATE TABLE two (x); INSERT INTO one VALUES (1);");
  write("0003-broken.sql", "CREATE TABLE three (x); INSERT INTO nowhere VALUES (1);");
  expect(() => migrate(raw, path, folderOfMigrations)).toThrow("nowhere");
  expect(raw.pragma("user_version", { simple: true })).toBe(2);
  expect(raw.prepare("SELECT name FROM sqlite_schema ORDER BY name").pluck().all()).toEqual(["one", "two"]);
  expect(readdirSync(folder)).toContain("state.db.before-3");
  raw.close();
  const backup = new SQLite(join(folder, "state.db.before-3"));
  expect(backup.pragma("user_version", { simple: true })).toBe(1);
  backup.close();
});

test("gaps in the numbers of the migrations are refused", () => {
  writeFileSync(join(folder, "0001-a.sql"), "");
  writeFileSync(join(folder, "0003-c.sql"), "");
  expect(() => listMigrations(folder)).toThrow("0003-c.sql");
});

test("the lock of a state directory is refused to a second holder, with the pid of the first", () => {
  const lock = new DaemonLock(folder);
  expect(() => new DaemonLock(folder)).toThrow(LockedError);
  expect(() => new DaemonLock(folder)).toThrow(`pid ${process.pid}`);
  expect(() => new DaemonLock(folder, "run")).toThrow(`the run directory ${folder}`);
  lock.release();
  new DaemonLock(folder).release();
});
