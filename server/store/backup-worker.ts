/**
 * The body of the thread in backups.ts: copies the database `workerData.from` into the new file `workerData.to` in one read transaction,
 * which keeps no writer waiting (https://sqlite.org/lang_vacuum.html#vacuuminto), and checks the copy.
 */
import { parentPort, workerData } from "node:worker_threads";
import SQLite from "better-sqlite3";

const { from, to } = workerData as { from: string; to: string };
const source = new SQLite(from, { fileMustExist: true });
try {
  source.prepare("VACUUM INTO ?").run(to);
} finally {
  source.close();
}
const copy = new SQLite(to, { readonly: true });
const check = copy.pragma("integrity_check(1)", { simple: true });
copy.close();
if (check !== "ok") throw new Error(`the copy is damaged: ${check}`);
parentPort?.postMessage("done");
