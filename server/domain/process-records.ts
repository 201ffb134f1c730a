import type { Events, Logger, Persistence } from "./ports.ts";
import type { ProcessExit, ProcessRow, ProcessStore, ReportedProcess, StartedProcess } from "./process.ts";
import { exitReport } from "./reports.ts";

/** Of the processes that ended so many are kept for each sandbox; the one that ended first goes first. */
const keptProcesses = 256;

export interface RecordsRoom {
  processes: ProcessStore;
  events: Events;
  persistence: Persistence;
  log: Logger;
  bootId: string;
}

/** What is stored of processes as they start and end, and who waits for that. The main process has no row; its end only wakes those who wait. */
export class ProcessRecords {
  readonly #room: RecordsRoom;
  readonly #waiting = new Map<string, Set<() => void>>();
  /** Starts that were asked for and not answered yet, with the exits that overtook the answer. */
  readonly #starting = new Map<string, ProcessExit | null>();

  constructor(room: RecordsRoom) {
    this.#room = room;
  }

  /** Writes the intent; the row is there before the command can be. */
  intend(row: ProcessRow): void {
    this.#starting.set(keyOf(row.sandboxId, row.id), null);
    this.#room.processes.insert(row);
  }

  started(row: ProcessRow, started: StartedProcess): ProcessRow {
    const key = keyOf(row.sandboxId, row.id);
    const exit = this.#starting.get(key) ?? null;
    this.#starting.delete(key);
    const running: ProcessRow = { ...row, state: "running", started };
    this.#write(running, "process.started", { pid: started.pid, pidInside: started.pidInside });
    return exit === null ? running : this.#end(running, exit);
  }

  notStarted({ sandboxId, id }: ProcessRow): void {
    this.#starting.delete(keyOf(sandboxId, id));
    this.#room.processes.remove(sandboxId, id);
  }

  /** What a new connection to the supervisor found: those that ended meanwhile, and those whose start was never answered. */
  found(sandboxId: string, processes: readonly ReportedProcess[]): void {
    const byId = new Map(processes.map((each) => [each.id, each]));
    for (const row of this.#room.processes.alive(sandboxId)) {
      if (this.#starting.has(keyOf(sandboxId, row.id))) continue;
      const report = byId.get(row.id);
      if (report === undefined) this.#lose(row);
      else if (report.exit !== null) this.#end({ ...row, started: report.started }, report.exit);
      else if (row.state === "starting") this.started(row, report.started);
    }
  }

  /** Sandboxes of which commands are alive as far as is known. */
  sandboxes(): Set<string> {
    return new Set(this.#room.processes.aliveIn());
  }

  exited(sandboxId: string, id: string, exit: ProcessExit): void {
    const key = keyOf(sandboxId, id);
    if (this.#starting.has(key)) {
      this.#starting.set(key, exit);
      return;
    }
    const row = this.#room.processes.get(sandboxId, id);
    if (row?.state === "running") this.#end(row, exit);
  }

  forgotten(sandboxId: string, id: string): void {
    if (this.#room.processes.get(sandboxId, id) === null) return;
    this.#room.persistence.transaction(() => {
      this.#room.processes.remove(sandboxId, id);
      this.#room.events.append("process.forgotten", sandboxId, { process: id });
    });
    this.wake(sandboxId, id);
  }

  /** Nothing of the sandbox is alive any more: whatever was not seen to end is lost, and nobody waits in vain. */
  over(sandboxId: string): void {
    for (const row of this.#room.processes.alive(sandboxId)) if (!this.#starting.has(keyOf(sandboxId, row.id))) this.#lose(row);
    for (const key of this.#waiting.keys()) if (key.startsWith(`${sandboxId} `)) this.#wakeKey(key);
  }

  wake(sandboxId: string, id: string): void {
    this.#wakeKey(keyOf(sandboxId, id));
  }

  /** Resolves at the next change of the process, or when the signal aborts. */
  changed(sandboxId: string, id: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    const key = keyOf(sandboxId, id);
    const waiters = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiters);
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        waiters.delete(wake);
        if (waiters.size === 0 && this.#waiting.get(key) === waiters) this.#waiting.delete(key);
        resolve();
      };
      waiters.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  #wakeKey(key: string): void {
    for (const wake of [...(this.#waiting.get(key) ?? [])]) wake();
  }

  #end(row: ProcessRow, exit: ProcessExit): ProcessRow {
    const durationMs = Math.max(0, exit.exitedAt - (row.started?.startedAt ?? exit.exitedAt));
    const ended: ProcessRow = { ...row, state: "ended", exit: { ...exit, durationMs } };
    this.#write(ended, "process.exited", { exit: exitReport({ ...exit, durationMs }) });
    return ended;
  }

  #lose(row: ProcessRow): void {
    this.#room.log.warn({ sandbox: row.sandboxId, process: row.id }, "the end of a process was not seen");
    this.#write({ ...row, state: "lost" }, "process.lost", {});
  }

  #write(row: ProcessRow, event: string, data: Record<string, unknown>): void {
    const { sandboxId, id } = row;
    this.#room.persistence.transaction(() => {
      this.#room.processes.update(row);
      this.#room.events.append(event, sandboxId, { process: id, ...data });
      if (row.state === "running") return;
      for (const dropped of this.#room.processes.prune(sandboxId, keptProcesses))
        this.#room.events.append("process.forgotten", sandboxId, { process: dropped });
    });
    this.wake(sandboxId, id);
  }
}

const keyOf = (sandboxId: string, id: string): string => `${sandboxId} ${id}`;
