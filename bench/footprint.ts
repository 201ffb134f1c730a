import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "./connection.ts";
import { inLanes } from "./contestant.ts";
import { type Report, startDaemon } from "./daemon.ts";
import { until } from "./program.ts";
import { createStarted, remove } from "./sandboxes.ts";
import { median } from "./statistics.ts";
import type { Undo } from "./undo.ts";

/** KiB, as the kernel counts them (proc_pid_smaps(5), proc_pid_status(5)). */
export interface Footprint {
  idleSandboxes: number;
  /** Medians of the proportional set size: shared pages are divided among those that share them. */
  supervisorPss: number;
  initPss: number;
  /** Of both together, the largest. */
  pairPssMax: number;
  stoppedDefinitions: number;
  daemonRss: number;
  daemonRssEmpty: number;
}

const SETTLE_MS = 1000;

/** Memory of idle sandboxes, with that many alive, and of the daemon once it holds that many stopped ones. */
export const measureFootprint = async (alive: number, stopped: number, undo: Undo): Promise<Footprint> => {
  const daemon = await startDaemon({ name: "footprint", readyShells: 4, idBase: 2_000_000_000 }, undo);
  const lanes = await Promise.all(Array.from({ length: 4 }, () => Connection.open(daemon.socket)));
  const lane = (index: number): Connection => lanes[index] as Connection;
  try {
    const daemonRssEmpty = await residentSize(daemon.pid);
    const reports: Report[] = [];
    await inLanes(alive, 4, async (index) => void reports.push(await createStarted(lane(index))));
    await sleep(SETTLE_MS);
    const pairs = await Promise.all(reports.map(pairSizes));
    for (const report of reports) await remove(lane(0), report.id);
    await inLanes(stopped, 4, async (index) => {
      const { id } = await createStarted(lane(index));
      await lane(index).expect("POST", `/v1/sandboxes/${id}/stop`, { graceSeconds: 0 });
    });
    await until("all sandboxes are stopped", 60, async () => (await countStopped(lane(0))) === stopped);
    await sleep(SETTLE_MS);
    const daemonRss = await residentSize(daemon.pid);
    return {
      idleSandboxes: alive,
      supervisorPss: median(pairs.map((pair) => pair.supervisor)),
      initPss: median(pairs.map((pair) => pair.init)),
      pairPssMax: Math.max(...pairs.map((pair) => pair.supervisor + pair.init)),
      stoppedDefinitions: stopped,
      daemonRss,
      daemonRssEmpty,
    };
  } finally {
    for (const connection of lanes) connection.close();
  }
};

const countStopped = async (connection: Connection): Promise<number> => {
  let count = 0;
  for (let cursor: string | null = ""; cursor !== null; ) {
    const path: string = `/v1/sandboxes?state=stopped&limit=1000${cursor && `&cursor=${encodeURIComponent(cursor)}`}`;
    const page = (await connection.expect("GET", path)) as { items: unknown[]; nextCursor: string | null };
    count += page.items.length;
    cursor = page.nextCursor;
  }
  return count;
};

const field = async (path: string, name: string): Promise<number> => {
  const value = new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(await readFile(path, "utf8"))?.[1];
  if (value === undefined) throw new Error(`${path} has no ${name}`);
  return Number(value);
};

export const residentSize = (pid: number): Promise<number> => field(`/proc/${pid}/status`, "VmRSS");

const proportionalSize = (pid: number): Promise<number> => field(`/proc/${pid}/smaps_rollup`, "Pss");

/** The init is the parent of the main process, seen from the host. */
export const pairSizes = async (report: Report): Promise<{ supervisor: number; init: number }> => {
  const main = report.process?.pid ?? 0;
  const init = await field(`/proc/${main}/status`, "PPid");
  return { supervisor: await proportionalSize(report.supervisor?.pid ?? 0), init: await proportionalSize(init) };
};
