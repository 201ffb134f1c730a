import { constants } from "node:fs";
import { access, readFile, statfs } from "node:fs/promises";
import type { Launcher, LauncherFacts } from "../domain/instance-ports.ts";
import { namespaceTypes } from "../domain/instance-ports.ts";
import type { Check, Preflight } from "../domain/preflight.ts";
import { diskCheck } from "./disks.ts";
import { idRangeCheck } from "./preflight-ids.ts";
import { launcherChecks } from "./preflight-launcher.ts";
import { settingChecks } from "./preflight-settings.ts";

const readText = (path: string): Promise<string | null> =>
  readFile(path, "utf8").then(
    (text) => text.trim(),
    () => null,
  );
const exists = (path: string): Promise<boolean> =>
  access(path, constants.F_OK).then(
    () => true,
    () => false,
  );

const ok = (name: string, detail: string): Check => ({ name, status: "ok", detail, cost: null, remedy: null });

/** What launcher and supervisors cannot do without (capabilities(7)), by the bit in CapEff of /proc/self/status. */
const neededCapabilities: Readonly<Record<string, bigint>> = {
  CAP_CHOWN: 0n,
  CAP_DAC_OVERRIDE: 1n,
  CAP_KILL: 5n,
  CAP_SETGID: 6n,
  CAP_SETUID: 7n,
  CAP_SETPCAP: 8n,
  CAP_SYS_PTRACE: 19n,
  CAP_SYS_ADMIN: 21n,
};

const privileges = async (): Promise<Check> => {
  const uid = process.getuid?.();
  const held = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec((await readText("/proc/self/status")) ?? "")?.[1] ?? "0"}`);
  const lacking = Object.entries(neededCapabilities).flatMap(([name, bit]) => ((held >> bit) & 1n ? [] : [name]));
  if (uid === 0 && lacking.length === 0) return ok("privileges", "runs as root");
  return {
    name: "privileges",
    status: "missing",
    detail: uid === 0 ? `runs as root without ${lacking.join(", ")}` : `runs as uid ${uid}`,
    cost: "no sandbox can be launched",
    remedy: uid === 0 ? "give the daemon these capabilities; in a container, make that privileged" : "run the daemon as root",
  };
};

const kernel = async (): Promise<Check> => {
  const release = (await readText("/proc/sys/kernel/osrelease")) ?? "unknown";
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  if (major > 5 || (major === 5 && minor >= 19)) return ok("kernel", release);
  return {
    name: "kernel",
    status: "missing",
    detail: `${release} is older than 5.19`,
    cost: "no idmapped mounts below an overlay",
    remedy: "boot a kernel of 5.19 or newer",
  };
};

const namespaces = async (): Promise<Check[]> =>
  Promise.all(
    namespaceTypes.map(async (type): Promise<Check> => {
      if (await exists(`/proc/self/ns/${type}`)) return ok(`namespace-${type}`, "the kernel has it");
      const status = type === "time" ? "degraded" : "missing";
      return {
        name: `namespace-${type}`,
        status,
        detail: "the kernel lacks it",
        cost: `sandboxes cannot have a ${type} namespace of their own`,
        remedy: "boot a kernel that is built with it",
      };
    }),
  );

const userNamespaces = async (): Promise<Check> => {
  const limit = Number((await readText("/proc/sys/user/max_user_namespaces")) ?? "0");
  if (limit >= 1024) return ok("user-namespaces", `${limit} allowed`);
  const status = limit > 0 ? "degraded" : "missing";
  return {
    name: "user-namespaces",
    status,
    detail: `${limit} allowed`,
    cost: "each running sandbox and each prepared shell needs one",
    remedy: "sysctl -w user.max_user_namespaces=65536",
  };
};

const overlay = async (): Promise<Check> => {
  const filesystems = (await readText("/proc/filesystems")) ?? "";
  if (/\boverlay$/m.test(filesystems)) return ok("overlayfs", "the kernel has it");
  return {
    name: "overlayfs",
    status: "missing",
    detail: "not in /proc/filesystems",
    cost: "sandboxes cannot have a writable root",
    remedy: "modprobe overlay",
  };
};

const seccomp = async (): Promise<Check> => {
  const actions = (await readText("/proc/sys/kernel/seccomp/actions_avail")) ?? "";
  if (actions.includes("errno")) return ok("seccomp", actions);
  return {
    name: "seccomp",
    status: "missing",
    detail: "the kernel has no seccomp filters",
    cost: "system calls could not be restricted",
    remedy: "boot a kernel with CONFIG_SECCOMP_FILTER",
  };
};

const space = async (stateDir: string): Promise<Check> => {
  const { bavail, bsize, type } = await statfs(stateDir);
  const mebibytes = Math.floor((bavail * bsize) / 1_048_576);
  // overlayfs refuses an upper directory that is itself on an overlay (0x794c7630, statfs(2)).
  if (type === 0x794c7630) {
    return {
      name: "state-directory",
      status: "missing",
      detail: `${stateDir} is on an overlay`,
      cost: "an overlay cannot hold another one's upper directory",
      remedy: "give --state-dir a directory on ext4, xfs, btrfs or tmpfs",
    };
  }
  if (mebibytes >= 512) return ok("state-directory", `${mebibytes} MiB free in ${stateDir}`);
  return {
    name: "state-directory",
    status: "degraded",
    detail: `${mebibytes} MiB free in ${stateDir}`,
    cost: "roots and sandboxes may run out of space",
    remedy: "free some, or move --state-dir",
  };
};

/** Looks at everything a launch needs of this machine, asks the launcher what it could not apply, and looks at settings that weaken isolation. */
export class HostPreflight implements Preflight {
  readonly #launcher: Launcher;
  readonly #stateDir: string;

  constructor(launcher: Launcher, stateDir: string) {
    this.#launcher = launcher;
    this.#stateDir = stateDir;
  }

  async check(): Promise<Check[]> {
    let facts: LauncherFacts | null = null;
    let failure: string | null = null;
    try {
      facts = await this.#launcher.facts();
    } catch (error) {
      failure = (error as Error).message;
    }
    const found = await Promise.all([
      kernel(),
      namespaces(),
      userNamespaces(),
      overlay(),
      seccomp(),
      space(this.#stateDir),
      diskCheck(this.#stateDir),
    ]);
    const ids = facts === null ? [] : [await idRangeCheck(facts)];
    return [await privileges(), ...found.flat(), ...launcherChecks(facts, failure), ...(await settingChecks(facts)), ...ids];
  }
}
