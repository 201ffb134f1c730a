import type { Contestant, ContestantName } from "./contestant.ts";
import { ending } from "./program.ts";

/** Samples in microseconds, and for cycles the wall time they took together. */
export interface Series {
  samples: number[];
  wallMicroseconds: number;
}

export interface Results {
  launch: Map<ContestantName, Series>;
  /** By the number of cycles that ran at a time. */
  cycles: Map<number, Map<ContestantName, Series>>;
  /** Contestants that could not take part or had to stop, with the reason. */
  absent: Map<ContestantName, string>;
}

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
  append(results.launch, contestant.name, { samples: await contestant.launch(contestant.launchesPerRound), wallMicroseconds: 0 });
};

const takeCycles = async (contestant: Contestant, results: Results): Promise<void> => {
  for (const parallel of parallels) {
    const byName = results.cycles.get(parallel) ?? new Map<ContestantName, Series>();
    results.cycles.set(parallel, byName);
    const count = Math.ceil(parallel === 1 ? contestant.cyclesPerRound / 4 : contestant.cyclesPerRound);
    append(byName, contestant.name, await contestant.cycle(count, parallel));
  }
};

const append = (into: Map<ContestantName, Series>, name: ContestantName, more: Series): void => {
  const before = into.get(name) ?? { samples: [], wallMicroseconds: 0 };
  into.set(name, { samples: [...before.samples, ...more.samples], wallMicroseconds: before.wallMicroseconds + more.wallMicroseconds });
};

const leave = (name: ContestantName, reason: string, results: Results): void => {
  results.absent.set(name, reason);
  results.launch.delete(name);
  for (const byName of results.cycles.values()) byName.delete(name);
};
