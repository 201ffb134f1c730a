import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "./errors.ts";
import { newId } from "./ids.ts";
import type { Logger, Persistence } from "./ports.ts";
import type { BuildControl, OperationRow, OperationState, OperationStore, StoredProblem } from "./root-ports.ts";

/** A long job as callers see it. `message` is what it is at right now; only a running one has it. */
export interface Operation extends OperationRow {
  message: string | null;
}

/** A job to be run as an operation. */
export interface Job {
  kind: string;
  subject: string;
  /** Given where the next daemon can go on with it (`recover`): the end of this one leaves it under way. */
  input?: Record<string, unknown>;
  /** Why it cannot be cancelled. */
  irrevocable?: string;
  work(control: BuildControl): Promise<Record<string, unknown>>;
  /** Runs in the transaction that records the success. */
  succeeded(result: Record<string, unknown>): void;
  /** Runs in the transaction that records the failure or cancellation. */
  failed(problem: StoredProblem | null): void;
}

interface Live {
  job: Job;
  operation: Operation;
  controller: AbortController;
  /** Rejects where the disk did not take how it ended: nobody is told of that as if it were sure. */
  done: Promise<void>;
  /** Resolves at the next change, and is replaced then. */
  change: PromiseWithResolvers<void>;
}

/** Why a job's signal was aborted. */
class Cancelled extends Error {}

/** So many are kept at least; older ones that have ended go, some at a time. */
const keptOperations = 10_000;
const pruneEvery = 100;

// A watcher sees at most ten states a second, however many files a copy has.
const watchIntervalMilliseconds = 100;

export const operationNotFound = (id: string): DomainError => new DomainError("operation-not-found", `there is no operation ${id}`);

/** Long jobs: each is stored when it starts and when it ends; in between it lives in this process, and dies with it. */
export class Operations {
  readonly #store: OperationStore;
  readonly #persistence: Persistence;
  readonly #logger: Logger;
  readonly #live = new Map<string, Live>();
  #closed = false;
  #ended = 0;

  constructor(store: OperationStore, persistence: Persistence, logger: Logger) {
    this.#store = store;
    this.#persistence = persistence;
    this.#logger = logger;
  }

  /** Records the job (in the caller's transaction, when there is one) and runs it from the next turn of the event loop on. */
  start(job: Job): Operation {
    const { kind, subject, input = null } = job;
    const row = { id: newId(), kind, subject, input, state: "running" as const, phase: "starting", progress: null };
    const operation: Operation = { ...row, result: null, problem: null, createdAt: Date.now(), endedAt: null, message: null };
    this.#store.insert(operation);
    this.#begin(job, operation);
    return { ...operation };
  }

  /** @throws DomainError `operation-not-found` */
  get(id: string): Operation {
    const live = this.#live.get(id);
    if (live) return { ...live.operation };
    const row = this.#store.get(id);
    if (!row) throw operationNotFound(id);
    return { ...row, message: null };
  }

  list(filter: { after: string | null; limit: number; state: OperationState | null; subject: string | null }): Operation[] {
    return this.#store.list(filter).map((row) => this.#live.get(row.id)?.operation ?? { ...row, message: null });
  }

  /** The one that works on this subject right now, or null. */
  running(subject: string): Operation | null {
    for (const { operation } of this.#live.values()) if (operation.subject === subject) return { ...operation };
    return null;
  }

  /**
   * The operation once it has ended, or as it is when the time is over.
   * @throws DomainError `operation-not-found`; `storage-failed`, `no-space` where the disk did not take how it ended
   */
  async wait(id: string, milliseconds: number): Promise<Operation> {
    const live = this.#live.get(id);
    if (live && milliseconds > 0) {
      const timer = new AbortController();
      const late = sleep(milliseconds, undefined, { signal: timer.signal }).catch(() => {});
      await Promise.race([live.done, late]).finally(() => timer.abort());
    }
    return this.get(id);
  }

  /** Each state from now on, the last one being its end. @throws as `wait` */
  async *watch(id: string, signal: AbortSignal): AsyncGenerator<Operation> {
    for (;;) {
      const live = this.#live.get(id);
      const change = live?.change.promise;
      yield this.get(id);
      if (!live) return;
      const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      await Promise.race([change, stopped]);
      if (signal.aborted) return;
      await Promise.race([live.done, sleep(watchIntervalMilliseconds, undefined, { ref: false })]);
    }
  }

  /** Cancels and waits until nothing of it is left; one that has ended stays as it is. @throws DomainError `operation-not-found`, `state-conflict` */
  async cancel(id: string): Promise<Operation> {
    const live = this.#live.get(id);
    if (live?.job.irrevocable !== undefined) throw new DomainError("state-conflict", live.job.irrevocable);
    live?.controller.abort(new Cancelled("cancelled"));
    await live?.done;
    return this.get(id);
  }

  /** For the daemon's end: stops all that runs and records it as failed, but for what the next daemon goes on with. */
  async shutDown(): Promise<void> {
    this.#closed = true;
    const reason = new DomainError("shutting-down", "the daemon was stopped before this was done");
    const ending = [...this.#live.values()].filter(({ job }) => job.input === undefined);
    for (const live of ending) live.controller.abort(reason);
    await Promise.allSettled(ending.map((live) => live.done));
  }

  /**
   * For the daemon's start: goes on with what an earlier daemon left running and `jobOf` has a job for. The rest has failed, and its
   * row says so. Gives how many those are.
   */
  recover(jobOf: (row: OperationRow) => Job | null = () => null): number {
    const problem: StoredProblem = { code: "shutting-down", detail: "the daemon ended before this was done", members: {} };
    let failed = 0;
    for (const row of this.#store.running()) {
      const job = row.input === null ? null : jobOf(row);
      if (job !== null) this.#begin(job, { ...row, message: null });
      else {
        this.#store.update({ ...row, state: "failed", problem, endedAt: Date.now() });
        failed += 1;
      }
    }
    return failed;
  }

  #begin(job: Job, operation: Operation): void {
    const live: Live = { job, operation, controller: new AbortController(), done: Promise.resolve(), change: Promise.withResolvers() };
    this.#live.set(operation.id, live);
    live.done = this.#run(live);
    live.done.catch(() => {}); // where nobody waits, the log has it
  }

  async #run(live: Live): Promise<void> {
    const { job, operation, controller } = live;
    const report: BuildControl["report"] = (phase, progress, message) => {
      Object.assign(operation, { phase, progress, message: message ?? null });
      live.change.resolve();
      live.change = Promise.withResolvers();
    };
    // The caller's transaction, with the subject's row, is over before the work begins.
    await new Promise((resolve) => setImmediate(resolve));
    let end: Pick<OperationRow, "state" | "result" | "problem">;
    try {
      controller.signal.throwIfAborted();
      end = { state: "succeeded", result: await job.work({ signal: controller.signal, report }), problem: null };
    } catch (error) {
      const cancelled = controller.signal.reason instanceof Cancelled;
      end = cancelled
        ? { state: "cancelled", result: null, problem: null }
        : { state: "failed", result: null, problem: this.#problem(error, operation) };
    }
    await this.#end(live, end);
  }

  async #end(live: Live, end: Pick<OperationRow, "state" | "result" | "problem">): Promise<void> {
    const { job, operation } = live;
    // What fails because everything ends is for the next daemon.
    if (this.#closed && job.input !== undefined && end.state === "failed") return;
    let unstored: unknown = null;
    Object.assign(operation, end, { endedAt: Date.now(), message: null });
    if (end.state === "succeeded") Object.assign(operation, { phase: "done", progress: 1 });
    try {
      this.#persistence.transaction(() => {
        if (end.result) job.succeeded(end.result);
        else job.failed(end.problem);
        this.#store.update(operation);
        this.#ended += 1;
        if (this.#ended % pruneEvery === 0) this.#store.prune(keptOperations);
      });
      await this.#persistence.durable();
    } catch (error) {
      unstored = error;
      this.#logger.error({ err: error, operation: operation.id }, "the end of an operation could not be stored");
    }
    this.#live.delete(operation.id);
    live.change.resolve();
    this.#logger.info(
      { operation: operation.id, kind: operation.kind, subject: operation.subject, state: operation.state },
      "operation ended",
    );
    if (unstored !== null) throw unstored;
  }

  #problem(error: unknown, operation: Operation): StoredProblem {
    if (error instanceof DomainError) {
      const errors = error.faults.length > 0 ? { errors: error.faults } : {};
      return { code: error.code, detail: error.message, members: { ...error.members, ...errors } };
    }
    this.#logger.error({ err: error, operation: operation.id }, "an operation failed unexpectedly");
    return { code: "internal", detail: "an unexpected failure; the daemon's log has the cause", members: {} };
  }
}
