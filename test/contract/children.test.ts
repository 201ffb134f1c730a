/** What the daemon starts: a program with a list of arguments, never a line for a shell, and an environment that is made for it. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const server = resolve(import.meta.dirname, "../../server");
/** That can start anything: imports.test.ts keeps execa to a room that loads it by programs.ts, and node:child_process to two rooms. */
const files = readdirSync(server, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .filter((name) => /"node:child_process"|\bexeca\b/.test(readFileSync(join(server, name), "utf8")));

/** Calls that start a program, by file, with all their arguments. */
const startsIn = (source: string): string[] =>
  [...source.matchAll(/\b(?:execa\w*|spawn|spawnSync|exec|execSync|execFile|execFileSync|fork)(?=\(|`|\$)/g)].flatMap(
    ({ 0: name, index }) => {
      const start = index + name.length;
      if (/[.\w]/.test(source[index - 1] ?? "") || source[start] !== "(")
        return source[start] === "(" ? [] : [source.slice(index, start + 80)];
      let depth = 0;
      for (let at = start; at < source.length; at++) {
        if (source[at] === "(") depth++;
        if (source[at] === ")" && --depth === 0) return [source.slice(index, at + 1)];
      }
      return [];
    },
  );
const isMadeFor = (call: string): boolean =>
  /\benv: \{/.test(call) &&
  !/\.\.\.process\.env\b/.test(call) &&
  !/\bshell:/.test(call) &&
  (!call.startsWith("execa") || call.includes("extendEnv: false"));
const without = (source: string): string => source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");

describe("each program that the daemon starts", () => {
  const starts = files.flatMap((file) => startsIn(without(readFileSync(join(server, file), "utf8"))).map((call) => `${file}: ${call}`));

  it("is found", () => {
    expect(starts.length).toBeGreaterThanOrEqual(6);
  });

  it("gets no shell and an environment of its own", () => {
    expect(starts.filter((start) => !isMadeFor(start.slice(start.indexOf(": ") + 2)))).toEqual([]);
  });

  it.each([
    'execa("tar", args, { env: {} })',
    'spawn("tar", args, { stdio: "ignore" })',
    'spawn("tar", args, { env: { ...process.env } })',
    'execa("tar", args, { env: {}, extendEnv: false, shell: true })',
    "exec(`tar ${path}`)",
    "execa`tar ${path}`",
  ])("would be found here: %s", (text) => {
    expect(startsIn(`const child = ${text};`).filter((call) => !isMadeFor(call))).toHaveLength(1);
  });
});
