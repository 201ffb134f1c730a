import type { DefinitionInput } from "./definition.ts";
import { fateOf, refuseUnsupported } from "./definitions.ts";
import { checkDisk } from "./disks.ts";
import { DomainError } from "./errors.ts";
import type { Attached } from "./instance-ports.ts";
import { maybeAlive } from "./lifecycle.ts";
import { initFaults, liveLimitsOf } from "./limits.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
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
  // In turns: the change that is stored last has reached the kernel last, too.
  return room.redefining.take(id, () => redefineNow(room, id, changes, generation));
};

const redefineNow = async (room: SandboxRoom, id: string, changes: Redefinition, generation: number | null): Promise<SandboxRow> => {
  const row = need(room, id);
  check(row, generation);
  const next = changed(room, row, changes);
  const isRunning = maybeAlive(row.state) || row.schedule.restartAt !== null;
  const quotas = isRunning ? (["memoryBytes", "diskBytes"] as const) : (["diskBytes"] as const);
  const letGo = changes.limits === undefined ? () => {} : room.quotas.promise(row, next, quotas);
  try {
    await checkDisk(room, row, next.definition.limits.diskBytes);
    if (changes.limits !== undefined && isLive(row)) await apply(room, row.id, next);
    const time = room.clock.now();
    const now = need(room, id);
    const { name, labels, definition } = next;
    const redefined = { ...now, name, labels, definition, generation: next.generation };
    const stored = { ...redefined, schedule: scheduleRedefined(redefined, changes, time) };
    const { limits, lifetime, restart, autostart } = definition;
    room.persistence.transaction(() => {
      // One that was started meanwhile runs with the limits that it had: what it is to have counts from now on.
      if (changes.limits !== undefined && !isRunning && maybeAlive(now.state)) room.quotas.check(stored, ["memoryBytes"]);
      room.store.redefine(stored);
      if (!isSame(stored.schedule, now.schedule)) reschedule(room, stored);
      room.events.append("sandbox.changed", id, { name, labels, limits, lifetime, restart, autostart, generation: next.generation });
    });
    letGo();
    await room.persistence.durable();
    return stored;
  } finally {
    letGo();
  }
};

const changed = (room: SandboxRoom, row: SandboxRow, changes: Redefinition): SandboxRow => {
  const { name = row.name, labels = row.labels } = changes;
  const before = row.definition.limits;
  const limits = changes.limits === undefined ? before : room.limits.complete(changes.limits, before);
  // A most of the daemon's that came later is not laid on files that are there already.
  if (changes.limits?.diskBytes === undefined) limits.diskBytes = before.diskBytes;
  const faults =
    changes.limits === undefined
      ? []
      : [...room.limits.faults({ ...limits, diskBytes: changes.limits.diskBytes ?? null }), ...initFaults(limits, row.definition.init)];
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

/**
 * Gives a supervisor that was found the limits that are stored, where its own are those of a change that was not answered. After a change
 * that is under way: what that stores is what is to hold.
 */
export const reconcileLimits = (room: SandboxRoom, id: string, { limits, hold, state }: Attached): Promise<void> =>
  room.redefining.take(id, async () => {
    const row = room.store.get(id);
    if (row === null || hold === true || state !== "running") return;
    const wanted = liveLimitsOf(row.definition.limits);
    const differs = (Object.keys(wanted) as (keyof typeof wanted)[]).some((name) => wanted[name] !== limits[name]);
    if (differs) await apply(room, id, row);
  });
