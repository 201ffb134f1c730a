/**
 * What the domain needs from the other rooms, in its own words. The store, the hatch (supervisor/) and the toolshed (host/)
 * implement these; `rooms.ts` joins them. Those of one noun are in files of its own (`*-ports.ts`). Times are milliseconds since 1970 unless the name
 * says otherwise.
 */

import type { DiskMechanism, NamespaceInodes } from "./instance-ports.ts";

/** Transactions and the promise that they last. */
export interface Persistence {
  /** Runs `work` in one immediate transaction; rolled back when it throws. `work` must not await. */
  transaction<T>(work: () => T): T;
  /** Resolves when everything committed before the call is on the disk. Callers that arrive together share one fdatasync. */
  durable(): Promise<void>;
}

/** A numbered, stored fact. `type` is such as `sandbox.running`, `subject` the id of a sandbox or root. */
export interface Events {
  append(type: string, subject: string, data: Record<string, unknown>): void;
}

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The root a sandbox is to use. */
export interface RootReference {
  id: string;
  name: string;
}

/** The roots, as far as sandboxes need them. */
export interface RootDirectory {
  /**
   * The root with this id or name, ready for use; waits (bounded) while the embedded default is being provisioned.
   * @throws DomainError `root-not-found` or `root-not-ready`
   */
  resolve(nameOrId: string): RootReference | Promise<RootReference>;
}

/** How the files of a sandbox lie on the host: not at all yet, in a directory, or in an image of their own. */
export type DiskState = { kind: "none" | "directory" } | { kind: "image"; bytes: number };

/** What bounds what sandboxes can write. */
export interface Disks {
  /**
   * Sees that a launch can bound the sandbox's files by this: makes or enlarges its image, where it has one. It must not run.
   * @throws DomainError `host-not-ready` where it cannot be made here, `launch-failed` (member layer) where it fails
   */
  provide(id: string, bytes: number): Promise<DiskMechanism>;
  stateOf(id: string): Promise<DiskState>;
}

/** Who connected to a unix socket, as they were then. `gids` begins with the effective one. */
export interface Peer {
  uid: number;
  gids: number[];
}

/** Who is at the other end of a unix socket of this process's. */
export interface Peers {
  /**
   * By descriptor; null where it cannot be found out soon. The caller makes sure that the descriptor stays open meanwhile.
   * @param patient starts a launcher where none answers
   */
  peerOf(descriptor: number, patient: boolean): Promise<Peer | null>;
}

/** The live facts of one process of the host, from /proc (proc(5)). */
export interface ProcessFacts {
  pid: number;
  startTicks: number;
  /** The pid in each pid namespace from the reader's inwards (NSpid of /proc/PID/status). */
  pidsInside: number[];
  inodes: Partial<NamespaceInodes>;
  /** The paths of /proc/PID/cgroup, below each hierarchy's root. */
  cgroups: string[];
}

export interface ProcReader {
  bootId(): string;
  process(pid: number): Promise<ProcessFacts | null>;
}
