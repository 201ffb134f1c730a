import { Worker } from "node:worker_threads";

/** What a checkpoint did: pages in the log, and those of them that are in the database by now. */
export interface CheckpointResult {
  log: number;
  checkpointed: number;
}

/**
 * Moves the log into the database on a thread of its own, which lives for that long: a checkpoint syncs two files and copies
 * thousands of pages, and SQLite would do it in the middle of whichever commit is the thousandth page's. PASSIVE waits for nobody and
 * nobody waits for it (https://sqlite.org/c3ref/wal_checkpoint_v2.html); the writer starts the log anew when all of it was moved.
 */
export const checkpoint = (path: string): Promise<CheckpointResult> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./checkpoint-worker.ts", import.meta.url), {
      workerData: path,
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    worker.unref();
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`the checkpoint's thread ended with ${code}`)));
  });
