import { DomainError } from "./errors.ts";
import type { Gone, Instance } from "./instance-ports.ts";
import { lifecycle } from "./lifecycle.ts";
import type { Receipt } from "./receipt.ts";
import { isoTime } from "./reports.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { enter, type SandboxRoom } from "./sandbox-room.ts";

const endedNamespaces = (instance: Instance | null): Receipt["namespaces"] =>
  Object.fromEntries((instance?.isolated ?? []).map((type) => [type, instance?.inodes[type] ?? 0]));

/** @param before of earlier attempts at the same teardown, whose counts are added */
export const receiptOf = (row: SandboxRow, reason: string, gone: Gone, before: Receipt | null = null): Receipt => ({
  id: row.id,
  name: row.name,
  reason,
  processes: gone.killed + (before?.processes ?? 0),
  mounts: gone.mounts + (before?.mounts ?? 0),
  cgroups: gone.cgroups + (before?.cgroups ?? 0),
  namespaces: endedNamespaces(row.instance),
  files: 0,
  bytes: 0,
  durationMs: gone.milliseconds + (before?.durationMs ?? 0),
  complete: gone.complete,
  remaining: gone.remaining,
  at: isoTime(Date.now()),
});

/** Something of it is still there: the sandbox is `stopping` and says what. Told once for each thing that remains. */
export const hold = (room: SandboxRoom, row: SandboxRow, receipt: Receipt, reason: string | null = receipt.reason): void => {
  const message = `not removed yet: ${receipt.remaining.join(", ")}`;
  const outcome = lifecycle[row.state].held;
  if (outcome.act !== "to" || (row.state === outcome.state && row.message === message)) return;
  room.log.error({ sandbox: row.id, remaining: receipt.remaining }, "a teardown is not complete; it is tried again");
  enter(room, row, outcome.state, { reason, message, receipt }, { remaining: receipt.remaining });
};

/** Whether a teardown of it has been found to be incomplete, and is tried again and again by whoever said so. */
export const isHeld = (row: SandboxRow): boolean => row.state === "stopping" && row.receipt?.complete === false;

export const incomplete = (row: SandboxRow): DomainError => {
  const { remaining = [] } = row.receipt ?? {};
  return new DomainError("teardown-incomplete", `the sandbox "${row.name}" is not removed yet: ${remaining.join(", ")}`, {
    members: { state: row.state, remaining },
  });
};
