/** What files of sandboxes need from the hatch (supervisor/), in the domain's words. Paths and names are bytes: the kernel's names need not be UTF-8. */

export type EntryType = "file" | "directory" | "link" | "fifo" | "socket" | "device";

/** One file of a sandbox. */
export interface Entry {
  /** The path that was asked for; in a listing the name, in a walk the path below the directory that is walked. */
  name: Buffer;
  type: EntryType;
  sizeBytes: number;
  /** Permission bits. */
  mode: number;
  /** Ids inside. */
  uid: number;
  gid: number;
  /** Microseconds since 1970. */
  modifiedMicroseconds: number;
  links: number;
  /** Decimal: 64 bits are more than a number holds. */
  inode: string;
  /** In a walk: the path under which the same file came before; it comes without bytes then. */
  hardlink: Buffer | null;
  target: Buffer | null;
  /** In a walk, of a file with holes: where its bytes lie, in order; only they come. */
  segments: readonly Segment[] | null;
}

/** A part of a file that has bytes. */
export interface Segment {
  offset: number;
  length: number;
}

export interface WriteOptions {
  mode: number;
  uid: number;
  gid: number;
  /** Makes the directories that are missing. */
  parents: boolean;
  /** Refuses with `file-exists` where something has the name. */
  exclusive: boolean;
}

/** What CHANGE does (PROTOCOL.md). */
export type FileChange =
  | { op: "mkdir"; path: Buffer; mode: number; parents: boolean }
  | { op: "move" | "copy" | "link"; path: Buffer; to: Buffer }
  | { op: "chmod"; path: Buffer; mode: number }
  | { op: "chown"; path: Buffer; uid: number; gid: number }
  | { op: "symlink"; path: Buffer; target: Buffer };

/** An entry to be planted; `hardlink` names an earlier one that it is another name of. */
export interface PlantedEntry {
  path: Buffer;
  type: "file" | "directory" | "link";
  mode: number;
  uid: number;
  gid: number;
  modifiedMicroseconds: number;
  target: Buffer | null;
  hardlink: Buffer | null;
}

/** A tree that is being made. It is there once `end` has answered, and not at all when the agent is closed before. */
export interface Planting {
  entry(entry: PlantedEntry): Promise<void>;
  /** Bytes of the file whose entry was the last one. */
  bytes(chunk: Buffer): Promise<void>;
  /** So many bytes of it, at least one, are a hole. */
  hole(bytes: number): Promise<void>;
  end(): Promise<{ files: number; bytes: number }>;
}

export const changeKinds = ["created", "deleted", "modified", "attributes", "moved-from", "moved-to", "overflow"] as const;
export interface Change {
  path: Buffer;
  kind: (typeof changeKinds)[number];
}

/** One piece of a walk: an entry, or bytes of the regular file whose entry came last. */
export type WalkPiece = { entry: Entry; bytes: null } | { entry: null; bytes: Buffer };

/**
 * Does one request after the other inside one sandbox. All methods throw DomainError: `file-not-found` and the other codes of files,
 * or `files-interrupted` where the agent ended.
 */
export interface FileAgent {
  stat(path: Buffer, follow: boolean): Promise<Entry>;
  /** At most `limit` (1 to 1,000) entries in the order of their names' bytes, after the name `after`. */
  list(path: Buffer, after: Buffer | null, limit: number): Promise<{ entries: Entry[]; more: boolean }>;
  /** A regular file's bytes; `length` 0 means to its end. `bytes` is read once, and to its end before anything else is asked. */
  read(path: Buffer, offset: number, length: number): Promise<{ entry: Entry; bytes: AsyncIterable<Buffer> }>;
  /** The file is there as a whole, or not at all. */
  write(path: Buffer, options: WriteOptions, body: AsyncIterable<Buffer>): Promise<Entry>;
  delete(path: Buffer, recursive: boolean): Promise<void>;
  change(change: FileChange): Promise<Entry>;
  /** The tree below, parents first. */
  walk(path: Buffer): AsyncIterable<WalkPiece>;
  /** Takes a tree to be made below the directory `path`. */
  plant(path: Buffer): Promise<Planting>;
  /** Resolves once watching has begun; the iteration ends with the agent. */
  watch(path: Buffer, recursive: boolean): Promise<AsyncIterable<Change>>;
  /** What an agent that was killed in the middle of a `write`, `plant` or copy has left behind; null where there is nothing. */
  leftover(): Buffer | null;
  /** Ends it; what is unfinished is undone. */
  close(): void;
}

export interface FileAgents {
  /**
   * A new agent in the sandbox whose supervisor runs.
   * @throws DomainError `files-busy` when too many are at work, `files-interrupted` when the sandbox is just ending, `launcher-unavailable`
   */
  open(id: string): Promise<FileAgent>;
}
