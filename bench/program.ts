import type { ChildProcess } from "node:child_process";
import { execFile, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Ends every program that the bench runs when the bench itself has to end. */
export const ending = new AbortController();

/**
 * Runs a program to its end and answers what it printed. A failure carries the end of its error output, and is told only when
 * the program is no more: it may have to clean up when it is interrupted. What itself cleans up is not interrupted.
 */
export const run = (
  file: string,
  args: readonly string[],
  options: { timeoutSeconds?: number; cleaning?: boolean } = {},
): Promise<string> =>
  new Promise((resolve, reject) => {
    const limits = {
      timeout: (options.timeoutSeconds ?? 120) * 1000,
      maxBuffer: 64 << 20,
      ...(options.cleaning === true ? {} : { signal: ending.signal }),
    };
    const child = execFile(file, args, limits, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const tail = stderr.trim().split("\n").slice(-3).join("; ");
      const fail = (): void => reject(new Error(`${basename(file)}: ${tail || error.message}`));
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) fail();
      else child.once("exit", fail);
    });
    child.stdin?.end();
  });

/** Starts a program that goes on running; its output goes into the log file. */
export const start = (file: string, args: readonly string[], log: string, env: NodeJS.ProcessEnv = process.env): ChildProcess => {
  const output = openSync(log, "a");
  const child = spawn(file, args, { stdio: ["ignore", output, output], env, detached: true });
  closeSync(output);
  child.on("error", () => {}); // its exit is what the callers look at
  return child;
};

/** TERM, then KILL after the grace. Resolves when the program is no more. */
export const stop = async (child: ChildProcess, graceSeconds = 10): Promise<void> => {
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  if (!ended()) child.kill("SIGTERM");
  for (let waited = 0; !ended() && waited < graceSeconds * 1000 + 5000; waited += 20) {
    if (waited === graceSeconds * 1000) child.kill("SIGKILL");
    await sleep(20);
  }
};

/** Asks again and again until the answer is yes. Gives up with the reason when the time is over or the program has ended. */
export const until = async (what: string, seconds: number, question: () => Promise<boolean>, child?: ChildProcess): Promise<void> => {
  const deadline = performance.now() + seconds * 1000;
  while (!(await question().catch(() => false))) {
    if (child !== undefined && (child.exitCode !== null || child.signalCode !== null)) throw new Error(`${what}: the program ended`);
    if (performance.now() > deadline) throw new Error(`${what}: not within ${seconds} s`);
    ending.signal.throwIfAborted();
    await sleep(10);
  }
};
