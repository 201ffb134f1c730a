/** What the domain needs from the hatch (supervisor/): launches, and what is alive. Times are milliseconds since 1970 unless the name says otherwise. */

import type { ProcessExit, ReportedProcess } from "./process.ts";
import type { Seccomp } from "./seccomp.ts";

export const namespaceTypes = ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup", "time"] as const;
export type NamespaceType = (typeof namespaceTypes)[number];
export type NamespaceInodes = Record<NamespaceType, number>;

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
  /**
   * @param launchedLate called where it launched after all, when the caller had been told that it took too long
   * @throws DomainError `launch-failed`, `host-exhausted` (both: members layer, errno), `command-not-found`, `launcher-unavailable`,
   *   `deadline-exceeded`, ...
   */
  launch(order: LaunchOrder, launchedLate: () => void): Promise<Instance>;
  /**
   * Removes what is left of an instance without its supervisor.
   * @param force kills a supervisor that still lives; else it is refused
   * @throws DomainError `deadline-exceeded` when the supervisor lives
   */
  clean(id: string, slot: number, force: boolean): Promise<Gone>;
  remove(id: string): Promise<RemovedFiles>;
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
