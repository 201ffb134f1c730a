import { type MeasureName, type RaceName, raceNames } from "./arguments.ts";
import type { ContestantName } from "./contestant.ts";
import { execRace } from "./exec.ts";
import { filesRace } from "./files.ts";
import { outputRace } from "./output.ts";
import { ending } from "./program.ts";
import { type Race, type RaceResult, runRace } from "./race.ts";
import { runsRace } from "./runs.ts";
import { openStage } from "./stage.ts";
import type { Undo } from "./undo.ts";

/** Keeps a whole run of all four within about three minutes. */
const rounds: Record<RaceName, number> = { exec: 5, output: 7, files: 5, runs: 5 };

interface Selection {
  measures: ReadonlySet<MeasureName>;
  contestants: ReadonlySet<ContestantName>;
  quick: boolean;
}

/** What is done in sandboxes and by runs: commands, output, files, jobs. One that cannot be measured becomes a note. */
export const measureInside = async (
  { measures, contestants, quick }: Selection,
  tree: string,
  notes: string[],
  undo: Undo,
): Promise<Map<RaceName, RaceResult>> => {
  const stage = await openStage(tree, contestants.has("docker"), undo);
  const races: Record<RaceName, () => Promise<Race>> = {
    exec: () => execRace(stage, quick ? 10 : 50),
    output: () => outputRace(stage, (quick ? 64 : 256) << 20),
    files: () => filesRace(stage, quick ? 32 : 256),
    runs: () => runsRace(stage, contestants.has("bwrap"), quick ? 8 : 40),
  };
  const results = new Map<RaceName, RaceResult>();
  for (const name of raceNames) {
    if (!measures.has(name)) continue;
    try {
      results.set(name, await runRace(await races[name](), quick ? 1 : rounds[name]));
    } catch (error) {
      ending.signal.throwIfAborted();
      notes.push(`${name} was not measured: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return results;
};
