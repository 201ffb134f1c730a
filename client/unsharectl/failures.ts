import { ConnectionError, ProblemError, UnsharedError } from "../index.ts";
import { escapedLine } from "./escapes.ts";
import { exitCodes } from "./exit-codes.ts";

/** What a person can do about it, by the problem's code. */
const advice: Readonly<Record<string, string>> = {
  unauthorized: "give a token: --token, or UNSHARED_TOKEN; the first one is in STATE_DIR/admin.token of the daemon",
  forbidden: "the token may not do this: make one with a wider scope (unsharectl token create)",
  "sandbox-not-found": "unsharectl ls shows all sandboxes",
  "process-not-found": "unsharectl ps SANDBOX shows its processes",
  "root-not-found": "unsharectl roots ls shows all roots",
  "root-in-use": "delete the sandboxes that use it first",
  "state-conflict": "unsharectl show SANDBOX tells its state",
  "name-taken": "choose another name, or remove what has it",
  "command-not-found": "unsharectl roots show ROOT --manifest tells what the root has",
  "host-not-ready": "unsharectl doctor tells what the host lacks",
  "launch-failed": "unsharectl doctor tells what the host lacks",
  "launcher-unavailable": "unsharectl doctor tells what the host lacks",
  "no-terminal": "the process was started without a terminal: leave out -t, or see its output with logs",
};

/** Thrown for an ending that needs no more words. */
export class Ending extends Error {
  readonly code: number;

  constructor(code: number, message = "") {
    super(message);
    this.code = code;
  }
}

/** Tells it on stderr, as JSON where that is asked for; gives the exit code. */
export const tellFailure = (error: unknown, options: { json: boolean; runsCommand: boolean }): number => {
  if (error instanceof Ending) {
    if (error.message !== "") process.stderr.write(`unsharectl: ${escapedLine(error.message)}\n`);
    return error.code;
  }
  if (options.json) process.stderr.write(`${JSON.stringify(asJson(error))}\n`);
  else for (const line of linesOf(error)) process.stderr.write(`${escapedLine(line)}\n`);
  return codeOf(error, options.runsCommand);
};

const asJson = (error: unknown): unknown =>
  error instanceof ProblemError
    ? error.problem
    : { code: error instanceof ConnectionError ? "unreachable" : "failed", detail: (error as Error).message };

const linesOf = (error: unknown): string[] => {
  if (error instanceof ProblemError) {
    const faults = error.errors.map(({ pointer, detail }) => `  ${pointer}: ${detail}`);
    const hint = advice[error.code];
    return [`unsharectl: ${error.problem.detail} (${error.code})`, ...faults, ...(hint === undefined ? [] : [`  ${hint}`])];
  }
  if (error instanceof ConnectionError)
    return [
      `unsharectl: ${error.message}`,
      "  is the daemon running, and may you use its socket? --socket, --url, UNSHARED_SOCKET and UNSHARED_URL say where it is",
    ];
  if (error instanceof UnsharedError) return [`unsharectl: ${error.message}`];
  return [`unsharectl: ${error instanceof Error ? error.message : String(error)}`];
};

const codeOf = (error: unknown, runsCommand: boolean): number => {
  if (!runsCommand) return error instanceof ConnectionError ? exitCodes.unreachable : exitCodes.failed;
  if (error instanceof ProblemError && error.code === "command-not-found") return exitCodes.notFound;
  if (error instanceof ProblemError && error.code === "command-not-executable") return exitCodes.notExecutable;
  return exitCodes.notRun;
};
