import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "./connection.ts";
import { startDaemon } from "./daemon.ts";
import { ending, run } from "./program.ts";
import { createStarted, PAUSE_MS, remove } from "./sandboxes.ts";
import { makeScratch, project } from "./scratch.ts";
import { type Interval, median, medianInterval } from "./statistics.ts";
import { Undo } from "./undo.ts";

/** Layers, and the mutant (supervisor/mutants.h) that does without it. The first does without none: what it costs is the measurement's error. */
const layers: readonly (readonly [layer: string, mutant: string])[] = [
  ["(none: the same twice)", ""],
  ["user namespace, with its id maps", "no-user"],
  ["pid namespace, with its /proc", "no-pid"],
  ["network namespace", "no-net"],
  ["ipc namespace", "no-ipc"],
  ["uts namespace", "no-uts"],
  ["cgroup namespace", "no-cgroup-namespace"],
  ["limits: cgroups' files, RLIMIT_CORE", "no-limits"],
  ["overlay: nothing shared is written to", "no-overlay"],
  ["masks and read-only parts of /proc and /sys", "no-masks"],
  ["pivot_root", "no-pivot"],
  ["descriptors closed", "fds-kept"],
  ["session keyring of its own", "no-keyring"],
  ["capabilities emptied", "caps-kept"],
  ["seccomp filter", "no-seccomp"],
];

/** Microseconds that a launch takes longer for it: of the phases that the supervisor reports, so without HTTP and the store. */
export interface LayerCost {
  layer: string;
  cold: Interval | string;
  warm: Interval | string;
}

export interface Layers {
  costs: LayerCost[];
  /** Microseconds of a whole launch, and how many were measured with and without each layer. */
  cold: number;
  warm: number;
  launches: number;
}

type Mode = "cold" | "warm";
const launchesPerRound = 10;

/** Launches with all layers and without one of them, interleaved; each has a daemon of its own, all of the build whose layers can be taken away. */
export const measureLayers = async (rounds: number, undo: Undo): Promise<Layers> => {
  await run("make", ["-s", "-C", join(project, "supervisor"), "MUTANTS=1"]);
  const cold = await measureMode("cold", rounds, undo);
  const warm = await measureMode("warm", rounds, undo);
  const costs = layers.map(([layer], index): LayerCost => ({ layer, cold: cold.costs[index] ?? "", warm: warm.costs[index] ?? "" }));
  return { costs, cold: cold.whole, warm: warm.whole, launches: rounds * launchesPerRound };
};

const measureMode = async (mode: Mode, rounds: number, outer: Undo): Promise<{ whole: number; costs: (Interval | string)[] }> => {
  const undo = new Undo();
  outer.push(`end the daemons of layers, ${mode}`, () => undo.run());
  const variants = ["", ...layers.map(([, mutant]) => mutant)];
  const launchers: (() => Promise<number[]>)[] = [];
  for (const [index, mutant] of variants.entries()) launchers.push(await openVariant(mode, mutant, index, undo));
  const medians: number[][] = variants.map(() => []);
  const failed = new Map<number, string>();
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < variants.length; turn++) {
      ending.signal.throwIfAborted();
      const index = (round + turn) % variants.length;
      if (failed.has(index)) continue;
      try {
        medians[index]?.push(median((await launchers[index]?.()) ?? []));
      } catch (error) {
        if (index === 0) throw error;
        failed.set(index, error instanceof Error ? error.message : String(error));
      }
    }
    process.stderr.write(`layers, ${mode}: round ${round + 1} of ${rounds}\n`);
  }
  const failures = await undo.run();
  if (failures.length > 0) throw new Error(failures.join("; "));
  const [whole = [], ...without] = medians;
  const costs = without.map(
    (times, index) => failed.get(index + 1) ?? medianInterval(whole.map((time, round) => time - (times[round] ?? Number.NaN))),
  );
  return { whole: median(whole), costs };
};

/** A daemon whose sandboxes do without a layer; what is answered launches some and gives the microseconds of each. */
const openVariant = async (mode: Mode, mutant: string, index: number, undo: Undo): Promise<() => Promise<number[]>> => {
  const name = `${mode}-${index}`;
  const script = join(await makeScratch("layers"), name);
  const program = join(project, "build/mutants/unshared-supervisor");
  await writeFile(script, `#!/bin/sh\nUNSHARED_MUTANTS=${mutant} exec ${program} "$@"\n`, { mode: 0o755 });
  const readyShells = mode === "warm" ? 4 : 0;
  const daemon = await startDaemon(
    { name, readyShells, idBase: 2_600_000_000 + index * 10_000_000, flags: ["--supervisor", script] },
    undo,
  );
  return async () => {
    const connection = await Connection.open(daemon.socket);
    try {
      const samples: number[] = [];
      for (let launch = 0; launch < launchesPerRound; launch++) {
        if (mode === "warm") await sleep(PAUSE_MS);
        const { id, phases } = await createStarted(connection);
        samples.push(phases.reduce((sum, { microseconds }) => sum + microseconds, 0));
        await remove(connection, id);
      }
      return samples;
    } finally {
      connection.close();
    }
  };
};
