import type { Seccomp, SeccompInput } from "./seccomp.ts";

/** The stored definition: the wire form of the API with every default filled in. */
export interface Definition {
  name: string;
  root: string | null;
  command: string[];
  env: Record<string, string>;
  cwd: string;
  user: { uid: number; gid: number };
  hostname: string | null;
  tty: boolean;
  namespaces: Record<NamespaceSwitch, boolean>;
  limits: {
    memoryBytes: number | null;
    cpus: number | null;
    /** 1 to 10,000, against other sandboxes. */
    cpuWeight: number;
    pids: number;
    diskBytes: number | null;
    openFiles: number;
    outputBytes: number;
  };
  capabilities: string[];
  seccomp: Seccomp;
  init: boolean;
  network: { mode: "none" };
  /** `maxRetries` in a row; null: without an end. */
  restart: { policy: "never" | "on-failure" | "always"; maxRetries: number | null };
  /** Whether it is started anew by itself after a reboot of the host that ended it. */
  autostart: boolean;
  lifetime: { ttlSeconds: number | null; idleSeconds: number | null; onExpiry: "delete" | "stop" };
  labels: Record<string, string>;
}

/** The names the definition uses for the namespaces; the kernel says `mnt` for `mount`. */
export const namespaceSwitches = ["mount", "uts", "ipc", "net", "pid", "user", "cgroup", "time"] as const;
export type NamespaceSwitch = (typeof namespaceSwitches)[number];

type DeepPartial<T> = T extends string[]
  ? T
  : T extends Record<string, string>
    ? T
    : T extends object
      ? { [K in keyof T]?: DeepPartial<T[K]> }
      : T;

/** A definition as it arrives: every field may be left out. */
export type DefinitionInput = Omit<DeepPartial<Definition>, "seccomp"> & { seccomp?: SeccompInput };
