/** The questions of the isolation battery that a probe alone answers, asked on the guest's kernel. */
import { expect } from "vitest";
import { type PeerRow, peerRows } from "../isolation/peer-rows.ts";
import type { Guest } from "./guest.ts";

/** A sandbox with the probes in it, in which each question is asked; answers what is open, by number. */
export const askAll = async (guest: Guest): Promise<Map<PeerRow, string[]>> => {
  const sandbox = await guest.get("POST", "/sandboxes?start=true", { name: "battery" });
  for (const probe of new Set(
    peerRows.map(({ command }) => /^\/probes\/(.*)$/.exec(command[0] ?? "")?.[1]).filter((name) => name !== undefined),
  ))
    await guest.upload("battery", probe);
  const found = new Map<PeerRow, string[]>();
  for (const row of peerRows) {
    const process = await guest.get("POST", "/sandboxes/battery/processes?wait=280", {
      command: row.command,
      tty: row.terminal ?? false,
      outputBytes: 8 << 20,
    });
    expect([row.number, process.state, process.output.droppedBytes]).toEqual([row.number, "ended", 0]);
    expect([row.number, process.output.stdout.bytes > 0]).toEqual([row.number, true]);
    found.set(row, row.open(process.output.stdout.data.replaceAll("\r\n", "\n")));
  }
  await guest.get("DELETE", `/sandboxes/${sandbox.id}`);
  return found;
};
