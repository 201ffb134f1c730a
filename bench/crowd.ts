import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "./connection.ts";
import { inLanes } from "./contestant.ts";
import { type Report, startDaemon } from "./daemon.ts";
import { pairSizes, residentSize } from "./footprint.ts";
import { createStarted, remove } from "./sandboxes.ts";
import { median } from "./statistics.ts";
import type { Undo } from "./undo.ts";

/** Many sandboxes that run at a time, each with a waiting bash. Times are milliseconds, sizes KiB. */
export interface Crowd {
  count: number;
  makeSeconds: number;
  /** Medians of as many launches after the first ten, and of the last. */
  launchFirst: number;
  launchLast: number;
  daemonRss: number;
  /** Supervisor and init of one, shared pages divided: the mean over all, and the largest. */
  pssMean: number;
  pssMax: number;
  list100: number;
  list1000: number;
  get: number;
  /** Of one core, of daemon, launcher and all supervisors together while nobody asks anything: per cent. */
  idleDaemonPercent: number;
  idleOthersPercent: number;
  /** From the start of the daemon's process after it was killed until it is ready; and how long it says that its recovery took. */
  readyAfter: number;
  recovery: number;
  /** The same without any sandbox. */
  readyEmpty: number;
  lost: number;
  deleteSeconds: number;
}

const lanes = 4;
const settleMs = 2_000;
const idleMs = 10_000;
const windowLength = 50;

/** Clock ticks that processes have used so far (proc_pid_stat(5)); a hundred make a second. */
const ticksOf = async (pids: readonly number[]): Promise<number> => {
  const used = await Promise.all(
    pids.map(async (pid) => {
      const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ") 0 0 0 0 0 0 0 0 0 0 0 0 0");
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      return Number(fields[11]) + Number(fields[12]);
    }),
  );
  return used.reduce((sum, each) => sum + each, 0);
};

/** Per cent of a core that they use while nothing is asked. */
const idlePercent = async (groups: readonly (readonly number[])[]): Promise<number[]> => {
  const before = await Promise.all(groups.map(ticksOf));
  await sleep(idleMs);
  const after = await Promise.all(groups.map(ticksOf));
  return after.map((ticks, index) => ((ticks - (before[index] ?? 0)) / 100 / (idleMs / 1000)) * 100);
};

const repeat = async (count: number, work: () => Promise<unknown>): Promise<number> => {
  const samples: number[] = [];
  for (let done = 0; done < count; done++) {
    const began = performance.now();
    await work();
    samples.push(performance.now() - began);
  }
  return median(samples);
};

const runningIds = async (connection: Connection): Promise<Set<string>> => {
  const { items } = (await connection.expect("GET", "/v1/sandboxes?state=running&limit=1000")) as { items: { id: string }[] };
  return new Set(items.map(({ id }) => id));
};

/** The launcher and all supervisors: every process but the daemon that has the daemon's run directory, or is one of these. */
const others = async (reports: readonly Report[], place: string): Promise<number[]> => {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  const launcher = pids.filter((_, index) => lines[index]?.includes(" launcher") || lines[index]?.includes("\0launcher\0"));
  const own = launcher.filter((pid) => lines[pids.indexOf(pid)]?.includes(place)).map(Number);
  return [...own, ...reports.map((report) => report.supervisor?.pid ?? 0)];
};

/** @param count at most 1,000: a page of the list */
export const measureCrowd = async (count: number, undo: Undo): Promise<Crowd> => {
  const daemon = await startDaemon({ name: "crowd", readyShells: 4, idBase: 2_400_000_000 }, undo);
  const readyEmpty = await daemon.restart();
  let connection = await Connection.open(daemon.socket);
  const samples: number[] = [];
  const reports: Report[] = [];
  const began = performance.now();
  for (let made = 0; made < count; made++) {
    const asked = performance.now();
    reports.push(await createStarted(connection));
    samples.push(performance.now() - asked);
  }
  const makeSeconds = (performance.now() - began) / 1000;
  await sleep(settleMs);
  const daemonRss = await residentSize(daemon.pid);
  const pairs = await Promise.all(reports.map(pairSizes));
  const sizes = pairs.map((pair) => pair.supervisor + pair.init);
  const [idleDaemonPercent = 0, idleOthersPercent = 0] = await idlePercent([[daemon.pid], await others(reports, daemon.place)]);
  const list100 = await repeat(20, () => connection.expect("GET", "/v1/sandboxes?limit=100"));
  const list1000 = await repeat(10, () => connection.expect("GET", "/v1/sandboxes?limit=1000"));
  let next = 0;
  const get = await repeat(200, () => connection.expect("GET", `/v1/sandboxes/${reports[next++ % count]?.id}`));
  connection.close();
  const readyAfter = await daemon.restart();
  connection = await Connection.open(daemon.socket);
  const running = await runningIds(connection);
  const { recovery } = (await connection.expect("GET", "/v1/info")) as { recovery: { milliseconds: number } };
  const deleting = performance.now();
  const deleters = await Promise.all(Array.from({ length: lanes }, () => Connection.open(daemon.socket)));
  const left = reports.map(({ id }) => id);
  await inLanes(count, lanes, async (lane) => void (await remove(deleters[lane] as Connection, left.pop() ?? "")));
  const deleteSeconds = (performance.now() - deleting) / 1000;
  for (const each of [connection, ...deleters]) each.close();
  return {
    count,
    makeSeconds,
    launchFirst: median(samples.slice(10, 10 + windowLength)),
    launchLast: median(samples.slice(-windowLength)),
    daemonRss,
    pssMean: sizes.reduce((sum, size) => sum + size, 0) / sizes.length,
    pssMax: Math.max(...sizes),
    list100,
    list1000,
    get,
    idleDaemonPercent,
    idleOthersPercent,
    readyAfter,
    recovery: recovery.milliseconds,
    readyEmpty,
    lost: reports.filter(({ id }) => !running.has(id)).length,
    deleteSeconds,
  };
};
