import type { Contestant, ContestantName, Cycles, Launches } from "./contestant.ts";
import { ending } from "./program.ts";

/** Samples in microseconds, and for cycles the wall time they took together. */
export interface Series {
  samples: number[];
  wallMicroseconds: number;
  phases: Map<string, number[]>;
  firstByte: number[];
  roundTrip: number[];
}

export interface Results {
  launch: Map<ContestantName, Series>;
  /** Launches before each of which the machine had nothing to do for a while. */
  quiet: Map<ContestantName, Series>;
  /** By the number of cycles that ran at a time. */
  cycles: Map<number, Map<ContestantName, Series>>;
  /** Contestants that could not take part or had to stop, with the reason. */
  absent: Map<ContestantName, string>;
}

/** Long enough for the kernel to leave the state that frequent use keeps it in (cgroup migration waits for RCU then). */
const QUIET_MS = 100;
const QUIET_SHARE = 1 / 5;

export const parallels = [1, 8] as const;

/**
 * Interleaved rounds: in each, every contestant has its turn, and the order turns too, so that a slow moment of the machine falls
 * on all of them. A contestant that fails leaves the race with its reason; what it had is dropped, since it would be half.
 */
export const runRounds = async (
  contestants: Contestant[],
  measure: "launch" | "cycles",
  rounds: number,
  results: Results,
): Promise<void> => {
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < contestants.length; turn++) {
      ending.signal.throwIfAborted();
      const contestant = contestants[(round + turn) % contestants.length];
      if (contestant === undefined || results.absent.has(contestant.name)) continue;
      try {
        await (measure === "launch" ? takeLaunches(contestant, results) : takeCycles(contestant, results));
      } catch (error) {
        ending.signal.throwIfAborted();
        leave(contestant.name, `stopped in round ${round + 1}: ${error instanceof Error ? error.message : String(error)}`, results);
      }
    }
    process.stderr.write(`${measure}: round ${round + 1} of ${rounds}\n`);
  }
};

const takeLaunches = async (contestant: Contestant, results: Results): Promise<void> => {
  const { name, launchesPerRound, pauseMs } = contestant;
  append(results.launch, name, await contestant.launch(launchesPerRound, pauseMs));
  append(results.quiet, name, await contestant.launch(Math.ceil(launchesPerRound * QUIET_SHARE), QUIET_MS));
};

const takeCycles = async (contestant: Contestant, results: Results): Promise<void> => {
  for (const parallel of parallels) {
    const byName = results.cycles.get(parallel) ?? new Map<ContestantName, Series>();
    results.cycles.set(parallel, byName);
    const count = Math.ceil(parallel === 1 ? contestant.cyclesPerRound / 4 : contestant.cyclesPerRound);
    append(byName, contestant.name, await contestant.cycle(count, parallel));
  }
};

const append = (into: Map<ContestantName, Series>, name: ContestantName, more: Launches & Partial<Cycles>): void => {
  const series = into.get(name) ?? { samples: [], wallMicroseconds: 0, phases: new Map<string, number[]>(), firstByte: [], roundTrip: [] };
  series.samples.push(...more.samples);
  series.firstByte.push(...(more.firstByte ?? []));
  series.roundTrip.push(...(more.roundTrip ?? []));
  series.wallMicroseconds += more.wallMicroseconds ?? 0;
  for (const [phase, times] of more.phases ?? []) series.phases.set(phase, [...(series.phases.get(phase) ?? []), ...times]);
  into.set(name, series);
};

const leave = (name: ContestantName, reason: string, results: Results): void => {
  results.absent.set(name, reason);
  results.launch.delete(name);
  results.quiet.delete(name);
  for (const byName of results.cycles.values()) byName.delete(name);
};
