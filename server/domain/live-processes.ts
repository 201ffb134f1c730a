import type { ProcessStore } from "./process.ts";
import { need, type SandboxRoom } from "./sandbox-room.ts";

/** One process of the kernel, as /proc shows it from the host. */
export interface KernelProcess {
  pid: number;
  /** In its own, innermost pid namespace. */
  pidInside: number;
  parentPid: number;
  /** The command line, at most its first 4,096 bytes; the name in brackets where it has none. */
  command: string[];
  /** One letter (proc_pid_stat(5)). */
  state: string;
  rssBytes: number;
  cpuSeconds: number;
  startTicks: number;
}

/** As above, and the process of the API that it is or descends from. */
export interface LiveProcess extends KernelProcess {
  process: string | null;
}

export interface CgroupProcesses {
  /** All that is alive in a cgroup and below it, lowest pid first. Each held its pid for as long as it was being read. */
  alive(cgroup: string): Promise<KernelProcess[]>;
}

/** Everything that lives in a sandbox, whoever started it. */
export class LiveProcesses {
  readonly #room: SandboxRoom;
  readonly #processes: ProcessStore;
  readonly #cgroups: CgroupProcesses;

  constructor(room: SandboxRoom, processes: ProcessStore, cgroups: CgroupProcesses) {
    this.#room = room;
    this.#processes = processes;
    this.#cgroups = cgroups;
  }

  /** None where the sandbox does not run. @throws DomainError `sandbox-not-found` */
  async of(nameOrId: string): Promise<LiveProcess[]> {
    const { id, instance, bootId } = need(this.#room, nameOrId);
    if (instance === null || bootId !== this.#room.bootId) return [];
    const found = await this.#cgroups.alive(instance.cgroup);
    const byPid = new Map(found.map((each) => [each.pid, each]));
    const started = new Map([[instance.pid, { id: "main", startTicks: instance.startTicks }]]);
    for (const { id: process, started: each } of this.#processes.alive(id))
      if (each !== null) started.set(each.pid, { id: process, startTicks: each.startTicks });
    const processOf = (each: KernelProcess | undefined, depth = 0): string | null => {
      if (each === undefined || depth > found.length) return null;
      const known = started.get(each.pid);
      return known?.startTicks === each.startTicks ? known.id : processOf(byPid.get(each.parentPid), depth + 1);
    };
    return found.map((each) => ({ ...each, process: processOf(each) }));
  }
}
