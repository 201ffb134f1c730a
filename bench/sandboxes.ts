import { readFile, readlink } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "./connection.ts";
import { type Contestant, inLanes } from "./contestant.ts";
import { type DaemonOptions, type Report, startDaemon } from "./daemon.ts";
import type { Undo } from "./undo.ts";

/** Between two launches, so that the launcher finds the time to prepare the next shell. */
export const PAUSE_MS = 20;

/** Creates and starts a sandbox with a bare, waiting bash; the answer has to say that it runs. */
export const createStarted = async (connection: Connection, command: readonly string[] = ["/bin/bash"]): Promise<Report> => {
  const report = (await connection.expect("POST", "/v1/sandboxes?start=true", { root: "bash", command })) as Report;
  if (report.status.state !== "running" || report.process === null) throw new Error(`a started sandbox is ${report.status.state}`);
  return report;
};

export const remove = (connection: Connection, id: string): Promise<unknown> => connection.expect("DELETE", `/v1/sandboxes/${id}`);

/** The daemon over HTTP on its unix socket, with prepared shells (warm) or without any (cold). */
export const openOurs = async (name: "warm" | "cold", undo: Undo): Promise<Contestant> => {
  const options: DaemonOptions = { name, readyShells: name === "warm" ? 4 : 0, idBase: name === "warm" ? 1_400_000_000 : 1_600_000_000 };
  const daemon = await startDaemon(options, undo);
  const lanes: Connection[] = [];
  const lane = async (index: number): Promise<Connection> => (lanes[index] ??= await Connection.open(daemon.socket));
  undo.push(`close the connections of ${name}`, () => {
    for (const connection of lanes) connection.close();
  });
  await prove(await lane(0));
  return {
    name,
    what: `unshared over HTTP, ${name === "warm" ? "shells ready" : "no shells ready"}: create and start until answered`,
    launchesPerRound: 30,
    pauseMs: name === "warm" ? PAUSE_MS : 0,
    cyclesPerRound: 160,
    async launch(count, pauseMs) {
      const phases = new Map<string, number[]>();
      const connection = await lane(0);
      const samples: number[] = [];
      const roundTrip: number[] = [];
      for (let i = 0; i < count; i++) {
        await sleep(pauseMs);
        const began = performance.now();
        const report = await createStarted(connection);
        samples.push((performance.now() - began) * 1000);
        for (const phase of report.phases) phases.set(phase.name, [...(phases.get(phase.name) ?? []), phase.microseconds]);
        await remove(connection, report.id);
        const asked = performance.now();
        await connection.expect("GET", "/healthz");
        roundTrip.push((performance.now() - asked) * 1000);
      }
      return { samples, phases, roundTrip };
    },
    async cycle(count, parallel) {
      for (let i = 0; i < parallel; i++) await lane(i);
      return inLanes(count, parallel, async (index) => {
        const connection = await lane(index);
        await remove(connection, (await createStarted(connection)).id);
      });
    },
  };
};

/** What the answer claims, seen from outside: the pid is a bash in a mount namespace of its own, and is gone after the delete. */
const prove = async (connection: Connection): Promise<void> => {
  const report = await createStarted(connection);
  const pid = report.process?.pid;
  const program = (await readFile(`/proc/${pid}/comm`, "utf8")).trim();
  const namespace = await readlink(`/proc/${pid}/ns/mnt`);
  if (program !== "bash") throw new Error(`pid ${pid} is ${program} and not bash`);
  if (namespace === (await readlink("/proc/self/ns/mnt"))) throw new Error("the sandbox is in the host's mount namespace");
  if (namespace !== `mnt:[${report.namespaces?.["mnt"]?.inode}]`) throw new Error(`the report's mount namespace is not ${namespace}`);
  await remove(connection, report.id);
  const left = await readlink(`/proc/${pid}/ns/mnt`).catch(() => null);
  if (left === namespace) throw new Error(`pid ${pid} lives on after the delete`);
};
