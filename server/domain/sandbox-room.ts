import type { Alarm } from "./alarm.ts";
import { DomainError } from "./errors.ts";
import type { Launcher, NamespaceInodes, Supervisors } from "./instance-ports.ts";
import { lifecycle, maybeAlive, type State } from "./lifecycle.ts";
import type { LimitPolicy } from "./limits.ts";
import type { Measurements } from "./measurements.ts";
import type { Disks, Events, Logger, Persistence, RootDirectory } from "./ports.ts";
import type { ProcessRecords } from "./process-records.ts";
import type { SandboxQuotas } from "./quotas.ts";
import { isoTime, type Report, reportOf } from "./reports.ts";
import type { SandboxRow, SandboxStore, Schedule } from "./sandbox-ports.ts";
import type { ScheduleClock } from "./schedule-clock.ts";
import { scheduleAfter } from "./schedules.ts";
import type { Turns } from "./turns.ts";

/** What every verb on sandboxes works with. */
export interface SandboxRoom {
  store: SandboxStore;
  events: Events;
  persistence: Persistence;
  launcher: Launcher;
  supervisors: Supervisors;
  roots: RootDirectory;
  disks: Disks;
  measurements: Measurements;
  records: ProcessRecords;
  alarm: Alarm;
  clock: ScheduleClock;
  log: Logger;
  limits: LimitPolicy;
  quotas: SandboxQuotas;
  /** Changes of definitions, by the sandbox's id. */
  redefining: Turns;
  bootId: string;
}

export const sandboxNotFound = (nameOrId: string): DomainError =>
  new DomainError("sandbox-not-found", `no sandbox has the id or name "${nameOrId}"`);

/** The stored sandbox. @throws DomainError `sandbox-not-found` */
export const need = (room: SandboxRoom, nameOrId: string): SandboxRow => {
  const row = room.store.find(nameOrId);
  if (row === null) throw sandboxNotFound(nameOrId);
  return row;
};

/**
 * Writes a changed state with its event, and what is scheduled with it, in one transaction; gives the row as it is then. Not synced:
 * callers that promise it await `durable()`.
 */
export const enter = (
  room: SandboxRoom,
  row: SandboxRow,
  state: State,
  changes: Partial<SandboxRow> = {},
  data: Record<string, unknown> = {},
): SandboxRow => {
  const time = room.clock.now();
  // The caller's row may be from before an await; name and labels can have changed since.
  const now = room.store.get(row.id) ?? row;
  const changed: SandboxRow = { ...now, ...changes, state, since: state === now.state ? now.since : time };
  const { schedule, restart } = scheduleAfter(now, changed, time, Math.random());
  const next: SandboxRow = { ...changed, schedule };
  const isGivenUp = restart.kind === "given-up";
  if (isGivenUp) next.message = `${changed.message ?? "it ended"}; given up after ${restart.count} restarts in a row`;
  room.persistence.transaction(() => {
    room.store.update(next);
    room.events.append(state === now.state ? "sandbox.changed" : `sandbox.${state}`, row.id, {
      name: next.name,
      reason: next.reason,
      ...data,
    });
    if (!isSame(schedule, now.schedule)) reschedule(room, next);
    if (restart.kind === "restart")
      room.events.append("sandbox.restart-scheduled", row.id, { name: next.name, count: restart.count, at: isoTime(restart.at) });
  });
  if (maybeAlive(now.state) && !maybeAlive(state)) room.measurements.ended(next.reason);
  room.log.debug({ sandbox: row.id, from: now.state, to: state, reason: next.reason }, "sandbox changed its state");
  const outcome = lifecycle[state]["given-up"];
  return isGivenUp && outcome.act === "to" ? enter(room, next, outcome.state) : next;
};

export const isSame = (one: Schedule, other: Schedule): boolean =>
  one.expiresAt === other.expiresAt &&
  one.idleAt === other.idleAt &&
  one.restartAt === other.restartAt &&
  one.restartCount === other.restartCount;

/** Writes what is scheduled, and sets the alarm by it. */
export const reschedule = (room: SandboxRoom, row: SandboxRow): void => {
  room.store.schedule(row);
  const { expiresAt, idleAt, restartAt } = row.schedule;
  for (const at of [expiresAt, idleAt, restartAt]) if (at !== null) room.alarm.by(at);
};

export const hostInodes = (room: SandboxRoom): NamespaceInodes | null => room.launcher.lastFacts()?.hostInodes ?? null;

export const reportFor = (room: SandboxRoom, row: SandboxRow): Report => reportOf(row, room.bootId, hostInodes(room));
