import { DomainError } from "./errors.ts";
import type { DiskUse } from "./instance-ports.ts";
import { need, type SandboxRoom } from "./sandbox-room.ts";

/** What a sandbox uses, as its cgroup and its network namespace count it. A part that the kernel does not count here is null. */
export interface Usage {
  cpu: { usageSeconds: number; userSeconds: number; systemSeconds: number };
  /** Of the quota (limits.cpus); null without one. */
  throttling: { periods: number; throttledPeriods: number; throttledSeconds: number } | null;
  memory: {
    currentBytes: number;
    peakBytes: number | null;
    limitBytes: number | null;
    anonymousBytes: number;
    fileBytes: number;
    oomKills: number;
  } | null;
  /** Threads count too. `refused`: forks that the limit stopped. */
  pids: { current: number; limit: number | null; refused: number } | null;
  io: { readBytes: number; writtenBytes: number; reads: number; writes: number } | null;
  /** All interfaces but the loopback; null where the host's network is shared. */
  network: { receivedBytes: number; receivedPackets: number; sentBytes: number; sentPackets: number } | null;
  /** Percent of the last 10 and 60 seconds in which some task waited (https://docs.kernel.org/accounting/psi.html). */
  pressure: { cpu: Pressure; memory: Pressure; io: Pressure } | null;
}

export interface Pressure {
  some10: number;
  some60: number;
  totalSeconds: number;
}

/** What all processes that are or were in a sandbox have cost since it was made. */
export interface Cost {
  userSeconds: number;
  systemSeconds: number;
  /** Page cache included; null where the kernel does not keep it. */
  peakMemoryBytes: number | null;
}

export interface UsageReader {
  /** @param process in the sandbox's network namespace; null where that is the host's. Null when the cgroup is no more. */
  read(cgroup: string, process: { pid: number; startTicks: number } | null): Promise<Usage | null>;
  /** The part of it that is cheap to read. Null when the cgroup is no more. */
  cost(cgroup: string): Promise<Cost | null>;
}

export interface Stats {
  id: string;
  name: string;
  state: string;
  time: number;
  /** Null unless it runs. */
  usage: (Usage & { disk: DiskUse | null }) | null;
}

/** What sandboxes use. */
export class SandboxStats {
  readonly #room: SandboxRoom;
  readonly #reader: UsageReader;

  constructor(room: SandboxRoom, reader: UsageReader) {
    this.#room = room;
    this.#reader = reader;
  }

  /** Null unless it runs. */
  async cost(id: string): Promise<Cost | null> {
    const row = this.#room.store.get(id);
    return row === null || row.instance === null || row.bootId !== this.#room.bootId ? null : this.#reader.cost(row.instance.cgroup);
  }

  /** @throws DomainError `sandbox-not-found` */
  async of(nameOrId: string): Promise<Stats> {
    const { id, name, instance, bootId } = need(this.#room, nameOrId);
    const isHere = instance !== null && bootId === this.#room.bootId;
    const disk = isHere ? await this.#disk(id) : null;
    const usage = isHere ? await this.#reader.read(instance.cgroup, instance.isolated.includes("net") ? instance : null) : null;
    const now = need(this.#room, id);
    // What ended meanwhile has left its cgroup to others.
    const isSame = now.instance?.pid === instance?.pid && now.instance?.startTicks === instance?.startTicks;
    return { id, name, state: now.state, time: Date.now(), usage: isSame && usage !== null ? { ...usage, disk } : null };
  }

  async #disk(id: string): Promise<DiskUse | null> {
    if ((this.#room.store.get(id)?.definition.limits.diskBytes ?? null) === null) return null;
    try {
      return await this.#room.supervisors.disk(id);
    } catch (error) {
      // It has just ended.
      if (error instanceof DomainError && error.code === "launcher-unavailable") return null;
      throw error;
    }
  }
}
