import type { Readable } from "node:stream";
import { type Caller, confinedLabels, ownerOf } from "./callers.ts";
import { DomainError } from "./errors.ts";
import { newId } from "./ids.ts";
import type { Measurements } from "./measurements.ts";
import type { Persistence, RootDirectory } from "./ports.ts";
import { checkInFlight } from "./quotas.ts";
import { type RunFilter, type RunInput, type RunRow, type RunStore, runNotFound } from "./run.ts";
import { admitted, checkRun, planOf } from "./run-definitions.ts";
import { problemOf, RunExecution, type RunRooms, removed } from "./run-execution.ts";
import { RunQueue } from "./run-queue.ts";

/** How long what came of a run is kept, how many, and how many bytes of results in all. */
const keptMilliseconds = 3_600_000;
const keptRuns = 1_000;
const keptBytes = 268_435_456;
const pruneMilliseconds = 60_000;
/** What the inputs of all that wait or are under way may have together, as they are stored: bytes for each place in the queue, and at least. */
const inputBytesEach = 1_048_576;
const inputBytesLeast = 33_554_432;

export interface RunsRoom extends RunRooms {
  store: RunStore;
  persistence: Persistence;
  measurements: Measurements;
  roots: RootDirectory;
  /** The most that run at once, and that wait. */
  concurrency: number;
  queueLength: number;
}

/** A run, and where in the queue it is: 1 for the next; null where it does not wait. */
export interface Run extends RunRow {
  position: number | null;
}

interface Live {
  row: RunRow;
  inputBytes: number;
  controller: AbortController;
  /** Rejects where the disk did not take how it ended: nobody is told of that as if it were sure. */
  done: PromiseWithResolvers<void>;
}

class Cancelled extends Error {}

/** The job service: takes runs, lets so many run at once as it may, in fair turns, and keeps what came of them for a while. */
export class Runs {
  readonly #room: RunsRoom;
  readonly #queue = new RunQueue();
  /** Those that wait or are under way. */
  readonly #live = new Map<string, Live>();
  readonly #running = new Set<Promise<void>>();
  #inputBytes = 0;
  readonly #pruning: NodeJS.Timeout;
  #closed = false;

  constructor(room: RunsRoom) {
    this.#room = room;
    this.#pruning = setInterval(() => this.#prune(), pruneMilliseconds).unref();
  }

  /**
   * Takes runs, all of them or none; each waits for its turn or begins at once.
   * @param caller whose turn they take
   * @param pointerOf where in the request the run of this index stands (RFC 6901)
   * @throws DomainError `invalid-definition`, `forbidden`, `root-not-found`, `root-not-ready`, `run-queue-full`, `too-many-requests`
   */
  async submit(sent: readonly RunInput[], caller: Caller, pointerOf = (_index: number): string => ""): Promise<Run[]> {
    const inputs = sent.map((input, index) => ({
      ...input,
      labels: confinedLabels(caller.view, input.labels ?? {}, `${pointerOf(index)}/labels`),
    }));
    for (const [index, input] of inputs.entries()) checkRun(input, caller.scope, pointerOf(index), this.#room.sandboxes.limits);
    for (const root of new Set(inputs.map(({ root = "default" }) => root))) await this.#resolve(root);
    if (this.#closed) throw new DomainError("shutting-down", "the daemon is shutting down");
    const texts = inputs.map((input) => JSON.stringify(input));
    const sizes = texts.map((text) => Buffer.byteLength(text));
    const own = [...this.#live.values()].filter(({ row }) => row.caller === caller.id);
    checkInFlight(caller.quotas, "runs", own.length, inputs.length);
    this.#makeRoom(
      inputs.length,
      sizes.reduce((sum, size) => sum + size, 0),
    );
    const rows = inputs.map((input): RunRow => {
      const { root = "default", labels = {} } = input;
      const nothing = { sandboxId: null, result: null, problem: null, startedAt: null, endedAt: null };
      return { id: newId(), caller: caller.id, state: "queued", root, labels, createdAt: Date.now(), ...nothing };
    });
    this.#room.persistence.transaction(() => {
      for (const [index, row] of rows.entries()) this.#room.store.insert(row, texts[index] as string);
    });
    for (const [index, row] of rows.entries()) this.#enqueue(row, sizes[index] as number);
    this.#fill();
    await this.#room.persistence.durable();
    return rows.map(({ id }) => this.get(id));
  }

  /** @throws DomainError `run-not-found` */
  get(id: string): Run {
    const row = this.#live.get(id)?.row ?? this.#room.store.get(id);
    if (row === null) throw runNotFound(id);
    return this.#placed(row);
  }

  /** One page, oldest first, without results; and the cursor of the next one. */
  list(filter: RunFilter): { items: Run[]; nextCursor: string | null } {
    const rows = this.#room.store.list({ ...filter, limit: filter.limit + 1 });
    const page = rows.slice(0, filter.limit);
    return { items: page.map((row) => this.#placed(row)), nextCursor: rows.length > filter.limit ? (page.at(-1)?.id ?? null) : null };
  }

  /**
   * The run once it is over, or as it is when the signal aborts.
   * @throws DomainError `run-not-found`; `storage-failed`, `no-space` where the disk did not take how it ended
   */
  async wait(id: string, signal: AbortSignal): Promise<Run> {
    const live = this.#live.get(id);
    if (live !== undefined && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const stop = () => resolve();
      signal.addEventListener("abort", stop, { once: true });
      await Promise.race([live.done.promise, promise]).finally(() => signal.removeEventListener("abort", stop));
    }
    return this.get(id);
  }

  /** The archive of one that has ended: its size, and its bytes. @throws DomainError `run-not-found`, `run-archive-not-found`, `run-archive-expired` */
  async archive(id: string): Promise<{ bytes: number; stream: Readable }> {
    const archive = this.get(id).result?.archive ?? null;
    if (archive === null) throw new DomainError("run-archive-not-found", `the run ${id} has no archive`);
    return { bytes: archive.bytes, stream: await this.#room.archives.open(id, archive) };
  }

  /** Takes it out of the queue, or ends it; resolves when nothing of it is left. Of one that is over only its archive goes. @throws DomainError `run-not-found` */
  async cancel(id: string): Promise<Run> {
    const live = this.#live.get(id);
    if (live !== undefined) {
      if (this.#queue.remove(live.row.caller, id)) await this.#end(live, { state: "cancelled" });
      else live.controller.abort(new Cancelled("the run was cancelled"));
      await live.done.promise;
    } else await this.#forgetArchive(this.get(id));
    return this.get(id);
  }

  async #forgetArchive({ position: _, ...row }: Run): Promise<void> {
    const archive = row.result?.archive ?? null;
    if (row.result === null || archive === null || archive.expiresAt <= Date.now()) return;
    this.#room.store.update({ ...row, result: { ...row.result, archive: { ...archive, expiresAt: Date.now() } } });
    await this.#room.archives.drop(row.id);
  }

  /**
   * For the daemon's start, once sandboxes are recovered: what was under way when the last daemon ended has failed, and its sandbox is
   * removed; what waited waits again.
   */
  async recover(): Promise<void> {
    const unfinished = this.#room.store.unfinished();
    const problem = problemOf(new DomainError("run-interrupted", "the daemon ended while the run was under way"));
    for (const { row } of unfinished.filter(({ row: { state } }) => state === "running")) {
      await removed(this.#room, row.sandboxId ?? sandboxName(row.id));
      this.#room.store.update({ ...row, state: "failed", sandboxId: null, problem, endedAt: Date.now() });
      this.#room.measurements.runOver("failed", null);
    }
    this.#prune();
    await this.#room.archives.recover((id) => this.#room.store.get(id)?.result?.archive ?? null);
    for (const { row, inputBytes } of unfinished) if (row.state === "queued") this.#enqueue(row, inputBytes);
    await this.#room.persistence.durable();
    this.#fill();
  }

  /** For the daemon's end: what is under way fails, and its sandbox is removed; what waits is left to the next daemon. */
  async shutDown(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#pruning);
    this.#room.archives.close();
    const reason = new DomainError("run-interrupted", "the daemon was stopped while the run was under way");
    for (const { row, controller, done } of this.#live.values()) {
      if (row.state === "running") controller.abort(reason);
      else done.resolve();
    }
    await Promise.all(this.#running);
  }

  #placed(row: RunRow): Run {
    return { ...row, position: this.#queue.position(row.caller, row.id) };
  }

  async #resolve(root: string): Promise<void> {
    try {
      await this.#room.roots.resolve(root);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const faults = [{ pointer: "/root", detail: error.message }];
      throw new DomainError(error.code, error.message, { faults, members: error.members, cause: error });
    }
  }

  #makeRoom(count: number, bytes: number): void {
    const { concurrency, queueLength } = this.#room;
    const free = concurrency - this.#running.size + queueLength - this.#queue.length;
    if (count > free)
      throw new DomainError("run-queue-full", `${this.#queue.length} runs wait, and ${queueLength} may; ${count} more find no room`, {
        members: { waiting: this.#queue.length, running: this.#running.size },
      });
    const most = Math.max(inputBytesLeast, queueLength * inputBytesEach);
    if (this.#inputBytes + bytes > most)
      throw new DomainError("run-queue-full", `the inputs of all runs that are not over may have ${most} bytes together`, {
        members: { waiting: this.#queue.length, running: this.#running.size },
      });
  }

  #enqueue(row: RunRow, inputBytes: number): void {
    this.#inputBytes += inputBytes;
    const done = Promise.withResolvers<void>();
    done.promise.catch(() => {}); // where nobody waits, the log has it
    this.#live.set(row.id, { row, inputBytes, controller: new AbortController(), done });
    this.#queue.add(row.caller, row.id);
  }

  /** Begins as many as may run. */
  #fill(): void {
    while (!this.#closed && this.#running.size < this.#room.concurrency) {
      const id = this.#queue.take();
      const live = id === null ? undefined : this.#live.get(id);
      if (live === undefined) return;
      live.row = { ...live.row, state: "running", startedAt: Date.now() };
      this.#room.store.update(live.row);
      this.#room.measurements.runStarted((Date.now() - live.row.createdAt) / 1000);
      const work: Promise<void> = this.#run(live).finally(() => {
        this.#running.delete(work);
        this.#fill();
      });
      this.#running.add(work);
    }
  }

  async #run(live: Live): Promise<void> {
    const { row, controller } = live;
    const launched = (sandboxId: string) => {
      live.row = { ...live.row, sandboxId };
      this.#room.store.update(live.row);
    };
    let end: Partial<RunRow>;
    try {
      const input = this.#room.store.input(row.id);
      if (input === null) throw new Error("a run has no input");
      const plan = planOf(JSON.parse(input), admitted, this.#room.sandboxes.limits);
      const outcome = await new RunExecution(this.#room, row.id, plan, controller.signal).execute(
        sandboxName(row.id),
        ownerOf(row.caller),
        launched,
      );
      end = { state: "ended", ...outcome };
      if (outcome.result.archive !== null) this.#room.archives.hold(row.id, outcome.result.archive);
    } catch (error) {
      end = error instanceof Cancelled ? { state: "cancelled" } : { state: "failed", problem: this.#problem(row, error) };
    }
    await this.#end(live, end);
  }

  async #end(live: Live, end: Partial<RunRow>): Promise<void> {
    live.row = { ...live.row, sandboxId: null, endedAt: Date.now(), ...end };
    let unstored: unknown = null;
    try {
      this.#room.store.update(live.row);
      this.#prune();
      await this.#room.persistence.durable();
    } catch (error) {
      unstored = error;
      this.#room.log.error({ err: error, run: live.row.id }, "the end of a run could not be stored");
      await this.#room.archives.drop(live.row.id);
    }
    this.#live.delete(live.row.id);
    this.#inputBytes -= live.inputBytes;
    this.#measure(live.row);
    if (unstored === null) live.done.resolve();
    else live.done.reject(unstored);
    this.#room.log.info({ run: live.row.id, state: live.row.state, reason: live.row.result?.reason ?? null }, "run over");
  }

  #problem(row: RunRow, error: unknown): RunRow["problem"] {
    const problem = problemOf(error);
    if (problem !== null) return problem;
    this.#room.log.error({ err: error, run: row.id }, "a run failed unexpectedly");
    return { code: "internal", detail: "an unexpected failure; the daemon's log has the cause", members: {}, faults: [] };
  }

  #measure({ state, result, startedAt, endedAt }: RunRow): void {
    const seconds = startedAt === null || endedAt === null ? null : (endedAt - startedAt) / 1000;
    this.#room.measurements.runOver(result?.reason ?? (state === "cancelled" ? "cancelled" : "failed"), seconds);
  }

  #prune(): void {
    for (const id of this.#room.store.prune(Date.now() - keptMilliseconds, keptRuns, keptBytes)) void this.#room.archives.drop(id);
  }
}

const sandboxName = (id: string): string => `run-${id}`;
