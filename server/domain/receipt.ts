import type { NamespaceType } from "./instance-ports.ts";

/** What a stop or delete removed, counted by those who removed it. */
export interface Receipt {
  id: string;
  name: string;
  /** Why the teardown happened: the reason of the status, or `deleted`. */
  reason: string;
  processes: number;
  mounts: number;
  cgroups: number;
  /** Inodes of the namespaces that ended with the instance. */
  namespaces: Partial<Record<NamespaceType, number>>;
  /** Files of the sandbox removed, and the bytes they took on disk; zero for a stop, which keeps them. */
  files: number;
  bytes: number;
  durationMs: number;
  complete: boolean;
  remaining: string[];
  at: string;
}
