import { parseArgs } from "node:util";
import { type ContestantName, contestantNames } from "./contestant.ts";

/** What is measured in sandboxes that run, and by runs (inside.ts). */
export const raceNames = ["exec", "output", "files", "runs"] as const;
export type RaceName = (typeof raceNames)[number];
export const measureNames = ["launch", "cycles", "layers", ...raceNames, "event-loop", "footprint", "crowd"] as const;
export type MeasureName = (typeof measureNames)[number];

export interface Arguments {
  measures: Set<MeasureName>;
  contestants: Set<ContestantName>;
  json: string | null;
  quick: boolean;
  /** Nothing is left out, so the result may stand in the README. */
  whole: boolean;
}

const usage = `usage: node bench/main.ts [--only NAME[,NAME...]] [--json FILE] [--quick]
  --only   measures (${measureNames.join(" ")}) and contestants (${contestantNames.join(" ")}); may be given again
  --json   also write everything measured, samples included, into FILE
  --quick  few rounds: a look, not a measurement; bench/README.md is written by a whole run only
`;

/** Reads the command line; answers the text to print when there is nothing to run, with the exit code. */
export const readArguments = (args: string[]): Arguments | { text: string; exitCode: number } => {
  try {
    const options = {
      only: { type: "string", multiple: true },
      json: { type: "string" },
      quick: { type: "boolean" },
      help: { type: "boolean" },
    } as const;
    const { values } = parseArgs({ args, options });
    if (values.help === true) return { text: usage, exitCode: 0 };
    const names = (values.only ?? []).flatMap((list) => list.split(","));
    const measures = measureNames.filter((name) => names.includes(name));
    const contestants = contestantNames.filter((name) => names.includes(name));
    const unknown = names.filter((name) => ![...measureNames, ...contestantNames].some((known) => known === name));
    if (unknown.length > 0) throw new Error(`--only does not know ${unknown.join(", ")}`);
    return {
      measures: new Set(measures.length > 0 ? measures : measureNames),
      contestants: new Set(contestants.length > 0 ? contestants : contestantNames),
      json: values.json ?? null,
      quick: values.quick === true,
      whole: names.length === 0 && values.quick !== true,
    };
  } catch (error) {
    return { text: `${error instanceof Error ? error.message : String(error)}\n${usage}`, exitCode: 2 };
  }
};
