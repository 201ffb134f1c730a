import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SQLite from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DatabaseBackups } from "../../server/store/backups.ts";
import { Database } from "../../server/store/database.ts";

let folder: string;
let database: Database;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "unshared-backups-"));
  database = new Database(join(folder, "state.db"));
});
afterEach(async () => {
  await database.close();
  rmSync(folder, { recursive: true });
});

const mark = (name: string) =>
  database.transaction(() => database.prepare<[string], never>("INSERT INTO markers (name, time) VALUES (?, 0)").run(name));
const marksIn = (path: string): string[] => {
  const copy = new SQLite(path, { readonly: true });
  const names = copy.prepare("SELECT name FROM markers ORDER BY rowid").pluck().all() as string[];
  copy.close();
  return names;
};

test("a backup has all that was committed when it was asked for, and opens as a database", async () => {
  const backups = new DatabaseBackups(folder);
  mark("before");
  const making = backups.make();
  // Writers do not wait for it.
  for (let index = 0; index < 100; index += 1) mark(`meanwhile ${index}`);
  const { path, bytes } = await making;
  expect(marksIn(path)[0]).toBe("before");
  expect(bytes).toBeGreaterThan(0);
  rmSync(join(folder, "restored"), { recursive: true, force: true });
  const restored = new Database(path);
  await restored.close();
});

test("those that are asked for together come one after the other; ten are kept", async () => {
  const backups = new DatabaseBackups(folder);
  const made = await Promise.all(Array.from({ length: 12 }, () => backups.make()));
  expect(new Set(made.map(({ path }) => path)).size).toBe(12);
  const names = readdirSync(join(folder, "backups"));
  expect(names.length).toBe(10);
  expect(names).toContain(made.at(-1)?.path.split("/").at(-1));
});

test("what was not finished is removed at the next start, and a failure leaves nothing", async () => {
  const backups = new DatabaseBackups(folder);
  writeFileSync(join(folder, "backups/state-x.db.partial"), "half");
  new DatabaseBackups(folder);
  expect(readdirSync(join(folder, "backups"))).toEqual([]);
  rmSync(join(folder, "backups"), { recursive: true });
  await expect(backups.make()).rejects.toThrow();
  expect(existsSync(join(folder, "backups"))).toBe(false);
});
