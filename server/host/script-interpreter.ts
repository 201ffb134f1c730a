import { constants } from "node:fs";
import { access, open } from "node:fs/promises";

/** What a script's first line starts: the interpreter, and the program that env(1) looks up, when it is env. */
export interface ScriptInterpreter {
  interpreter: string;
  /** Path of the program that `#!/usr/bin/env NAME` finds; null when the interpreter is not env. */
  throughEnv: { name: string; path: string | null } | null;
}

// The kernel reads 256 bytes of the file and cuts the line there (execve(2), "Interpreter scripts").
const lineBytes = 256;
const searchPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** Reads the `#!` line of the file at `path`; null when it has none. The interpreter of a sound line is an absolute path. */
export async function scriptInterpreter(path: string): Promise<ScriptInterpreter | null> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const head = Buffer.alloc(lineBytes);
  const { bytesRead } = await file.read(head, 0, lineBytes, 0);
  const line = head.toString("utf8", 0, bytesRead).split("\n", 1)[0] ?? "";
  if (!line.startsWith("#!")) return null;
  const [interpreter, ...words] = line
    .slice(2)
    .trim()
    .split(/[ \t]+/);
  if (!interpreter?.startsWith("/") || interpreter.includes("\0")) return null;
  if (!/\/env$/.test(interpreter)) return { interpreter, throughEnv: null };
  // What follows env is options and assignments (also behind -S) until the first plain word.
  const name = words.find((word) => !word.startsWith("-") && !word.includes("="));
  return { interpreter, throughEnv: name === undefined ? null : { name, path: await programOnPath(name) } };
}

/** The first executable of that name in the directories a sandbox's PATH names by default; a name with a slash stands for itself. */
export async function programOnPath(name: string): Promise<string | null> {
  const candidates = name.includes("/") ? [name] : searchPath.map((directory) => `${directory}/${name}`);
  for (const candidate of candidates) {
    if (
      await access(candidate, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return candidate;
  }
  return null;
}
