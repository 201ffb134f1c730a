import type { ChildProcess } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "./connection.ts";
import { start, stop, until } from "./program.ts";
import { cgroupName, makeScratch, project } from "./scratch.ts";
import type { Undo } from "./undo.ts";

export interface Daemon {
  readonly pid: number;
  socket: string;
  /** The folder with its log, state and sockets. */
  place: string;
  /** Kills it (SIGKILL) and starts it again on what is there; gives the milliseconds from the new process until it is ready. */
  restart(): Promise<number>;
}

export interface DaemonOptions {
  name: string;
  readyShells: number;
  /** First host id of its sandboxes; no two daemons of a run share a range. */
  idBase: number;
  nodeFlags?: readonly string[];
  /** Further settings. */
  flags?: readonly string[];
  env?: Record<string, string>;
}

const START_SECONDS = 30;

/** The parts of the report on a sandbox that the bench looks at. */
export interface Report {
  id: string;
  status: { state: string };
  process: { pid: number } | null;
  supervisor: { pid: number } | null;
  namespaces: Record<string, { inode: number }> | null;
  phases: { name: string; microseconds: number }[];
}

/** Boots `server/main.ts` with state, sockets and cgroups of its own, and makes the root `bash`; all of it goes with the undo. */
export const startDaemon = async (options: DaemonOptions, undo: Undo): Promise<Daemon> => {
  const place = await makeScratch(options.name);
  const socket = join(place, "api.sock");
  const folders = ["--state-dir", join(place, "state"), "--run-dir", join(place, "run"), "--socket", socket, "--listen", "none"];
  const own = ["--cgroup-parent", `${cgroupName}-${options.name}`, "--id-base", `${options.idBase}`];
  const flags = [...folders, ...own, "--ready-shells", `${options.readyShells}`, "--default-root", "off", "--log-format", "json"];
  // As script/server starts it.
  const args = [
    "--max-semi-space-size=2",
    ...(options.nodeFlags ?? []),
    join(project, "server/main.ts"),
    ...flags,
    ...(options.flags ?? []),
  ];
  const log = join(place, "daemon.log");
  const env = { ...process.env, NODE_COMPILE_CACHE: join(project, "build/compile-cache"), MALLOC_ARENA_MAX: "1", ...options.env };
  let child: ChildProcess;
  const boot = async (): Promise<number> => {
    const began = performance.now();
    child = start(process.execPath, args, log, env);
    try {
      await until("the daemon is ready", START_SECONDS, async () => (await ask(socket, "GET", "/readyz")).status === 200, child);
    } catch (error) {
      const tail = (await readFile(log, "utf8").catch(() => "")).trim().split("\n").slice(-3).join(" | ");
      throw new Error(`${(error as Error).message}: ${tail}`);
    }
    return performance.now() - began;
  };
  undo.push(`stop the launcher of ${options.name}`, () => endLeftOvers(join(place, "run")));
  undo.push(`stop the daemon ${options.name}`, () => stop(child));
  await boot();
  undo.push(`delete the sandboxes of ${options.name}`, () => deleteAll(socket));
  const connection = await Connection.open(socket);
  await connection.expect("POST", "/v1/roots?wait=true", { name: "bash", source: { kind: "copy", binaries: ["/bin/bash"] } });
  connection.close();
  const restart = async (): Promise<number> => {
    child.kill("SIGKILL");
    await stop(child);
    return boot();
  };
  return {
    get pid() {
      return child.pid ?? 0;
    },
    socket,
    place,
    restart,
  };
};

const ask = async (socket: string, method: string, path: string): ReturnType<Connection["request"]> => {
  const connection = await Connection.open(socket);
  try {
    return await connection.request(method, path);
  } finally {
    connection.close();
  }
};

/** Deletes what the daemon holds, page by page. */
export const deleteAll = async (socket: string): Promise<void> => {
  const connection = await Connection.open(socket);
  try {
    for (let page = 0; page < 100; page++) {
      const { items } = (await connection.expect("GET", "/v1/sandboxes?limit=1000")) as { items: { id: string }[] };
      if (items.length === 0) return;
      for (const { id } of items) await connection.expect("DELETE", `/v1/sandboxes/${id}`);
    }
  } finally {
    connection.close();
  }
};

/** The launcher is started detached by the daemon and outlives it: it is known by the run folder in its command line. */
const endLeftOvers = async (runDirectory: string): Promise<void> => {
  for (let attempt = 0; attempt < 100; attempt++) {
    const pids = await processesWith(runDirectory);
    if (pids.length === 0) return;
    for (const pid of pids) signal(pid, attempt < 50 ? "SIGTERM" : "SIGKILL");
    await sleep(100);
  }
  throw new Error(`processes of ${runDirectory} do not end`);
};

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name);
  } catch {
    // ended by itself meanwhile
  }
};

/** Pids whose command line holds the path. */
const processesWith = async (path: string): Promise<number[]> => {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && name !== `${process.pid}`);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return pids.filter((_, index) => lines[index]?.split("\0").includes(path)).map(Number);
};
