import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

export const docs = resolve(import.meta.dirname, "../../docs");

/** One `sh` block of a guide, and the block of kind `text` or `json` that follows it at once and is what it prints. */
export interface Step {
  commands: string;
  expected: { kind: "text" | "json"; text: string } | null;
}

/** The blocks of a guide that are run, in order; those of other kinds are for people. */
export function stepsOf(guide: string): Step[] {
  const text = readFileSync(join(docs, guide), "utf8");
  const blocks = /^```sh\n(.*?)^```\n(?:\n?```(text|json)\n(.*?)^```\n)?/gms;
  return [...text.matchAll(blocks)].map(([, commands = "", kind, output]) => ({
    commands,
    expected: output === undefined ? null : { kind: kind === "json" ? "json" : "text", text: output },
  }));
}

const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

/** What an output must match: `…` is any text of a line, alone in a line any lines; spaces of JSON do not count. */
export function patternOf({ kind, text }: NonNullable<Step["expected"]>): RegExp {
  if (kind === "json") return new RegExp(`^${compact(text).split("…").map(literal).join(".*?")}$`);
  const lines = text.split("\n").map((line) => (line === "…" ? "(?:.*\n)*?" : `${line.split("…").map(literal).join(".*")}\n`));
  return new RegExp(`^${lines.join("").slice(0, -1)}$`);
}

const compact = (json: string): string => json.replaceAll(/\s+/g, "");

/** An output in the form that `patternOf` matches. */
export const shapeOf = (output: string, kind: "text" | "json"): string => (kind === "json" ? compact(output) : output);

const separator = "\x1e";

/**
 * What each step printed, stdout and stderr as a person sees them, all in one bash that ends where a command fails.
 * @throws Error that has the step that failed and what it printed
 */
export function perform(steps: readonly Step[], env: Record<string, string>, cwd: string): Promise<string[]> {
  const script = ["exec 2>&1", "set -eo pipefail", ...steps.flatMap(({ commands }) => [commands, `printf '${separator}'`])].join("\n");
  return new Promise((done, failed) => {
    execFile("bash", ["-c", script], { env: { ...process.env, ...env }, cwd, timeout: 60_000 }, (error, stdout) => {
      const outputs = stdout.split(separator);
      const last = outputs.pop() ?? "";
      const step = steps[outputs.length];
      if (error || step) failed(new Error(`failed:\n${step?.commands}printed:\n${last}`));
      else done(outputs);
    });
  });
}
