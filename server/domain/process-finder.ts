import { DomainError } from "./errors.ts";
import { maybeAlive } from "./lifecycle.ts";
import type { LogSource } from "./log-ports.ts";
import type { ProcessRow, ProcessStore, ProcessSupervisors } from "./process.ts";
import { mainProcess } from "./process-reports.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { need, type SandboxRoom } from "./sandbox-room.ts";

/** A process and its sandbox as they were when they were looked up. */
export interface Found {
  sandbox: SandboxRow;
  row: ProcessRow;
}

export interface ProcessRoom extends SandboxRoom {
  processes: ProcessStore;
  processSupervisors: ProcessSupervisors;
  logs: LogSource;
}

/** From the names in a path to the stored process, and on to how it is now. */
export class ProcessFinder {
  readonly #room: ProcessRoom;

  constructor(room: ProcessRoom) {
    this.#room = room;
  }

  get supervisors(): ProcessSupervisors {
    return this.#room.processSupervisors;
  }

  get log(): LogSource {
    return this.#room.logs;
  }

  /** @throws DomainError `sandbox-not-found`, `process-not-found` */
  find(nameOrId: string, process: string): Found {
    const sandbox = need(this.#room, nameOrId);
    const row = this.#row(sandbox, process);
    if (row === null) {
      const why = process === "main" ? "has not been started" : `has no process "${process}"`;
      throw new DomainError("process-not-found", `the sandbox "${sandbox.name}" ${why}`);
    }
    return { sandbox, row };
  }

  /** As `find`, for what can only be done to one that is alive. @throws DomainError `state-conflict` when it has ended */
  findAlive(nameOrId: string, process: string): Found {
    const found = this.find(nameOrId, process);
    const { state } = found.row;
    if (state === "ended" || state === "lost")
      throw new DomainError("state-conflict", `the process "${process}" has ended`, { members: { state } });
    return found;
  }

  /** The process as it is now; null when its sandbox was deleted, or it was forgotten. */
  current(row: ProcessRow): ProcessRow | null {
    const sandbox = this.#room.store.get(row.sandboxId);
    const now = sandbox && this.#row(sandbox, row.id);
    // A main process of a later run is another one.
    return now !== null && row.id === "main" && isOtherRun(row, now) ? null : now;
  }

  /** Waits until the process has ended, as far as the signal allows; gives it as it is then. */
  async ended(row: ProcessRow, signal: AbortSignal): Promise<ProcessRow | null> {
    for (;;) {
      const now = this.current(row);
      if (now === null || now.state === "ended" || now.state === "lost" || signal.aborted) return now;
      await this.#room.records.changed(row.sandboxId, row.id, signal);
    }
  }

  /** Whether the supervisor that guarded the sandbox when it was looked up may still be there. */
  isHeld({ sandbox }: Found): boolean {
    const now = this.#room.store.get(sandbox.id);
    if (now === null || now.instance === null || !maybeAlive(now.state)) return false;
    return now.instance.startedAt === sandbox.instance?.startedAt;
  }

  /** Whether what the log has last under the name of the process is of it. Only `main` is the name of another one in another run. */
  isLastRun({ sandbox, row }: Found): boolean {
    return row.id !== "main" || this.#room.store.get(sandbox.id)?.startedAt === sandbox.startedAt;
  }

  #row(sandbox: SandboxRow, process: string): ProcessRow | null {
    return process === "main" ? mainProcess(sandbox, this.#room.bootId) : this.#room.processes.get(sandbox.id, process);
  }
}

const isOtherRun = (before: ProcessRow, now: ProcessRow): boolean =>
  before.started !== null && now.started !== null && before.createdAt !== now.createdAt;
