import { DomainError } from "./errors.ts";
import { lifecycle } from "./lifecycle.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { enter, need, type SandboxRoom } from "./sandbox-room.ts";

/** Pauses or resumes, and gives the row as it is then. @throws DomainError `state-conflict`, `pause-failed`, `launcher-unavailable` */
export const setPaused = async (room: SandboxRoom, row: SandboxRow, verb: "pause" | "resume"): Promise<SandboxRow> => {
  const outcome = lifecycle[row.state][verb];
  if (outcome.act === "refuse") throw new DomainError("state-conflict", outcome.detail, { members: { state: row.state } });
  if (outcome.act !== "to") return row;
  await room.supervisors.freeze(row.id, verb === "pause");
  const now = need(room, row.id);
  // Another order may have come to be meanwhile: an end, or the same one.
  if (now.state !== row.state) {
    if (now.state === outcome.state) return now;
    throw new DomainError("state-conflict", `the sandbox is ${now.state} by now`, { members: { state: now.state } });
  }
  const changed = enter(room, now, outcome.state);
  await room.persistence.durable();
  return changed;
};
