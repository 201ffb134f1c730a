import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import type SQLite from "better-sqlite3";

/** "unsd" in ASCII; tells this program's databases from any other (https://sqlite.org/pragma.html#pragma_application_id). */
const applicationId = 0x756e7364;
const directory = resolve(import.meta.dirname, "../../migrations");

interface Migration {
  version: number;
  file: string;
}

/** The migrations in order. @throws Error when their numbers have a gap, start elsewhere than at 1 or repeat */
export const listMigrations = (folder: string = directory): Migration[] =>
  readdirSync(folder)
    .filter((file) => file.endsWith(".sql"))
    .sort()
    .map((file, index) => {
      const version = Number(/^(\d{4})-[a-z0-9-]+\.sql$/.exec(file)?.[1]);
      if (version !== index + 1) throw new Error(`migrations/${file}: expected the number ${String(index + 1).padStart(4, "0")}`);
      return { version, file };
    });

/**
 * Brings the database at `path` to the newest version, one transaction for each step, after a copy of what was there
 * (`state.db.before-N`). @throws Error for a damaged, foreign or newer database
 */
export const migrate = (connection: SQLite.Database, path: string, folder: string = directory): void => {
  const migrations = listMigrations(folder);
  const newest = migrations.length;
  const version = connection.pragma("user_version", { simple: true }) as number;
  const owner = connection.pragma("application_id", { simple: true }) as number;
  const tables = connection.prepare("SELECT count(*) AS n FROM sqlite_schema").get() as { n: number };
  if (owner !== applicationId && (owner !== 0 || version !== 0 || tables.n !== 0))
    throw new Error(`${path} is not a database of this program; it is left as it is`);
  if (version > newest)
    throw new Error(
      `${path} has version ${version}, this program knows up to ${newest}: it was written by a newer one; run that, or restore a backup (${path}.before-*, backups/)`,
    );
  const check = connection.pragma("quick_check(1)", { simple: true }) as string;
  if (check !== "ok") throw new Error(`${path} is damaged: ${check}; restore a backup (${path}.before-*, backups/) or move it away`);
  if (version === newest) return;

  if (version > 0) {
    const backup = `${path}.before-${newest}`;
    if (existsSync(backup)) rmSync(backup);
    connection.prepare("VACUUM INTO ?").run(backup);
  }
  for (const migration of migrations.slice(version)) {
    const sql = readFileSync(join(folder, migration.file), "utf8");
    connection.transaction(() => {
      connection.exec(sql);
      connection.pragma(`application_id = ${applicationId}`);
      connection.pragma(`user_version = ${migration.version}`);
    })();
  }
};
