/** What is measured side by side. All times are microseconds. */
export interface Contestant {
  name: ContestantName;
  /** What one launch sample covers, for the table. */
  what: string;
  /** Samples taken in each round; slow contestants take fewer. */
  launchesPerRound: number;
  /** Before each launch, where the contestant prepares something meanwhile; 0 for all that do not. */
  pauseMs: number;
  cyclesPerRound: number;
  /** Create and start until running, one at a time. */
  launch(count: number, pauseMs: number): Promise<Launches>;
  /** Whole lives, as many at a time as asked for. */
  cycle(count: number, parallel: number): Promise<Cycles>;
}

export interface Launches {
  samples: number[];
  /** Of the launch, in order; as many figures for each as the contestant tells. */
  phases?: Map<string, number[]>;
  /** Until the first byte that bash prints. */
  firstByte?: number[];
  /** A request that does nothing, on the same connection. */
  roundTrip?: number[];
}

export interface Cycles {
  samples: number[];
  /** From the first start to the last end. */
  wallMicroseconds: number;
}

export const contestantNames = ["warm", "cold", "floor", "unshare", "bwrap", "crun", "runc", "docker"] as const;
export type ContestantName = (typeof contestantNames)[number];

/** Runs the job `count` times in `parallel` lanes and times each and all. A lane that fails ends the measurement. */
export const inLanes = async (count: number, parallel: number, job: (lane: number) => Promise<void>): Promise<Cycles> => {
  const samples: number[] = [];
  const began = performance.now();
  let left = count;
  const lane = async (index: number): Promise<void> => {
    while (left-- > 0) {
      const start = performance.now();
      await job(index);
      samples.push((performance.now() - start) * 1000);
    }
  };
  await Promise.all(Array.from({ length: parallel }, (_, index) => lane(index)));
  return { samples, wallMicroseconds: (performance.now() - began) * 1000 };
};
