import { type RaceName, raceNames } from "./arguments.ts";
import { type ContestantName, contestantNames } from "./contestant.ts";
import type { Crowd } from "./crowd.ts";
import type { EventLoop } from "./event-loop.ts";
import type { Footprint } from "./footprint.ts";
import type { Host } from "./host.ts";
import type { Layers } from "./layers.ts";
import type { RaceResult } from "./race.ts";
import { raceTable } from "./race-report.ts";
import type { Results, Series } from "./rounds.ts";
import { type Interval, median, summarize } from "./statistics.ts";
import { cyclesPerSecond, margin, type Target } from "./targets.ts";

/** Everything that one run measured. */
export interface Measured {
  host: Host;
  results: Results;
  /** Microseconds of one fdatasync. */
  disk: number[];
  what: Map<string, string>;
  layers: Layers | null;
  races: Map<RaceName, RaceResult>;
  eventLoop: EventLoop | null;
  footprint: Footprint | null;
  crowd: Crowd | null;
  targets: Target[];
  notes: string[];
}

const milliseconds = (microseconds: number): string => (Number.isFinite(microseconds) ? (microseconds / 1000).toFixed(2) : "-");
const ratio = (value: number, to: number): string => (Number.isFinite(value / to) ? (value / to).toFixed(2) : "-");
const row = (...cells: (string | number)[]): string => `| ${cells.join(" | ")} |`;
const table = (head: string[], rows: string[]): string[] =>
  rows.length === 0 ? ["not measured"] : [row(...head), row(...head.map(() => "---")), ...rows];

const hostLine = (host: Host): string =>
  `${host.processor}, ${host.cores} cores, ${host.memoryGiB} GiB; ${host.system}, kernel ${host.kernel}, cgroups ${host.cgroups}; Node ${host.node}; ${host.measuredAt} UTC.`;

const targetTable = (targets: Target[]): string[] =>
  table(
    ["target", "measured", "bound", "result"],
    targets.map((target) => {
      const by = `${Math.abs(margin(target) * 100).toFixed(0)} %`;
      const result = target.met === null ? "not measured" : target.met ? `met, by ${by}` : `**missed, by ${by}**`;
      const show = (value: number): string => (Number.isFinite(value) ? `${value.toFixed(2)} ${target.unit}` : "-");
      return row(target.what, show(target.value), `${target.kind === "most" ? "≤" : "≥"} ${show(target.bound)}`, result);
    }),
  );

const launchTable = ({ results, what }: Measured): string[] => {
  const floor = median(results.launch.get("floor")?.samples ?? []);
  const quiet = (name: ContestantName): number => median(results.quiet.get(name)?.samples ?? []);
  const rows = contestantNames.flatMap((name) => {
    const absent = results.absent.get(name);
    if (absent !== undefined) return [row(name, "could not run", "", "", "", absent.replaceAll("|", "/"))];
    const series = results.launch.get(name);
    if (series === undefined) return [];
    const { p50, p90 } = summarize(series.samples);
    return [row(name, milliseconds(p50), milliseconds(p90), ratio(p50, floor), milliseconds(quiet(name)), what.get(name) ?? "")];
  });
  return table(["", "p50 ms", "p90 ms", "× floor", "p50 ms, after quiet", "what is timed"], rows);
};

const cycleTable = ({ results }: Measured): string[] => {
  const rows = contestantNames.flatMap((name) => {
    const [one, eight] = [results.cycles.get(1)?.get(name), results.cycles.get(8)?.get(name)];
    if (one === undefined || eight === undefined) return [];
    const rates = [cyclesPerSecond(results, 1, name), cyclesPerSecond(results, 8, name)] as const;
    const cells = [milliseconds(median(one.samples)), rates[0].toFixed(1), milliseconds(median(eight.samples)), rates[1].toFixed(1)];
    return [row(name, ...cells, ratio(rates[1], cyclesPerSecond(results, 8, "floor")))];
  });
  return table(["", "1: p50 ms", "1: cycles/s", "8: p50 ms", "8: cycles/s", "8: × floor"], rows);
};

/** Phases differ in name between the floor and the supervisor, so each has its own list; what HTTP and the daemon add is the rest. */
const phaseTable = ({ results, disk }: Measured): string[] => {
  const rows = (["warm", "cold", "floor"] as const).flatMap((name) => [
    ...phaseRow(name, results.launch.get(name)),
    ...phaseRow(`${name}, after quiet`, results.quiet.get(name)),
  ]);
  const roundTrip = Math.round(median(results.launch.get("warm")?.roundTrip ?? []));
  const rest = `In the rest: a request that does nothing takes ${roundTrip} µs; making 4 KiB durable on this disk ${Math.round(median(disk))} µs.`;
  return [...table(["", "whole µs", "phases µs", "the rest µs", "phases, medians in µs"], rows), ...(roundTrip > 0 ? ["", rest] : [])];
};

const phaseRow = (name: string, series: Series | undefined): string[] => {
  const phases = [...(series?.phases ?? [])].map(([phase, times]) => [phase, median(times)] as const);
  if (series === undefined || phases.length === 0) return [];
  const sum = phases.reduce((total, [, time]) => total + time, 0);
  const whole = median(series.samples);
  const cells = [whole, sum, whole - sum].map((time) => Math.round(time));
  return [row(name, ...cells, phases.map(([phase, time]) => `${phase} ${Math.round(time)}`).join(", "))];
};

const layerTable = (layers: Layers | null): string[] => {
  if (layers === null) return ["not measured"];
  const show = (cost: Interval | string): string[] =>
    typeof cost === "string"
      ? ["could not run", cost.replaceAll("|", "/")]
      : [`${Math.round(cost.median)}`, `${Math.round(cost.low)} to ${Math.round(cost.high)}`];
  const rows = layers.costs.map(({ layer, cold, warm }) => row(layer, ...show(cold), ...show(warm)));
  const whole = `A launch takes ${Math.round(layers.cold)} µs cold and ${Math.round(layers.warm)} µs warm in these phases; ${layers.launches} were made with each layer and without it.`;
  return [...table(["layer", "cold µs", "95 %", "warm µs", "95 %"], rows), "", whole];
};

const eventLoopTable = (eventLoop: EventLoop | null): string[] => {
  if (eventLoop === null) return ["not measured"];
  const rows = eventLoop.routes.map((route) => {
    const cells = [route.p50, route.p99, route.longest, route.longestCpu].map((value) => value.toFixed(3));
    return row(`\`${route.route}\``, route.blocks, ...cells);
  });
  const whole = `The loop as a whole, scheduler included: delayed by ${eventLoop.delayMaxMs.toFixed(1)} ms at most, ${eventLoop.delayP99Ms.toFixed(1)} ms at p99; longest garbage collection ${eventLoop.longestCollectionMs.toFixed(1)} ms.`;
  return [...table(["handler", "blocks", "p50 ms", "p99 ms", "longest ms", "most CPU in a block ms"], rows), "", whole];
};

const footprintLines = (footprint: Footprint | null): string[] => {
  if (footprint === null) return ["not measured"];
  const { idleSandboxes, supervisorPss, initPss, pairPssMax, stoppedDefinitions, daemonRss, daemonRssEmpty } = footprint;
  const mb = (kilobytes: number): string => `${(kilobytes / 1024).toFixed(1)} MB`;
  return [
    `- Idle sandbox, ${idleSandboxes} alive: supervisor ${supervisorPss} KB + init ${initPss} KB of PSS (medians); largest pair ${pairPssMax} KB.`,
    `- Daemon: ${mb(daemonRss)} of RSS with ${stoppedDefinitions} stopped definitions, ${mb(daemonRssEmpty)} before the first.`,
  ];
};

const crowdLines = (crowd: Crowd | null): string[] => {
  if (crowd === null) return ["not measured"];
  const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
  const { count, launchFirst, launchLast, readyAfter, recovery, readyEmpty, lost } = crowd;
  return [
    `- ${count} made one after the other in ${crowd.makeSeconds.toFixed(1)} s: a launch took ${ms(launchFirst)} after the first ten and ${ms(launchLast)} at the end (medians of 50). Deleted, four at a time, in ${crowd.deleteSeconds.toFixed(1)} s.`,
    `- Memory: ${(crowd.daemonRss / 1024).toFixed(1)} MB of RSS for the daemon; ${crowd.pssMean.toFixed(0)} KB of PSS for supervisor and init of one (mean; the largest ${crowd.pssMax} KB).`,
    `- One of them is told in ${ms(crowd.get)}, a list of 100 in ${ms(crowd.list100)}, of 1,000 in ${ms(crowd.list1000)}.`,
    `- Killed, the daemon is ready again ${ms(readyAfter)} after its process began (${ms(readyEmpty)} without a sandbox); ${ms(recovery)} of that is the recovery. ${lost} were lost.`,
    `- While nobody asks anything: ${crowd.idleDaemonPercent.toFixed(2)} % of a core for the daemon, ${crowd.idleOthersPercent.toFixed(2)} % for launcher and supervisors.`,
  ];
};

/** The whole result as Markdown. */
export const renderReport = (measured: Measured): string => {
  const firstByte = summarize(measured.results.launch.get("floor")?.firstByte ?? []);
  const extra =
    firstByte.count === 0
      ? []
      : ["", `The floor until the first byte that bash prints: ${milliseconds(firstByte.p50)} ms (p90 ${milliseconds(firstByte.p90)}).`];
  const sections: [string, string[]][] = [
    ["Targets", targetTable(measured.targets)],
    ["Create and start until running", [...launchTable(measured), ...extra]],
    ["Create, run, delete", cycleTable(measured)],
    ["Where the time of a launch goes", phaseTable(measured)],
    ["What each layer costs", layerTable(measured.layers)],
    ...raceNames.flatMap((name): [string, string[]][] => {
      const result = measured.races.get(name);
      return result === undefined ? [] : [[result.title, raceTable(result)]];
    }),
    ["Event loop", eventLoopTable(measured.eventLoop)],
    ["Memory", footprintLines(measured.footprint)],
    ["A crowd", crowdLines(measured.crowd)],
  ];
  const notes = measured.notes.length === 0 ? [] : ["", "Notes:", ...measured.notes.map((note) => `- ${note}`)];
  return [hostLine(measured.host), ...sections.flatMap(([title, lines]) => ["", `### ${title}`, "", ...lines]), ...notes].join("\n");
};
