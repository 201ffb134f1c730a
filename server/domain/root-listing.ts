/** One name at the top of a root. `other`: a device, socket, fifo or what could not be told. */
export interface RootEntry {
  name: string;
  type: "directory" | "file" | "link" | "other";
}

export interface RootListing {
  /** By name. */
  entries: RootEntry[];
  /** How many more there are; as far as was counted. */
  omitted: number;
}

/** Looks at what a process has as its root directory. */
export interface RootListings {
  /** What `ls -A /` would show it; null when it is no more. Nothing below `/` is walked. */
  of(pid: number, startTicks: number): Promise<RootListing | null>;
}
