/**
 * A fuzzer guided by coverage, as libFuzzer is: what runs something new is kept, and changed further. For the readers that are written in
 * TypeScript; those in C have libFuzzer itself (supervisor/Makefile).
 */
import { Chance } from "../http/fuzz-values.ts";
import { Coverage } from "./coverage.ts";

export interface Target {
  /** Source files whose parts count, by the end of their addresses. */
  files: RegExp;
  seeds: readonly Buffer[];
  /** Byte strings that mean something to the reader. */
  words: readonly Buffer[];
  /** Makes sums right that would hide all else. */
  mend?: (input: Buffer) => void;
  /** Throws what is a finding; refusals that are meant are caught by it. */
  run: (input: Buffer) => Promise<void> | void;
}

export interface Outcome {
  inputs: number;
  /** Seeds and others that ran something new. */
  kept: number;
  /** Of the source files, that ran. */
  characters: number;
}

/** An input that is read for so long holds up everybody. */
const slowMilliseconds = 2_000;
const longestBytes = 65_536;
/** To ask for coverage takes its time, so it is asked for after so many, and where something is new after each half of them again. */
const batch = 128;

const numbers = [0, 1, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

const splice = (input: Buffer, start: number, end: number, piece: Buffer): Buffer =>
  Buffer.concat([input.subarray(0, start), piece, input.subarray(end)]);

/** One change: a bit, a byte, a number, a word, a piece that is left out, doubled or taken from another input. */
const changed = (chance: Chance, input: Buffer, words: readonly Buffer[], other: Buffer): Buffer => {
  // Headers come first in what is read here.
  const place = chance.below(chance.is(0.5) ? Math.min(input.length, 256) + 1 : input.length + 1);
  const length = chance.below(chance.is(0.25) ? input.length + 1 : 17);
  const word = chance.of(words);
  const copy = Buffer.from(input);
  switch (chance.below(8)) {
    case 0:
      if (place < copy.length) copy[place] = (copy[place] as number) ^ (1 << chance.below(8));
      return copy;
    case 1:
      if (place < copy.length) copy[place] = chance.below(256);
      return copy;
    case 2: {
      const number = chance.of(numbers);
      if (place + 4 <= copy.length) chance.is(0.5) ? copy.writeUInt32LE(number, place) : copy.writeUInt32BE(number, place);
      return copy;
    }
    case 3:
      word.copy(copy, place);
      return copy;
    case 4:
      return splice(input, place, place, word);
    case 5:
      return splice(input, place, place + length, Buffer.alloc(0));
    case 6:
      return splice(input, place, place, input.subarray(place, place + length));
    default:
      return splice(input, place, input.length, other.subarray(chance.below(other.length + 1)));
  }
};

const runTimed = async (target: Target, input: Buffer): Promise<void> => {
  const start = process.cpuUsage();
  try {
    await target.run(Buffer.from(input));
  } catch (error) {
    throw new Error(`a finding: ${input.toString("base64")}`, { cause: error });
  }
  const { user } = process.cpuUsage(start);
  if (user > slowMilliseconds * 1_000) throw new Error(`${user} µs of CPU for ${input.toString("base64")}`);
};

const make = (chance: Chance, corpus: readonly Buffer[], { words, mend }: Target): Buffer => {
  let input = chance.of(corpus);
  for (let changes = 1 + chance.below(4); changes > 0; changes--)
    input = changed(chance, input, words, chance.of(corpus)).subarray(0, longestBytes);
  if (chance.is(0.9)) mend?.(input);
  return input;
};

/** Runs the seeds and then, for so long, what becomes of them. @throws Error with the input in base64 where one is a finding */
export const fuzz = async (target: Target, milliseconds: number, seed: number): Promise<Outcome> => {
  const chance = new Chance(seed);
  const coverage = new Coverage(target.files);
  const corpus: Buffer[] = [];
  let inputs = 0;
  let characters = 0;
  const keep = async (some: readonly Buffer[]): Promise<void> => {
    for (const input of some) await runTimed(target, input);
    const fresh = await coverage.fresh(some.length === 1);
    if (fresh === 0) return;
    if (some.length > 1) {
      await keep(some.slice(0, some.length / 2));
      return await keep(some.slice(some.length / 2));
    }
    characters += fresh;
    corpus.push(...some);
  };
  await coverage.start();
  try {
    for (const input of target.seeds) await keep([input]);
    for (const end = performance.now() + milliseconds; performance.now() < end; inputs += batch)
      await keep(Array.from({ length: batch }, () => make(chance, corpus, target)));
  } finally {
    await coverage.stop();
  }
  return { inputs, kept: corpus.length, characters };
};
