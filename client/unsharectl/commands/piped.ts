import type { Process } from "../../index.ts";
import { ProblemError } from "../../index.ts";
import { escapedOutput } from "../escapes.ts";
import { codeOf } from "../exit-codes.ts";

/** Bytes as they are to a file or pipe; to a terminal as text in which nothing acts on it, unless that is asked for. */
const write = (stream: NodeJS.WriteStream, record: { bytes: Uint8Array; text: string }, raw: boolean): Promise<void> => {
  const data = raw || !stream.isTTY ? record.bytes : escapedOutput(record.text);
  return new Promise((resolve) => (stream.write(data) ? resolve() : stream.once("drain", resolve)));
};

/** Gives stdin to the process as far as it takes it. */
const feed = async (remote: Process): Promise<void> => {
  try {
    await remote.write(process.stdin as AsyncIterable<Uint8Array>, { close: true });
  } catch (error) {
    if (!(error instanceof ProblemError) || !["stdin-closed", "state-conflict", "process-not-found"].includes(error.code)) throw error;
  }
};

/** Passes output, stdin and signals through until the process ends; gives the exit code. */
export const pass = async (remote: Process, options: { stdin: boolean; raw: boolean; after?: number | "held" }): Promise<number> => {
  let asked = 0;
  const forward = (signal: NodeJS.Signals) => {
    asked += 1;
    // Who asks a third time wants to be gone.
    if (asked > 2) process.exit(codeOf({ code: null, signal }));
    void remote.signal(signal).catch(() => {});
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, forward);
  const fed = options.stdin ? feed(remote) : Promise.resolve();
  // A failure of stdin is told with the end, not before.
  fed.catch(() => {});
  try {
    for await (const record of remote.output({ after: options.after, gaps: "skip" })) {
      if ("exit" in record) return codeOf(record.exit ?? (await remote.wait()));
      await write(record.stream === "stdout" ? process.stdout : process.stderr, record, options.raw);
    }
    return codeOf(await remote.wait());
  } finally {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, forward);
    process.stdin.destroy();
  }
};
