/** What the domain needs from the store for sandboxes. Times are milliseconds since 1970. */

import type { Owned, View } from "./callers.ts";
import type { Definition } from "./definition.ts";
import type { Exit, Instance } from "./instance-ports.ts";
import type { State } from "./lifecycle.ts";
import type { Receipt } from "./receipt.ts";

/** What is to happen to a sandbox by itself, and when; null: not at all. */
export interface Schedule {
  /** The end of its time to live. */
  expiresAt: number | null;
  /** When it has been idle for too long; null also while something is attached to it. */
  idleAt: number | null;
  restartAt: number | null;
  /** Starts by the daemon in a row: since a caller started it, or it ran for a while. */
  restartCount: number;
}

/** One stored sandbox. `instance` is not null exactly while something of it may be alive. */
export interface SandboxRow {
  id: string;
  name: string;
  /** The token or local user that made it (callers.ts); null: the host's administrator. */
  owner: string | null;
  rootId: string | null;
  rootName: string | null;
  definition: Definition;
  labels: Record<string, string>;
  generation: number;
  state: State;
  reason: string | null;
  message: string | null;
  since: number;
  exit: Exit | null;
  instance: Instance | null;
  bootId: string | null;
  receipt: Receipt | null;
  createdAt: number;
  startedAt: number | null;
  /** When the grace of an order to stop is over; null unless there is one. */
  stopBy: number | null;
  schedule: Schedule;
}

export interface SandboxFilter {
  view: View;
  /** The id after which the page starts, or null. */
  after: string | null;
  limit: number;
  states: readonly State[];
  name: string | null;
  labels: Readonly<Record<string, string>>;
}

/** What is scheduled, and the clock that it goes by. */
export interface ScheduleStore {
  /** Adds so many milliseconds to all that is scheduled, and to the times by which what is stopping has to have ended. */
  moveSchedules(milliseconds: number): void;
  /** Of this boot of the host, as it was kept last. */
  clockOffset(bootId: string): number | null;
  keepClockOffset(bootId: string, milliseconds: number): void;
}

export interface SandboxStore extends ScheduleStore {
  /** @throws DomainError `name-taken` */
  insert(row: SandboxRow): void;
  /** By id, else by name. */
  find(nameOrId: string): SandboxRow | null;
  get(id: string): SandboxRow | null;
  /** Writes state, reason and all that changes at run time; the definition is for `insert` and `redefine`. */
  update(row: SandboxRow): void;
  /** Writes the schedule. */
  schedule(row: SandboxRow): void;
  /** Rows of which something is due by now, longest first. */
  due(now: number, limit: number): SandboxRow[];
  /** When something is due next after now; null when nothing is. */
  nextDue(now: number): number | null;
  /** Writes the definition with name and labels, and its generation. @throws DomainError `name-taken` */
  redefine(row: SandboxRow): void;
  remove(id: string): void;
  /** Whose a sandbox was that is no more, for as long as events tell of it; null where nobody owned or labelled it. */
  departed(id: string): Owned | null;
  list(filter: SandboxFilter): SandboxRow[];
  /** Rows that may have something alive: starting, running, paused, stopping. */
  alive(): SandboxRow[];
  aliveIds(): string[];
  /** Rows that run, may be idle for a time only, and of which that time is not counted. */
  idleUncounted(): SandboxRow[];
  /** Rows of which nothing is alive and whose deletion has begun. */
  deleting(): SandboxRow[];
  ids(): string[];
  usersOfRoot(rootId: string): { id: string; name: string }[];
  countByState(): Record<string, number>;
}
