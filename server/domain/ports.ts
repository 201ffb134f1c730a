/**
 * What the domain needs from the other rooms, in its own words. The store, the hatch (supervisor/) and the toolshed (host/)
 * implement these; `main.ts` joins them. Times are milliseconds since 1970 unless the name says otherwise.
 */

import type { Owned, View } from "./callers.ts";
import type { Definition } from "./definition.ts";
import type { State } from "./lifecycle.ts";
import type { ProcessExit, ReportedProcess } from "./process.ts";
import type { Receipt } from "./receipt.ts";
import type { Seccomp } from "./seccomp.ts";

export const namespaceTypes = ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup", "time"] as const;
export type NamespaceType = (typeof namespaceTypes)[number];
export type NamespaceInodes = Record<NamespaceType, number>;

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

/** How and when a main process ended. Times of the CPU are in seconds. */
export interface Exit {
  reason: "exited" | "signaled" | "out-of-memory";
  code: number | null;
  signal: string | null;
  exitedAt: number;
  durationMs: number;
  userCpuSeconds: number;
  systemCpuSeconds: number;
  maxRssBytes: number;
}

/** What a supervisor says about the instance it guards (PROTOCOL.md, REPORT). */
export interface Instance {
  slot: number;
  supervisorPid: number;
  supervisorStartTicks: number;
  pid: number;
  pidInside: number;
  initPid: number;
  startTicks: number;
  startedAt: number;
  uidBase: number;
  uidSize: number;
  cgroup: string;
  inodes: NamespaceInodes;
  isolated: NamespaceType[];
  /** Microseconds of each step of the launch, in order; empty when adopted. */
  phases: { name: string; microseconds: number }[];
}

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

export interface SandboxStore {
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

/** Limits that can be changed while a sandbox runs. 0: none, of the weight the usual. `openFiles` is of processes that are started later, `diskBytes` of an image of the next run. */
export interface LiveLimits {
  memoryBytes: number;
  cpuQuotaMicroseconds: number;
  cpuWeight: number;
  pids: number;
  openFiles: number;
  diskBytes: number;
}

/** What bounds the bytes that a sandbox writes: an image with a filesystem of its own, or the host's filesystem by project quota. */
export type DiskMechanism = "image" | "quota";

/** Bytes that a sandbox may have, that it has, and that can still be written. */
export interface DiskUse {
  mechanism: DiskMechanism;
  limitBytes: number;
  usedBytes: number;
  availableBytes: number;
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

/** A launch, in the words of PROTOCOL.md. */
export interface LaunchOrder extends LiveLimits {
  id: string;
  rootId: string | null;
  isolate: readonly NamespaceType[];
  command: readonly string[];
  env: readonly string[];
  cwd: string;
  uid: number;
  gid: number;
  hostname: string | null;
  /** Namespaces without a command; `command` is empty then. */
  hold?: boolean;
  init: boolean;
  tty: boolean;
  capabilityMask: bigint;
  seccomp: Seccomp;
  /** Its files lie in an image of `diskBytes`. */
  image?: boolean;
  outputBytes: number;
}

/** What the launcher says about the machine and itself (PROTOCOL.md, WELCOME). */
export interface LauncherFacts {
  pid: number;
  startTicks: number;
  version: string;
  /** Started by a daemon, not as a service of its own. */
  detached: boolean;
  readyShells: number;
  readyTarget: number;
  supervisors: number;
  cgroupLayout: string;
  cgroupParent: string;
  idBase: number;
  hostInodes: NamespaceInodes;
  problems: { layer: string; errno: number; message: string }[];
}

/** What a teardown removed (PROTOCOL.md, GONE). */
export interface Gone {
  killed: number;
  cgroups: number;
  mounts: number;
  milliseconds: number;
  complete: boolean;
  remaining: string[];
}

/** Directory entries removed, and the bytes they had on the disk. */
export interface RemovedFiles {
  files: number;
  bytes: number;
}

export interface Launcher {
  /** Asks anew, starting the launcher when none answers. @throws DomainError `launcher-unavailable` */
  facts(): Promise<LauncherFacts>;
  /** The facts of the last answer; null before the first one. */
  lastFacts(): LauncherFacts | null;
  /** @throws DomainError `launch-failed`, `host-exhausted` (both: members layer, errno), `command-not-found`, `launcher-unavailable`, ... */
  launch(order: LaunchOrder): Promise<Instance>;
  /**
   * Removes what is left of an instance without its supervisor.
   * @param force kills a supervisor that still lives; else it is refused
   * @throws DomainError `deadline-exceeded` when the supervisor lives
   */
  clean(id: string, slot: number, force: boolean): Promise<Gone>;
  remove(id: string): Promise<RemovedFiles>;
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

export type InstanceState = "running" | "ended" | "gone";

/** What ATTACH found: the instance and how far it has come. */
export interface Attached {
  instance: Instance;
  state: InstanceState;
  exit: Exit | null;
  gone: Gone | null;
  limits: LiveLimits;
  /** All of it stands still (FREEZE). */
  frozen?: boolean;
  /** It only holds the files of a sandbox that does not run (file-holds.ts). */
  hold?: boolean;
  /** Those that were started by a request, without the main process. */
  processes: ReportedProcess[];
}

/** What is heard of sandboxes that are attached to. `lost`: the supervisor is no more and nothing else will be heard. */
export interface SupervisorListener {
  exited(id: string, exit: Exit): void;
  gone(id: string, gone: Gone): void;
  /** What a new connection found. */
  processesFound(id: string, processes: readonly ReportedProcess[]): void;
  /** `durationMs` of the exit is 0: when it was started is known to the listener. */
  processExited(id: string, process: string, exit: ProcessExit): void;
  processForgotten(id: string, process: string): void;
  lost(id: string, message: string): void;
}

export interface Supervisors {
  listen(listener: SupervisorListener): void;
  /** Ids of all sockets in the run directory. */
  sockets(): Promise<string[]>;
  /** Connects (once for each sandbox) and attaches. @throws DomainError `launcher-unavailable` when nobody answers */
  attach(id: string): Promise<Attached>;
  stop(id: string, graceMilliseconds: number): Promise<void>;
  /** Makes all of it stand still, or go on. @throws DomainError `state-conflict` when it is ending, `pause-failed`, `launcher-unavailable` */
  freeze(id: string, frozen: boolean): Promise<void>;
  /** Sets all limits of what runs, or none. @throws DomainError `limit-in-use`, `state-conflict` when it is ending, `launcher-unavailable` */
  limit(id: string, limits: LiveLimits): Promise<void>;
  /** What is in use of its disk; null where it has none of its own, or is ending. @throws DomainError `launcher-unavailable` */
  disk(id: string): Promise<DiskUse | null>;
  release(id: string): Promise<void>;
  /** Releases, and lets the supervisor remove the sandbox's files first, which saves a process. Null when it is gone already. */
  releaseAndRemove(id: string): Promise<RemovedFiles | null>;
  /** Removes the socket of a supervisor that is no more; one that answers keeps it. */
  discard(id: string): Promise<void>;
  /** Closes all connections; the supervisors live on. */
  close(): void;
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
