import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Connection } from "./connection.ts";
import { type Report, startDaemon } from "./daemon.ts";
import { until } from "./program.ts";
import { createStarted, remove } from "./sandboxes.ts";
import { project, scratchDirectory } from "./scratch.ts";
import { percentile } from "./statistics.ts";
import type { Undo } from "./undo.ts";

/** Milliseconds. `longestCpu` is the most CPU time of the thread in one block: less than `longest` where something else had the processor. */
export interface RouteBlocks {
  route: string;
  /** Blocks that were timed; a request makes one or more. */
  blocks: number;
  p50: number;
  p99: number;
  longest: number;
  longestCpu: number;
}

export interface EventLoop {
  routes: RouteBlocks[];
  /** The loop as a whole, with all that is not a handler: garbage collection, timers, the kernel's scheduler. */
  delayMaxMs: number;
  delayP99Ms: number;
  longestCollectionMs: number;
}

interface ProbeFile {
  routes: Record<string, { walls: number[]; longestCpu: number }>;
  delay: { maxMs: number; p99Ms: number };
  collections: number[];
}

/** Every kind of call on the main path, `rounds` times, after a warm-up in which the code is compiled. */
export const measureEventLoop = async (rounds: number, undo: Undo): Promise<EventLoop> => {
  const probe = join(project, "bench/event-loop-probe.ts");
  const file = join(scratchDirectory, "event-loop.json");
  const options = {
    name: "probe",
    readyShells: 4,
    idBase: 1_800_000_000,
    nodeFlags: ["--import", probe],
    env: { UNSHARED_BENCH_PROBE_FILE: file },
  };
  const daemon = await startDaemon(options, undo);
  const connection = await Connection.open(daemon.socket);
  const collect = async (): Promise<ProbeFile> => {
    await rm(file, { force: true });
    process.kill(daemon.pid, "SIGUSR2");
    let text = "";
    await until("the probe's file", 5, async () => {
      text = await readFile(file, "utf8");
      return true;
    });
    return JSON.parse(text) as ProbeFile;
  };
  try {
    await exercise(connection, Math.ceil(rounds / 2));
    await collect();
    await exercise(connection, rounds);
    return summary(await collect());
  } finally {
    connection.close();
  }
};

const exercise = async (connection: Connection, rounds: number): Promise<void> => {
  for (let round = 0; round < rounds; round++) {
    const report: Report = await createStarted(connection);
    const path = `/v1/sandboxes/${report.id}`;
    const reads = [
      path,
      `${path}/namespaces`,
      "/v1/sandboxes?limit=100",
      `/v1/namespaces?pid=${report.process?.pid}`,
      "/v1/info",
      "/healthz",
    ];
    for (const read of reads) await connection.expect("GET", read);
    await connection.expect("POST", `${path}/kill`);
    await connection.expect("POST", `${path}/start`);
    await connection.expect("POST", `${path}/stop`, { graceSeconds: 0 });
    await remove(connection, report.id);
  }
};

const summary = (probe: ProbeFile): EventLoop => ({
  routes: Object.entries(probe.routes)
    .map(([route, { walls, longestCpu }]) => ({
      route,
      blocks: walls.length,
      p50: percentile(walls, 0.5),
      p99: percentile(walls, 0.99),
      longest: Math.max(...walls),
      longestCpu,
    }))
    .sort((a, b) => b.longest - a.longest),
  delayMaxMs: probe.delay.maxMs,
  delayP99Ms: probe.delay.p99Ms,
  longestCollectionMs: Math.max(0, ...probe.collections),
});
