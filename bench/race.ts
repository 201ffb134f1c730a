import { ending } from "./program.ts";

/** One that takes part in a race. Each of its takes measures one thing once and answers one value or more, in the unit of the column. */
export interface Subject {
  name: string;
  what: string;
  takes: Record<string, () => Promise<number[]>>;
}

/** A column of the table: a share (0.5: the median) of the values that the take of that name answered. */
export interface Column {
  title: string;
  take: string;
  share: number;
  digits: number;
}

/** A last column: the median of a take, divided by that of another subject. */
export interface Ratio {
  title: string;
  take: string;
  to: string;
}

export interface Race {
  title: string;
  columns: readonly Column[];
  ratio: Ratio;
  subjects: readonly Subject[];
  /** Those that cannot take part, with the reason. */
  absent: ReadonlyMap<string, string>;
}

export interface Row {
  name: string;
  what: string;
  values: Map<string, number[]>;
  /** Why it has no values. */
  absent: string | null;
}

export interface RaceResult {
  title: string;
  columns: readonly Column[];
  ratio: Ratio;
  rows: Row[];
}

/** Interleaved rounds as in rounds.ts: each subject has its turn in each, and the order turns too. Who fails leaves with the reason. */
export const runRace = async (race: Race, rounds: number): Promise<RaceResult> => {
  const rows = race.subjects.map(({ name, what }): Row => ({ name, what, values: new Map(), absent: null }));
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < rows.length; turn++) {
      const index = (round + turn) % rows.length;
      const [subject, row] = [race.subjects[index], rows[index]];
      if (subject === undefined || row === undefined || row.absent !== null) continue;
      await takeAll(subject, row, round);
    }
    process.stderr.write(`${race.title}: round ${round + 1} of ${rounds}\n`);
  }
  const others = [...race.absent].map(([name, absent]): Row => ({ name, what: "", values: new Map(), absent }));
  return { title: race.title, columns: race.columns, ratio: race.ratio, rows: [...rows, ...others] };
};

const takeAll = async (subject: Subject, row: Row, round: number): Promise<void> => {
  try {
    for (const [name, take] of Object.entries(subject.takes)) {
      ending.signal.throwIfAborted();
      row.values.set(name, [...(row.values.get(name) ?? []), ...(await take())]);
    }
  } catch (error) {
    ending.signal.throwIfAborted();
    row.absent = `stopped in round ${round + 1}: ${error instanceof Error ? error.message : String(error)}`;
    row.values.clear();
  }
};
