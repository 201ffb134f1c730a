/**
 * The body of the thread in checkpointer.ts: passive checkpoints of the database named by `workerData`. Commits made during the
 * first pass leave a few pages; the next passes are short, and one that ends before another commit lets the writer begin the
 * log anew instead of making it longer.
 */
import { parentPort, workerData } from "node:worker_threads";
import SQLite from "better-sqlite3";

const passes = 20;
const connection = new SQLite(workerData as string);
connection.pragma("synchronous = NORMAL");
let result = { log: 0, checkpointed: -1 };
for (let pass = 0; pass < passes && result.checkpointed !== result.log; pass += 1) {
  [result] = connection.pragma("wal_checkpoint(PASSIVE)") as [typeof result];
}
connection.close();
parentPort?.postMessage({ log: result.log, checkpointed: result.checkpointed });
