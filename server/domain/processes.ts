import { environmentOf } from "./definitions.ts";
import { DomainError } from "./errors.ts";
import { newId } from "./ids.ts";
import { OutputSource } from "./output-source.ts";
import { type ExecOrder, OutputDroppedError, type ProcessFilter, type ProcessInput, type ProcessRow } from "./process.ts";
import { completeProcess } from "./process-definitions.ts";
import { ProcessFinder, type ProcessRoom } from "./process-finder.ts";
import { ProcessInputs } from "./process-input.ts";
import { ProcessOutputs } from "./process-outputs.ts";
import { mainProcess, type ProcessReport, processReport } from "./process-reports.ts";
import { type CollectedOutput, OutputCollector } from "./process-results.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { need } from "./sandbox-room.ts";
import { signalNumber } from "./signals.ts";

const killMilliseconds = 10_000;
const killSignal = 9;
const collectBytes = 262_144;
const collectAttempts = 10;

/** Everything the API does with the processes of sandboxes. `main` is the main process; the others are started here. */
export class Processes {
  readonly outputs: ProcessOutputs;
  readonly #inputs: ProcessInputs;
  readonly #room: ProcessRoom;
  readonly #finder: ProcessFinder;

  constructor(room: ProcessRoom) {
    this.#room = room;
    this.#finder = new ProcessFinder(room);
    this.outputs = new ProcessOutputs(this.#finder);
    this.#inputs = new ProcessInputs(room.processSupervisors);
  }

  /**
   * Starts a command in a running sandbox; resolves when it executes.
   * @throws DomainError `sandbox-not-found`, `invalid-definition`, `state-conflict`, `process-limit`, `command-not-found` and the like
   */
  async start(nameOrId: string, input: ProcessInput): Promise<ProcessReport> {
    const sandbox = need(this.#room, nameOrId);
    const definition = completeProcess(input, sandbox.definition);
    if (sandbox.state !== "running" || sandbox.exit !== null)
      throw new DomainError("state-conflict", `the sandbox "${sandbox.name}" is ${sandbox.state}; processes are started in a running one`, {
        members: { state: sandbox.state },
      });
    const row: ProcessRow = {
      id: newId(),
      sandboxId: sandbox.id,
      definition,
      state: "starting",
      started: null,
      bootId: this.#room.bootId,
      exit: null,
      createdAt: Date.now(),
    };
    this.#room.records.intend(row);
    try {
      const started = await this.#room.processSupervisors.exec(sandbox.id, orderOf(row));
      return this.#report(this.#room.records.started(row, started), sandbox);
    } catch (error) {
      this.#room.records.notStarted(row);
      throw input.script === undefined ? error : ofScript(error);
    }
  }

  get(nameOrId: string, process: string): ProcessReport {
    const { sandbox, row } = this.#finder.find(nameOrId, process);
    return this.#report(row, sandbox);
  }

  /** One page, the main process first, then oldest first; and the cursor of the next page. */
  list(nameOrId: string, filter: ProcessFilter): { items: ProcessReport[]; nextCursor: string | null } {
    const sandbox = need(this.#room, nameOrId);
    const main = filter.after === null ? mainProcess(sandbox, this.#room.bootId) : null;
    const shown = main !== null && isWanted(main, filter) ? [main] : [];
    const rows = [...shown, ...this.#room.processes.list(sandbox.id, { ...filter, limit: filter.limit + 1 })];
    const page = rows.slice(0, filter.limit);
    const last = page.at(-1);
    const position = last?.id === "main" ? "0" : (last?.id ?? null);
    return { items: page.map((row) => this.#report(row, sandbox)), nextCursor: rows.length > filter.limit ? position : null };
  }

  /**
   * Waits for its end, at most until the signal aborts; gives it as it is then.
   * @throws DomainError `process-lost` when nobody will know how it ended, `process-not-found` when it was forgotten meanwhile
   */
  async wait(nameOrId: string, process: string, signal: AbortSignal): Promise<ProcessReport> {
    const { sandbox, row } = this.#finder.find(nameOrId, process);
    const now = await this.#finder.ended(row, signal);
    if (now === null) throw new DomainError("process-not-found", `the process "${process}" is not known any more`);
    if (now.state === "lost")
      throw new DomainError("process-lost", `the end of the process "${process}" was not seen`, { members: { process } });
    return this.#report(now, sandbox);
  }

  /** What it wrote, as far as it is held; null when nothing is held any more. */
  async collect(nameOrId: string, process: string): Promise<CollectedOutput | null> {
    const source = new OutputSource(this.#finder, this.#finder.find(nameOrId, process));
    const collector = new OutputCollector();
    let dropped: number | null = 0;
    for (let after = 0, attempts = 0; ; ) {
      try {
        const { records, next, droppedBytes } = await source.chunk({ after, maxBytes: collectBytes, wait: false });
        collector.add(records);
        dropped = droppedBytes;
        after = records.at(-1)?.seq ?? after;
        if (records.length === 0 || after + 1 >= next) return collector.result(dropped);
      } catch (error) {
        if (!(error instanceof OutputDroppedError) || error.first === null || ++attempts > collectAttempts) return null;
        after = error.first - 1;
      }
    }
  }

  /** By pidfd; with `group` to all of its process group. @throws DomainError `state-conflict` when it has ended, `invalid-request` */
  async signal(nameOrId: string, process: string, signal: string | number, group: boolean): Promise<void> {
    const { row } = this.#finder.findAlive(nameOrId, process);
    await this.#room.processSupervisors.signal(row.sandboxId, row.id, signalNumber(signal), group);
  }

  /** @throws DomainError `no-terminal`, `state-conflict` */
  async resize(nameOrId: string, process: string, rows: number, columns: number): Promise<void> {
    const { row } = this.#finder.findAlive(nameOrId, process);
    await this.#room.processSupervisors.resize(row.sandboxId, row.id, rows, columns);
  }

  /** Writes a stream to its stdin; gives the bytes written. @throws DomainError `stdin-closed` */
  async write(nameOrId: string, process: string, stream: AsyncIterable<Buffer>, close: boolean): Promise<number> {
    const { row } = this.#finder.findAlive(nameOrId, process);
    return this.#inputs.writeAll(row.sandboxId, row.id, stream, close);
  }

  /** Writes to its terminal what a viewer typed. @throws DomainError `state-conflict`, `stdin-closed` */
  async type(nameOrId: string, process: string, bytes: Buffer): Promise<void> {
    const { row } = this.#finder.findAlive(nameOrId, process);
    await this.#inputs.write(row.sandboxId, row.id, bytes);
  }

  /** @throws DomainError `no-terminal` where the process has none, `sandbox-not-found`, `process-not-found` */
  checkTerminal(nameOrId: string, process: string): void {
    const { row } = this.#finder.find(nameOrId, process);
    if (!row.definition.tty) throw new DomainError("no-terminal", `the process "${process}" was started without a terminal`);
  }

  /** Kills it and its process group, and waits for its end. One that has ended is given as it is. @throws DomainError `state-conflict`, `deadline-exceeded` */
  async end(nameOrId: string, process: string): Promise<ProcessReport> {
    const { sandbox, row } = this.#finder.find(nameOrId, process);
    if (row.state === "ended" || row.state === "lost") return this.#report(row, sandbox);
    if (sandbox.state === "paused") {
      const detail = `the sandbox "${sandbox.name}" is paused, and no process in it ends before it goes on; the sandbox can be killed`;
      throw new DomainError("state-conflict", detail, { members: { state: sandbox.state } });
    }
    let unanswered: DomainError | null = null;
    if (row.id === "main" && sandbox.state === "starting") {
      const detail = `the sandbox "${sandbox.name}" is being started, and has no main process yet; the sandbox can be killed`;
      throw new DomainError("state-conflict", detail, { members: { state: sandbox.state } });
    }
    try {
      await this.#room.processSupervisors.signal(row.sandboxId, row.id, killSignal, true);
    } catch (error) {
      // It ended by itself just now, or all of its sandbox did, and with it whoever could have been told.
      if (!(error instanceof DomainError) || !["state-conflict", "launcher-unavailable"].includes(error.code)) throw error;
      if (error.code === "launcher-unavailable") unanswered = error;
    }
    const now = await this.#finder.ended(row, AbortSignal.timeout(killMilliseconds));
    if (now === null) throw new DomainError("process-not-found", `the process "${process}" is not known any more`);
    if (now.state === "running") throw unanswered ?? new DomainError("deadline-exceeded", "the process was killed and has not ended yet");
    return this.#report(now, sandbox);
  }

  #report(row: ProcessRow, sandbox: SandboxRow): ProcessReport {
    return processReport(row, sandbox, this.#room.bootId);
  }
}

/** A script has no words that could be at fault: what is missing, or cannot be executed, is the root's shell. */
const ofScript = (error: unknown): unknown => {
  if (!(error instanceof DomainError)) return error;
  const faults = error.faults.map((fault) => (fault.pointer === "/command/0" ? { ...fault, pointer: "/script" } : fault));
  return new DomainError(error.code, error.message, { faults, members: error.members, cause: error });
};

const isWanted = (row: ProcessRow, { states, labels }: ProcessFilter): boolean =>
  (states.length === 0 || states.includes(row.state)) && Object.keys(labels).length === 0;

const orderOf = ({ id, definition }: ProcessRow): ExecOrder => ({
  process: id,
  command: definition.command,
  env: environmentOf(definition),
  cwd: definition.cwd,
  uid: definition.user.uid,
  gid: definition.user.gid,
  tty: definition.tty,
  stdin: definition.stdin,
  timeoutMilliseconds: definition.timeoutSeconds === null ? 0 : Math.max(1, Math.round(definition.timeoutSeconds * 1000)),
  outputBytes: definition.outputBytes,
});
