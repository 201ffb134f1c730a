import type { SpawnOptions } from "../../index.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { Ending } from "../failures.ts";
import { type DefinitionOptions, definitionOf } from "./definition.ts";
import { pairsOf, secondsOf, userOf } from "./parsing.ts";
import { pass } from "./piped.ts";
import { isTerminal, joinTerminals, ownSize } from "./session.ts";

export interface ExecOptions {
  interactive?: boolean;
  tty?: boolean;
  detach?: boolean;
  raw?: boolean;
  env?: string[];
  cwd?: string;
  user?: string;
  timeout?: string;
}

const spawnOptions = (options: ExecOptions): SpawnOptions => ({
  env: { ...(options.tty === true ? { TERM: process.env["TERM"] ?? "xterm" } : {}), ...pairsOf(options.env ?? [], "--env") },
  ...(options.cwd !== undefined && { cwd: options.cwd }),
  ...(options.user !== undefined && { user: userOf(options.user) }),
  ...(options.timeout !== undefined && { timeoutSeconds: secondsOf(options.timeout) }),
});

const needTerminal = (): void => {
  if (!isTerminal()) throw new Ending(exitCodes.usage, "-t needs a terminal on stdin and stdout; leave it out in a pipe");
};

/** Starts a command in a sandbox and passes its exit on. */
export const exec = async ({ client, out }: Context, name: string, words: string[], options: ExecOptions): Promise<number> => {
  // Whoever writes `exec SANDBOX -- COMMAND` means the same.
  const command = words[0] === "--" ? words.slice(1) : words;
  if (options.tty === true && options.detach !== true) needTerminal();
  const sandbox = await client.sandboxes.get(name);
  if (options.tty === true) {
    const started = await sandbox.spawn(command, { ...spawnOptions(options), tty: true });
    const { rows, columns } = ownSize();
    await started.resize(rows, columns).catch(() => {});
    if (options.detach !== true) return joinTerminals(started);
    out.value(started.report, () => out.line(started.id));
    return exitCodes.ok;
  }
  const started = await sandbox.spawn(command, { ...spawnOptions(options), ...(options.interactive === true && { stdin: true }) });
  if (options.detach === true) {
    out.value(started.report, () => out.line(started.id));
    return exitCodes.ok;
  }
  return pass(started, { stdin: options.interactive === true, raw: options.raw === true });
};

/** Joins a process that runs already. */
export const attach = async (
  { client }: Context,
  name: string,
  id: string,
  options: { raw?: boolean; stdin?: boolean },
): Promise<number> => {
  const remote = (await client.sandboxes.get(name)).process(id);
  const { tty } = await remote.refresh();
  if (tty && isTerminal()) return joinTerminals(remote);
  return pass(remote, { stdin: options.stdin !== false && remote.report?.stdin === true, raw: options.raw === true, after: "held" });
};

export interface RunOptions extends DefinitionOptions {
  interactive?: boolean;
  raw?: boolean;
  keep?: boolean;
}

/** A sandbox for one command, which is its main process: made, used, removed. */
export const run = async ({ client }: Context, command: string[], options: RunOptions): Promise<number> => {
  if (options.tty === true) needTerminal();
  const definition = definitionOf(options, command);
  if (options.tty === true) definition.env = { TERM: process.env["TERM"] ?? "xterm", ...definition.env };
  const sandbox = await client.sandboxes.create(definition);
  try {
    const main = sandbox.process();
    if (options.tty === true) return await joinTerminals(main);
    // Its stdin is open from the start; nobody is to wait for what never comes.
    if (options.interactive !== true) await main.closeInput().catch(() => {});
    return await pass(main, { stdin: options.interactive === true, raw: options.raw === true });
  } finally {
    if (options.keep !== true) await sandbox.delete();
  }
};
