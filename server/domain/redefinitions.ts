import type { DefinitionInput } from "./definition.ts";
import { fateOf, refuseUnsupported } from "./definitions.ts";
import { checkDisk } from "./disks.ts";
import { DomainError } from "./errors.ts";
import { maybeAlive } from "./lifecycle.ts";
import { liveLimitsOf } from "./limits.ts";
import type { Attached, SandboxRow } from "./ports.ts";
import { isSame, need, reschedule, type SandboxRoom } from "./sandbox-room.ts";
import { scheduleRedefined } from "./schedules.ts";

/** What of a definition can be changed after it was made. What is not named stays. */
export interface Redefinition {
  name?: string;
  labels?: Record<string, string>;
  limits?: NonNullable<DefinitionInput["limits"]>;
  lifetime?: NonNullable<DefinitionInput["lifetime"]>;
  restart?: NonNullable<DefinitionInput["restart"]>;
  autostart?: boolean;
}

const isLive = ({ state, instance }: SandboxRow): boolean => (state === "running" || state === "paused") && instance !== null;

const check = (row: SandboxRow, generation: number | null): void => {
  if (generation === null || generation === row.generation) return;
  throw new DomainError("precondition-failed", `the definition has generation ${row.generation} by now, not ${generation}`, {
    members: { generation: row.generation },
  });
};

/**
 * Changes a definition; limits, lifetime and restarts hold for what runs at once. Limits are stored after the kernel has taken them, so that what is refused was never so.
 * @param generation what If-Match named, or null
 * @throws DomainError `precondition-failed`, `name-taken`, `sandbox-not-found`, `invalid-definition`, `unsupported`, `limit-in-use`, `quota-exceeded`, `launcher-unavailable`
 */
export const redefine = async (
  room: SandboxRoom,
  nameOrId: string,
  changes: Redefinition,
  generation: number | null,
): Promise<SandboxRow> => {
  const { id } = need(room, nameOrId);
  refuseUnsupported(changes);
  for (;;) {
    const row = need(room, id);
    check(row, generation);
    const next = changed(room, row, changes);
    const isRunning = maybeAlive(row.state) || row.schedule.restartAt !== null;
    if (changes.limits !== undefined) room.quotas.check(next, isRunning ? ["memoryBytes", "diskBytes"] : ["diskBytes"]);
    await checkDisk(room, row, next.definition.limits.diskBytes);
    if (changes.limits !== undefined && isLive(row)) await apply(room, row.id, next);
    const now = need(room, id);
    // Another change came in between: this one is made on top of it, and so reaches the kernel last too.
    if (now.generation !== row.generation) continue;
    const { name, labels, definition } = next;
    const redefined = { ...now, name, labels, definition, generation: next.generation };
    const stored = { ...redefined, schedule: scheduleRedefined(redefined, changes, Date.now()) };
    const { limits, lifetime, restart, autostart } = definition;
    room.persistence.transaction(() => {
      room.store.redefine(stored);
      if (!isSame(stored.schedule, now.schedule)) reschedule(room, stored);
      room.events.append("sandbox.changed", id, { name, labels, limits, lifetime, restart, autostart, generation: next.generation });
    });
    await room.persistence.durable();
    return stored;
  }
};

const changed = (room: SandboxRoom, row: SandboxRow, changes: Redefinition): SandboxRow => {
  const { name = row.name, labels = row.labels } = changes;
  const before = row.definition.limits;
  const limits = changes.limits === undefined ? before : room.limits.complete(changes.limits, before);
  // A most of the daemon's that came later is not laid on files that are there already.
  if (changes.limits?.diskBytes === undefined) limits.diskBytes = before.diskBytes;
  const faults = changes.limits === undefined ? [] : room.limits.faults({ ...limits, diskBytes: changes.limits.diskBytes ?? null });
  if (faults.length > 0)
    throw new DomainError("invalid-definition", faults.map(({ pointer, detail }) => `${pointer} ${detail}`).join("; "), { faults });
  return {
    ...row,
    name,
    labels,
    definition: { ...row.definition, name, labels, limits, ...fateOf(changes, row.definition) },
    generation: row.generation + 1,
  };
};

const apply = async (room: SandboxRoom, id: string, { definition }: SandboxRow): Promise<void> => {
  try {
    await room.supervisors.limit(id, liveLimitsOf(definition.limits));
  } catch (error) {
    // It has just ended: they are for its next run.
    if (!(error instanceof DomainError) || error.code !== "state-conflict") throw error;
  }
};

/** Gives a supervisor that was found the limits that are stored, where its own are those of a change that was not answered. */
export const reconcileLimits = async (room: SandboxRoom, id: string, { limits, hold, state }: Attached): Promise<void> => {
  const row = room.store.get(id);
  if (row === null || hold === true || state !== "running") return;
  const wanted = liveLimitsOf(row.definition.limits);
  const differs = (Object.keys(wanted) as (keyof typeof wanted)[]).some((name) => wanted[name] !== limits[name]);
  if (differs) await apply(room, id, row);
};
