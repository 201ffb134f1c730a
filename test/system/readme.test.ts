import { execFile } from "node:child_process";
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { helpText } from "../../server/config.ts";
import { Daemon } from "../fixtures/daemon.ts";

const project = resolve(import.meta.dirname, "../..");
const readme = readFileSync(join(project, "README.md"), "utf8");

/** Its fenced blocks in order. */
const blocks = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = "", text = ""]) => ({ language, text }));
const [topBlock = "", rooms = "", [session = "", tutorial = ""]] = [
  blocks.find(({ language }) => language === "console")?.text,
  blocks.find(({ text }) => text.startsWith("server/"))?.text,
  blocks.filter(({ language }) => language === "sh").map(({ text }) => text),
];

interface Step {
  commands: string;
  expected: string[];
}

/** Cuts a block after each run of `#> ` lines, which are what the commands before them print. */
function stepsOf(block: string): Step[] {
  const steps: Step[] = [];
  for (const line of block.split("\n")) {
    const last = steps.at(-1);
    if (line.startsWith("#> ")) last?.expected.push(line.slice(3));
    else if (last === undefined || last.expected.length > 0) steps.push({ commands: line, expected: [] });
    else last.commands += `\n${line}`;
  }
  return steps;
}

/** Numbers of four digits or more, ids and times differ from run to run, `...` is left out; all else must be as printed. */
const varying: readonly [found: RegExp, stands: string][] = [
  [/\.\.\./, ".*"],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/, "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z"],
  [/\b[0-9a-hjkmnp-tv-z]{26}\b/, "[0-9a-hjkmnp-tv-z]{26}"],
  [/\d{4,}/, "\\d+"],
];

const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

function shapeOf(line: string): RegExp {
  const any = new RegExp(varying.map(([found]) => `(${found.source})`).join("|"), "g");
  let pattern = "";
  let at = 0;
  for (const match of line.matchAll(any)) {
    pattern += literal(line.slice(at, match.index)) + varying[match.slice(1).findIndex((group) => group !== undefined)]?.[1];
    at = match.index + match[0].length;
  }
  return new RegExp(`^${pattern}${literal(line.slice(at))}$`);
}

const separator = "\x1e";

/** What each step printed, stdout and stderr as a person sees them, run one after the other in one bash. */
function run(steps: readonly Step[], env: Record<string, string>, cwd: string): Promise<string[][]> {
  const script = ["exec 2>&1", ...steps.flatMap(({ commands }) => [commands, `printf '${separator}'`])].join("\n");
  return new Promise((done, failed) => {
    execFile("bash", ["-c", script], { env: { ...process.env, ...env }, cwd, timeout: 25_000 }, (error, stdout) => {
      const outputs = stdout.split(separator).slice(0, -1);
      if (outputs.length !== steps.length) failed(error ?? new Error(`the session ended early: ${stdout}`));
      else done(outputs.map((output) => output.split("\n").filter((line) => line !== "")));
    });
  });
}

async function expectAsPrinted(steps: readonly Step[], env: Record<string, string>, cwd: string): Promise<void> {
  const outputs = await run(steps, env, cwd);
  for (const [index, { commands, expected }] of steps.entries()) {
    const lines = outputs[index] ?? [];
    expect(lines, `what is printed by:\n${commands}`).toHaveLength(expected.length);
    for (const [row, line] of expected.entries()) expect(lines[row], `printed by:\n${commands}`).toMatch(shapeOf(line));
  }
}

describe("the commands in the README", () => {
  let daemon: Daemon;
  let directory: string;

  beforeAll(async () => {
    daemon = await Daemon.start();
    directory = mkdtempSync(join(tmpdir(), "unshared-readme-"));
  });
  afterAll(async () => {
    const { body } = await daemon.request("GET", "/v1/sandboxes?limit=1000");
    for (const { id } of body.items) await daemon.request("DELETE", `/v1/sandboxes/${id}`);
    await daemon[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  test("the two at its top run a daemon and start a bash", async () => {
    const [server = "", curl = "", ...more] = topBlock.trim().split("\n");
    expect(more).toEqual([]);
    expect(() => accessSync(join(project, server), constants.X_OK)).not.toThrow();
    expect(curl).toContain("/run/unshared/unshared.sock");
    const commands = curl.replace("/run/unshared/unshared.sock", daemon.socket).replace("curl", "curl -sS");
    const [output] = await run([{ commands, expected: [] }], {}, directory);
    expect(JSON.parse(output?.join("") ?? "")).toMatchObject({ status: { state: "running" }, process: { pidInside: 2 } });
  });

  test("the session works as printed", async () => {
    const steps = stepsOf(session);
    expect(steps.length).toBeGreaterThan(10);
    await expectAsPrinted(steps, { UNSHARED_SOCKET: daemon.socket }, directory);
  });

  // Debian's multiarch folders and the loader's name are those of x86-64 in it.
  test.skipIf(process.arch !== "x64")("the tutorial by hand breaks where it says", async () => {
    const steps = stepsOf(tutorial.replaceAll("/tmp/custom-root", join(directory, "custom-root")));
    expect(steps.length).toBeGreaterThan(3);
    await expectAsPrinted(steps, {}, directory);
    expect(existsSync(join(directory, "custom-root"))).toBe(false);
  });
});

describe("what the README says of the project", () => {
  test("it is shorter than 200 lines", () => {
    expect(readme.split("\n").length).toBeLessThanOrEqual(200);
  });

  test("its table of settings has every flag and its variable", () => {
    const table = [...readme.matchAll(/^\| `(--[a-z-]+)` \| `(UNSHARED_[A-Z_]+)(?:=1)?` \|/gm)].map((row) => `${row[1]} ${row[2]}`);
    const flags = [...helpText().matchAll(/^ {2}(--[a-z-]+)/gm)].map((row) => row[1] ?? "").filter((flag) => flag !== "--help");
    expect(table.toSorted()).toEqual(
      flags.map((flag) => `${flag} UNSHARED_${flag.slice(2).toUpperCase().replaceAll("-", "_")}`).toSorted(),
    );
  });

  test("the rooms it draws and the files it names are there", () => {
    const links = [...readme.matchAll(/\]\(([^):]+)\)/g)].map((link) => link[1] ?? "");
    const paths: string[] = [];
    let top = "";
    for (const line of rooms.split("\n")) {
      const [, indent = "", path = ""] = /^( *)([\w.-]+\/?) /.exec(line) ?? [];
      if (indent === "") top = path;
      if (path !== "") paths.push(indent === "" ? path : `${top}${path}`);
    }
    expect(paths.length).toBeGreaterThan(10);
    expect([...links, ...paths].filter((path) => !existsSync(join(project, path)))).toEqual([]);
  });
});
