/**
 * Loaded into the daemon with `node --import`, it measures from inside, and changes nothing in the server, how long the event
 * loop is held: each uninterrupted run of JavaScript is timed and charged to the request whose handling it continues (async_hooks,
 * AsyncLocalStorage), the loop's delay as a whole comes from monitorEventLoopDelay, garbage collection from its own entries
 * (all perf_hooks). At SIGUSR2 it writes what it has into UNSHARED_BENCH_PROBE_FILE and starts anew.
 */
import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import { renameSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { monitorEventLoopDelay, PerformanceObserver, performance } from "node:perf_hooks";

/** Callbacks of one request that follow each other this closely (milliseconds) count as one block: too long rather than too short. */
const GAP_MS = 0.02;
const RESOLUTION_MS = 1;

interface Owner {
  route: string;
}

/** Milliseconds: wall time of each block, and CPU time of the thread in the longest one. */
interface Blocks {
  walls: number[];
  longestCpu: number;
}

const owners = new AsyncLocalStorage<Owner>();
let byRoute = new Map<string, Blocks>();
let collections: number[] = [];
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

let depth = 0;
let owner: Owner | undefined;
let began = 0;
let beganCpu = 0;
let ended = 0;
let endedCpu = 0;
let previous: Owner | undefined;

const cpu = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

const close = (): void => {
  if (previous === undefined || ended === 0) return;
  const blocks = byRoute.get(previous.route) ?? { walls: [], longestCpu: 0 };
  blocks.walls.push(ended - began);
  blocks.longestCpu = Math.max(blocks.longestCpu, endedCpu - beganCpu);
  byRoute.set(previous.route, blocks);
  ended = 0;
};

createHook({
  before() {
    if (depth++ > 0) return;
    owner = owners.getStore();
    const now = performance.now();
    if (owner !== undefined && owner === previous && now - ended < GAP_MS) return;
    close();
    began = now;
    beganCpu = cpu();
  },
  after() {
    if (--depth > 0) return;
    depth = 0;
    ended = performance.now();
    endedCpu = cpu();
    previous = owner;
  },
}).enable();

/** Ids in a path make one route of many. */
const routeOf = (request: IncomingMessage): string => {
  const path = (request.url ?? "").replace(/\/[0-9a-z]{26}(?=[/?]|$)/g, "/{id}").replace(/(?<=[?&](inode|pid|cursor|after)=)[^&]+/g, "N");
  return `${request.method} ${path}`;
};

subscribe("http.server.request.start", (message) => {
  const { request } = message as { request: IncomingMessage };
  const current = { route: routeOf(request) };
  owners.enterWith(current);
  owner = current;
});

new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) collections.push(entry.duration);
}).observe({ entryTypes: ["gc"] });
delay.enable();

process.on("SIGUSR2", () => {
  close();
  const routes = Object.fromEntries(byRoute);
  const whole = { maxMs: delay.max / 1e6 - RESOLUTION_MS, p99Ms: delay.percentile(99) / 1e6 - RESOLUTION_MS };
  const file = process.env["UNSHARED_BENCH_PROBE_FILE"] ?? "event-loop.json";
  writeFileSync(`${file}.new`, JSON.stringify({ routes, delay: whole, collections }));
  renameSync(`${file}.new`, file);
  byRoute = new Map();
  collections = [];
  delay.reset();
});
