import type { Context } from "../context.ts";
import { escapedOutput } from "../escapes.ts";
import { momentOf, numberOf } from "./parsing.ts";

export interface LogOptions {
  follow?: boolean;
  tail?: string;
  since?: string;
  process?: string;
  timestamps?: boolean;
  raw?: boolean;
}

export const logs = async ({ client, out }: Context, name: string, options: LogOptions): Promise<void> => {
  const sandbox = await client.sandboxes.get(name);
  const entries = sandbox.logs({
    follow: options.follow === true,
    gaps: "skip",
    tail: options.tail === undefined ? undefined : numberOf(options.tail),
    since: options.since === undefined ? undefined : momentOf(options.since),
    process: options.process,
  });
  for await (const { bytes, text, ...entry } of entries) {
    if (out.json) out.line(JSON.stringify({ ...entry, text }));
    else if (entry.stream !== null) {
      const stream = entry.stream === "stdout" ? process.stdout : process.stderr;
      const head = options.timestamps === true ? `${entry.time} ${entry.process}  ` : "";
      const isShown = stream.isTTY && options.raw !== true;
      stream.write(head);
      if (!stream.write(isShown ? escapedOutput(text) : bytes)) await new Promise((resolve) => stream.once("drain", resolve));
    }
  }
};

export const events = async ({ client, out }: Context, options: { follow?: boolean; sandbox?: string; type?: string[] }): Promise<void> => {
  const found = client.events({ follow: options.follow === true, gaps: "skip", sandbox: options.sandbox, types: options.type });
  for await (const event of found)
    out.value(event, () => {
      const { name = event.subject, ...data } = event.data ?? {};
      const rest = Object.keys(data).length === 0 ? "" : ` ${JSON.stringify(data)}`;
      out.line(escapedOutput(`${event.time}  ${(event.type ?? "").padEnd(22)}  ${name}${rest}`));
    });
};
