import type { RaceName } from "./arguments.ts";
import type { ContestantName } from "./contestant.ts";
import type { Crowd } from "./crowd.ts";
import type { EventLoop } from "./event-loop.ts";
import type { Footprint } from "./footprint.ts";
import type { RaceResult } from "./race.ts";
import type { Results } from "./rounds.ts";
import { median } from "./statistics.ts";

/** A target, what was measured and its bound, in one unit. `met` is null when a part of it was not measured. */
export interface Target {
  what: string;
  unit: string;
  value: number;
  bound: number;
  /** `most`: the value may be as high as the bound; `least`: it may be as low. */
  kind: "most" | "least";
  met: boolean | null;
}

const target = (what: string, unit: string, value: number, kind: "most" | "least", bound: number): Target => {
  const known = Number.isFinite(value) && Number.isFinite(bound);
  return { what, unit, value, bound, kind, met: known ? (kind === "most" ? value <= bound : value >= bound) : null };
};

/** How far the value is from its bound, as a share of the bound; negative where the target is missed. */
export const margin = ({ value, bound, kind }: Target): number => (kind === "most" ? bound - value : value - bound) / bound;

/** Milliseconds. */
const launchOf = (results: Results, name: ContestantName): number => median(results.launch.get(name)?.samples ?? []) / 1000;

export const cyclesPerSecond = (results: Results, parallel: number, name: ContestantName): number => {
  const series = results.cycles.get(parallel)?.get(name);
  return series === undefined ? Number.NaN : (series.samples.length / series.wallMicroseconds) * 1e6;
};

/** The median of what a subject's take answered in a race. */
const raceMedian = (races: ReadonlyMap<RaceName, RaceResult>, race: RaceName, subject: string, take: string): number =>
  median(
    races
      .get(race)
      ?.rows.find(({ name }) => name === subject)
      ?.values.get(take) ?? [],
  );

const crowdTargets = (crowd: Crowd): Target[] => {
  const of = `with ${crowd.count.toLocaleString("en")} running sandboxes`;
  return [
    target(`${of}: a launch against one of the first`, "x", crowd.launchLast / crowd.launchFirst, "most", 1.3),
    target(`${of}: RSS of the daemon`, "MB", crowd.daemonRss / 1024, "most", 120),
    target(`${of}: PSS of each, on average`, "KB", crowd.pssMean, "most", 300),
    target(`${of}: killed daemon ready again`, "ms", crowd.readyAfter, "most", 1000),
    target(`${of}: CPU while idle, of a core`, "%", crowd.idleDaemonPercent + crowd.idleOthersPercent, "most", 1),
  ];
};

export interface Judged {
  results: Results;
  races: ReadonlyMap<RaceName, RaceResult>;
  eventLoop: EventLoop | null;
  footprint: Footprint | null;
  crowd: Crowd | null;
}

export const judge = ({ results, races, eventLoop, footprint, crowd }: Judged): Target[] => {
  const firstByte = (subject: string): number => raceMedian(races, "exec", subject, "firstByte");
  const output = (subject: string): number => raceMedian(races, "output", subject, "rate");
  const worst = eventLoop?.routes[0];
  const full = footprint !== null && footprint.stoppedDefinitions >= 1000 ? footprint.daemonRss / 1024 : Number.NaN;
  return [
    target("create + start, warm: below the bare `unshare` command", "ms", launchOf(results, "warm"), "most", launchOf(results, "unshare")),
    target("create + start, cold: at most 1.4 x the floor", "ms", launchOf(results, "cold"), "most", 1.4 * launchOf(results, "floor")),
    target("create + start, cold: below bwrap", "ms", launchOf(results, "cold"), "most", launchOf(results, "bwrap")),
    target("create + start, warm: at most 1/30 of Docker", "ms", launchOf(results, "warm"), "most", launchOf(results, "docker") / 30),
    target(
      "cycles at 8 in parallel: at least 60 % of the floor",
      "/s",
      cyclesPerSecond(results, 8, "warm"),
      "least",
      0.6 * cyclesPerSecond(results, 8, "floor"),
    ),
    target(
      "command in a running sandbox, until its first byte: at most the floor + 1 ms",
      "ms",
      firstByte("unshared"),
      "most",
      firstByte("floor") + 1,
    ),
    target("output of one process into the supervisor, unread", "MB/s", output("unshared, unread"), "least", 500),
    target("output of one process over HTTP, bytes", "MB/s", output("unshared, bytes"), "least", 200),
    target("output of one process over HTTP, NDJSON", "MB/s", output("unshared, NDJSON"), "least", 200),
    target(
      `event loop held by a handler${worst === undefined ? "" : ` (longest: \`${worst.route}\`)`}`,
      "ms",
      worst?.longest ?? Number.NaN,
      "most",
      1,
    ),
    target("idle sandbox, supervisor + init: PSS", "KB", footprint?.pairPssMax ?? Number.NaN, "most", 300),
    target("daemon with 1,000 stopped definitions: RSS", "MB", full, "most", 120),
    ...(crowd === null ? [] : crowdTargets(crowd)),
  ];
};
