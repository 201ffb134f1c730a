import type { Definition, DefinitionInput } from "./definition.ts";
import type { InputFault } from "./errors.ts";
import type { LiveLimits } from "./instance-ports.ts";

export type Limits = Definition["limits"];
export const limitNames = ["memoryBytes", "cpus", "cpuWeight", "pids", "diskBytes", "openFiles", "outputBytes"] as const;
/** What one daemon sets in the place of the usual: by name, null for no limit. */
export type SomeLimits = Partial<Pick<Limits, (typeof limitNames)[number]>>;

/** The least and the most of each that anybody may ask for. */
export const limitBounds: Readonly<Record<(typeof limitNames)[number], readonly [number, number]>> = {
  memoryBytes: [1_048_576, 2 ** 46],
  cpus: [0.01, 1_024],
  cpuWeight: [1, 10_000],
  pids: [1, 4_194_304],
  diskBytes: [2 ** 24, 2 ** 43],
  openFiles: [8, 1_048_576],
  outputBytes: [4_096, 67_108_864],
};

const usual: Limits = {
  memoryBytes: null,
  cpus: null,
  cpuWeight: 100,
  pids: 512,
  diskBytes: null,
  openFiles: 1_024,
  outputBytes: 1_048_576,
};

const cpuPeriodMicroseconds = 100_000;

/** What a supervisor is told of them. */
export const liveLimitsOf = ({ memoryBytes, cpus, cpuWeight, pids, openFiles, diskBytes }: Limits): LiveLimits => ({
  memoryBytes: memoryBytes ?? 0,
  cpuQuotaMicroseconds: cpus === null ? 0 : Math.round(cpus * cpuPeriodMicroseconds),
  cpuWeight,
  pids,
  openFiles,
  diskBytes: diskBytes ?? 0,
});

/** Limits that the sandbox itself could not start with: its init is a process, too. */
export const initFaults = (limits: Limits, init: boolean): InputFault[] =>
  init && limits.pids === 1 ? [{ pointer: "/limits/pids", detail: "must be 2 at least: one process is init" }] : [];

/** The limits of sandboxes of this daemon: what holds where a definition says nothing, and what none may pass. */
export class LimitPolicy {
  readonly #defaults: Limits;
  readonly #most: SomeLimits;

  constructor(defaults: SomeLimits = {}, most: SomeLimits = {}) {
    this.#defaults = { ...usual, ...defaults };
    this.#most = most;
  }

  /** Those of a definition. Where it has none, or says null, no more than the most. */
  complete(input: DefinitionInput["limits"], before: Limits = this.#defaults): Limits {
    const limits: Limits = { ...before, ...input };
    for (const name of limitNames) {
      const [most, given] = [this.#most[name], input?.[name]];
      const isFree = given === undefined || given === null;
      if (most != null && isFree && (limits[name] ?? Number.POSITIVE_INFINITY) > most) limits[name] = most;
    }
    return limits;
  }

  /** What passes the most. */
  faults(limits: Limits): InputFault[] {
    return limitNames.flatMap((name) => {
      const most = this.#most[name];
      if (most == null || (limits[name] ?? 0) <= most) return [];
      return [{ pointer: `/limits/${name}`, detail: `must not be more than ${most} here (--max-limits)` }];
    });
  }
}
