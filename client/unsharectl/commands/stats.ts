import type { api, Client } from "../../index.ts";
import type { Context } from "../context.ts";
import { sizeText } from "./parsing.ts";

type Usage = api.Operations["getSandboxStats"]["reply"];

const periodMilliseconds = 1_000;

const read = async (client: Client, names: readonly string[]): Promise<Usage[]> => {
  const sandboxes = [];
  if (names.length > 0) for (const name of names) sandboxes.push(await client.sandboxes.get(name));
  else for await (const sandbox of client.sandboxes.list({ states: ["running", "paused"] })) sandboxes.push(sandbox);
  const found = await Promise.allSettled(sandboxes.map((sandbox) => sandbox.stats()));
  // One that was removed meanwhile is not told of.
  return found.filter((each) => each.status === "fulfilled").map(({ value }) => value);
};

/** Percent of one CPU between two readings. */
const cpuText = (now: Usage, before: Usage | undefined): string => {
  if (now.usage === null || !before?.usage) return "-";
  const seconds = (Date.parse(now.time) - Date.parse(before.time)) / 1000;
  return seconds <= 0 ? "-" : `${(((now.usage.cpu.usageSeconds - before.usage.cpu.usageSeconds) / seconds) * 100).toFixed(1)}%`;
};

const rowOf = (now: Usage, before: Usage | undefined): string[] => {
  const { usage } = now;
  const of = (used: number | undefined, limit: number | null | undefined, text: (value: number) => string) =>
    used === undefined ? "-" : limit ? `${text(used)} / ${text(limit)}` : text(used);
  return [
    now.name,
    now.state,
    cpuText(now, before),
    usage === null ? "-" : `${usage.cpu.usageSeconds.toFixed(2)}s`,
    of(usage?.memory?.currentBytes, usage?.memory?.limitBytes, sizeText),
    of(usage?.pids?.current, usage?.pids?.limit, String),
    usage?.network ? `${sizeText(usage.network.receivedBytes)} / ${sizeText(usage.network.sentBytes)}` : "-",
    of(usage?.disk?.usedBytes, usage?.disk?.limitBytes, sizeText),
  ];
};

const headings = ["NAME", "STATE", "CPU", "CPU TIME", "MEMORY", "PIDS", "NET IN / OUT", "DISK"];

/** Once, or again each second on a terminal until it is interrupted. */
export const stats = async ({ client, out }: Context, names: string[], options: { stream: boolean }): Promise<void> => {
  const isLive = options.stream && process.stdout.isTTY === true && !out.json;
  let before = new Map<string, Usage>();
  for (;;) {
    const found = await read(client, names);
    if (isLive) process.stdout.write("\u001b[H\u001b[2J");
    out.value(found, () =>
      out.table(
        headings,
        found.map((each) => rowOf(each, before.get(each.id))),
      ),
    );
    if (!isLive) return;
    before = new Map(found.map((each) => [each.id, each]));
    await new Promise((resolve) => setTimeout(resolve, periodMilliseconds));
  }
};
