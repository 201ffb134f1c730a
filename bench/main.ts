/** The bench: builds, opens the contestants, runs the rounds, reports. Whatever happens, what it started is ended and removed. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Arguments, type RaceName, raceNames, readArguments } from "./arguments.ts";
import type { Contestant, ContestantName } from "./contestant.ts";
import { type Crowd, measureCrowd } from "./crowd.ts";
import { measureDisk } from "./disk.ts";
import { openDocker } from "./docker.ts";
import { type EventLoop, measureEventLoop } from "./event-loop.ts";
import { type Footprint, measureFootprint } from "./footprint.ts";
import { describeHost } from "./host.ts";
import { measureInside } from "./inside.ts";
import { type Layers, measureLayers } from "./layers.ts";
import { buildNative, makeTree, openFloor } from "./native.ts";
import { fetchPeers } from "./packages.ts";
import { openBwrap, openOciRuntime, openUnshare } from "./peers.ts";
import { ending } from "./program.ts";
import type { RaceResult } from "./race.ts";
import { type Measured, renderReport } from "./report.ts";
import { type Results, runRounds } from "./rounds.ts";
import { openOurs } from "./sandboxes.ts";
import { project, removeCgroups, removeScratch } from "./scratch.ts";
import { judge } from "./targets.ts";
import { Undo } from "./undo.ts";

const TIME_LIMIT_MINUTES = 15;

const say = (text: string): boolean => process.stderr.write(`${text}\n`);
const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Opens those asked for; one that cannot take part is noted with its reason and not missed by the others. */
const openContestants = async (names: Set<ContestantName>, tree: string, results: Results, undo: Undo): Promise<Contestant[]> => {
  const openers: Record<ContestantName, () => Promise<Contestant>> = {
    warm: () => openOurs("warm", undo),
    cold: () => openOurs("cold", undo),
    floor: () => openFloor(tree),
    unshare: openUnshare,
    bwrap: () => openBwrap(tree),
    crun: () => openOciRuntime("crun", tree),
    runc: () => openOciRuntime("runc", tree),
    docker: () => openDocker(tree, undo),
  };
  const opened: Contestant[] = [];
  for (const name of names) {
    try {
      opened.push(await openers[name]());
    } catch (error) {
      ending.signal.throwIfAborted();
      results.absent.set(name, reasonOf(error));
    }
    say(`${name}: ${results.absent.get(name) ?? "takes part"}`);
  }
  return opened;
};

/** A measure with daemons of its own, which are gone before the next begins; a failure becomes a note. */
const alone = async <T>(what: string, notes: string[], measure: (undo: Undo) => Promise<T>): Promise<T | null> => {
  const undo = new Undo();
  say(what);
  try {
    return await measure(undo);
  } catch (error) {
    ending.signal.throwIfAborted();
    notes.push(`${what} was not measured: ${reasonOf(error)}`);
    return null;
  } finally {
    notes.push(...(await undo.run()));
  }
};

/** The bench's programs, the peers, and the tree that they have in common. */
const prepare = async (notes: string[]): Promise<string> => {
  const fetched = await fetchPeers();
  if (fetched !== null) notes.push(`peers' packages could not be fetched: ${fetched}`);
  await buildNative();
  return makeTree();
};

const measure = async (options: Arguments, undo: Undo): Promise<Measured> => {
  const notes: string[] = [];
  const results: Results = { launch: new Map(), quiet: new Map(), cycles: new Map(), absent: new Map() };
  let opened: Contestant[] = [];
  let disk: number[] = [];
  const launches = options.measures.has("launch") || options.measures.has("cycles");
  const inside = raceNames.some((name) => options.measures.has(name));
  const tree = launches || inside ? await prepare(notes) : "";
  if (launches) {
    disk = await measureDisk();
    const race = new Undo();
    undo.push("end the contestants", () => race.run());
    opened = await openContestants(options.contestants, tree, results, race);
    if (options.measures.has("launch")) await runRounds(opened, "launch", options.quick ? 2 : 10, results);
    if (options.measures.has("cycles")) await runRounds(opened, "cycles", options.quick ? 1 : 5, results);
    notes.push(...(await race.run()));
  }
  const layers: Layers | null = options.measures.has("layers")
    ? await alone("layers", notes, (own) => measureLayers(options.quick ? 3 : 20, own))
    : null;
  const races: Map<RaceName, RaceResult> | null = inside
    ? await alone("commands, output, files and runs", notes, (own) => measureInside(options, tree, notes, own))
    : null;
  const eventLoop: EventLoop | null = options.measures.has("event-loop")
    ? await alone("event loop", notes, (own) => measureEventLoop(options.quick ? 50 : 200, own))
    : null;
  const footprint: Footprint | null = options.measures.has("footprint")
    ? await alone("footprint", notes, (own) => measureFootprint(options.quick ? 8 : 20, options.quick ? 100 : 1000, own))
    : null;
  const crowd: Crowd | null = options.measures.has("crowd")
    ? await alone("crowd", notes, (own) => measureCrowd(options.quick ? 100 : 1000, own))
    : null;
  return {
    host: await describeHost(),
    results,
    disk,
    what: new Map(opened.map(({ name, what }) => [name, what])),
    layers,
    races: races ?? new Map(),
    eventLoop,
    footprint,
    crowd,
    targets: judge({ results, races: races ?? new Map(), eventLoop, footprint, crowd }),
    notes,
  };
};

const writeReadme = async (report: string): Promise<void> => {
  const path = join(project, "bench/README.md");
  const text = await readFile(path, "utf8");
  const [before, after] = [text.split("<!-- results -->")[0], text.split("<!-- end of results -->")[1]];
  if (before === undefined || after === undefined) throw new Error("bench/README.md has lost its markers");
  await writeFile(path, `${before}<!-- results -->\n${report}\n<!-- end of results -->${after}`);
};

/** Maps as objects, so that JSON holds them. */
const plain = (_key: string, value: unknown): unknown => (value instanceof Map ? Object.fromEntries(value) : value);

const main = async (): Promise<number> => {
  const options = readArguments(process.argv.slice(2));
  if ("text" in options) {
    process.stdout.write(options.text);
    return options.exitCode;
  }
  if (process.geteuid?.() !== 0) {
    say("the bench makes namespaces, mounts and cgroups: run it as root (script/bench does)");
    return 1;
  }
  const limit = setTimeout(
    () => ending.abort(new Error(`the bench took more than ${TIME_LIMIT_MINUTES} minutes`)),
    TIME_LIMIT_MINUTES * 60_000,
  );
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ending.abort(new Error(`ended by ${signal}`)));
  const undo = new Undo();
  undo.push("remove the scratch folder", removeScratch);
  undo.push("remove the cgroups", removeCgroups);
  try {
    const measured = await measure(options, undo);
    const report = renderReport(measured);
    process.stdout.write(`${report}\n`);
    if (options.json !== null) await writeFile(options.json, JSON.stringify(measured, plain));
    if (options.whole) await writeReadme(report);
    return 0;
  } catch (error) {
    say(reasonOf(error));
    return 1;
  } finally {
    clearTimeout(limit);
    for (const failure of await undo.run()) say(`left over: ${failure}`);
  }
};

process.exitCode = await main();
