/** What roots are made from and what the other rooms do for them. Times are milliseconds since 1970. */

/** Programs of the host with all they need to start, and other files. */
export interface CopySource {
  kind: "copy";
  /** Absolute paths of programs; the libraries and interpreters they need come with them. */
  binaries: string[];
  /** Absolute paths of files taken as they are, or a file with a place of its own inside. */
  files: (string | { source: string; target: string })[];
}

/** A Debian system made by debootstrap(8). What is left out comes from the host's apt configuration. */
export interface DebootstrapSource {
  kind: "debootstrap";
  suite: string;
  /** "" is debootstrap's own default: the base system with the packages of priority required and important. */
  variant: "minbase" | "buildd" | "";
  mirror: string;
  include: string[];
  keyring: string;
}

export type RootSource = CopySource | DebootstrapSource;

/** A source as asked for, before defaults. */
export type RequestedSource =
  | { kind: "copy"; binaries?: string[]; files?: CopySource["files"] }
  | { kind: "debootstrap"; suite?: string; variant?: DebootstrapSource["variant"]; mirror?: string; include?: string[]; keyring?: string };

/** Why something is in a root. `of` is the path that asks for it, or a few words where no path does. */
export interface Why {
  kind: "asked-for" | "needed-by" | "interpreter-of" | "link-target" | "generated" | "package";
  of: string | null;
}

/** One file, link or mount point of a root. `source` is a path of the host, `debootstrap`, or null for what is generated. */
export interface ManifestEntry {
  path: string;
  type: "file" | "link" | "directory";
  source: string | null;
  sizeBytes: number;
  mode: string;
  sha256: string | null;
  target: string | null;
  why: Why[];
}

export interface ManifestTotals {
  files: number;
  links: number;
  directories: number;
  sizeBytes: number;
}

/** How a long job hears of its cancellation and tells how far it is; progress is 0 to 1, null where it is not known. */
export interface BuildControl {
  signal: AbortSignal;
  report(phase: string, progress: number | null, message?: string): void;
}

/** A source that has been checked and can be built. */
export interface Provision {
  source: RootSource;
  /**
   * Builds the root, puts it on the disk and into place under this id. When it fails or is cancelled nothing is left.
   * @throws DomainError `root-provision-failed`, or the signal's reason
   */
  run(id: string, control: BuildControl): Promise<ManifestTotals>;
}

/** The trees on the disk: `STATE_DIR/roots/ID/{tree,manifest.json}`. */
export interface RootBuilder {
  /** Fills in defaults and checks what can be checked quickly. @throws DomainError `root-source-invalid`, `host-not-ready` */
  prepare(source: RequestedSource): Promise<Provision>;
  /** The embedded default: shell, usual programs and their data, as found on this host. */
  defaultSource(): Promise<CopySource>;
  /** The manifest as it lies on the disk: JSON. */
  manifest(id: string): Promise<{ bytes: number; stream: NodeJS.ReadableStream }>;
  remove(id: string): Promise<void>;
  /** Removes what an interrupted build or removal left, and trees of no known root. Answers the known ids that have no tree. */
  sweep(known: readonly string[]): Promise<{ removed: string[]; lost: string[] }>;
}

export interface RootRow {
  id: string;
  name: string;
  /** The token that made it; null: the host's administrator. */
  owner: string | null;
  source: RootSource;
  state: "provisioning" | "ready";
  sizeBytes: number | null;
  fileCount: number | null;
  createdAt: number;
  readyAt: number | null;
}

export interface RootStore {
  /** @throws DomainError `name-taken` */
  insert(row: RootRow): void;
  /** By id, else by name. */
  find(nameOrId: string): RootRow | null;
  ready(id: string, sizeBytes: number, fileCount: number, readyAt: number): void;
  remove(id: string): void;
  list(filter: { after: string | null; limit: number; name: string | null; state: RootRow["state"] | null }): RootRow[];
  all(): RootRow[];
  users(id: string): { id: string; name: string }[];
  userCount(id: string): number;
  countOf(owner: string): number;
  /** Facts that are remembered for the life of the database. */
  marked(marker: string): boolean;
  mark(marker: string, time: number): void;
}

export type OperationState = "running" | "succeeded" | "failed" | "cancelled";

/** Why an operation failed: what a refused request would have said. */
export interface StoredProblem {
  code: string;
  detail: string;
  members: Record<string, unknown>;
}

export interface OperationRow {
  id: string;
  /** Such as `root.provision`. */
  kind: string;
  /** Id of what it works on. */
  subject: string;
  state: OperationState;
  phase: string;
  progress: number | null;
  result: Record<string, unknown> | null;
  problem: StoredProblem | null;
  /** What the next daemon needs to go on with it; null where it cannot. */
  input: Record<string, unknown> | null;
  createdAt: number;
  endedAt: number | null;
}

export interface OperationStore {
  insert(row: OperationRow): void;
  get(id: string): OperationRow | null;
  update(row: OperationRow): void;
  list(filter: { after: string | null; limit: number; state: OperationState | null; subject: string | null }): OperationRow[];
  running(): OperationRow[];
  /** Removes those that ended before the newest `kept`. */
  prune(kept: number): void;
  counts(): { kind: string; state: OperationState; count: number }[];
}
