import { DomainError } from "./errors.ts";
import type { State } from "./lifecycle.ts";
import type { LimitPolicy } from "./limits.ts";
import type { Measurements } from "./measurements.ts";
import type {
  Events,
  Launcher,
  Logger,
  NamespaceInodes,
  Persistence,
  RootDirectory,
  SandboxRow,
  SandboxStore,
  Supervisors,
} from "./ports.ts";
import type { ProcessRecords } from "./process-records.ts";
import { type Report, reportOf } from "./reports.ts";

/** What every verb on sandboxes works with. */
export interface SandboxRoom {
  store: SandboxStore;
  events: Events;
  persistence: Persistence;
  launcher: Launcher;
  supervisors: Supervisors;
  roots: RootDirectory;
  measurements: Measurements;
  records: ProcessRecords;
  log: Logger;
  limits: LimitPolicy;
  bootId: string;
}

/** The stored sandbox. @throws DomainError `sandbox-not-found` */
export const need = (room: SandboxRoom, nameOrId: string): SandboxRow => {
  const row = room.store.find(nameOrId);
  if (row === null) throw new DomainError("sandbox-not-found", `no sandbox has the id or name "${nameOrId}"`);
  return row;
};

/** Writes a changed state with its event in one transaction, and gives the row as it is then. Not synced: callers that promise it await `durable()`. */
export const enter = (
  room: SandboxRoom,
  row: SandboxRow,
  state: State,
  changes: Partial<SandboxRow> = {},
  data: Record<string, unknown> = {},
): SandboxRow => {
  // The caller's row may be from before an await; name and labels can have changed since.
  const now = room.store.get(row.id) ?? row;
  const next: SandboxRow = { ...now, ...changes, state, since: state === now.state ? now.since : Date.now() };
  room.persistence.transaction(() => {
    room.store.update(next);
    room.events.append(state === now.state ? "sandbox.changed" : `sandbox.${state}`, row.id, {
      name: next.name,
      reason: next.reason,
      ...data,
    });
  });
  room.log.debug({ sandbox: row.id, from: now.state, to: state, reason: next.reason }, "sandbox changed its state");
  return next;
};

export const hostInodes = (room: SandboxRoom): NamespaceInodes | null => room.launcher.lastFacts()?.hostInodes ?? null;

export const reportFor = (room: SandboxRoom, row: SandboxRow): Report => reportOf(row, room.bootId, hostInodes(room));
