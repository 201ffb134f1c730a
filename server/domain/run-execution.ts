/**
 * One run from its sandbox to its answer. The sandbox's main process only holds the namespaces, and the command is a process in it:
 * so its files can be put in before it begins and taken out after its end with one launch, its output is held until it was read,
 * and its time is kept by the supervisor, whatever becomes of the daemon.
 */
import { DomainError } from "./errors.ts";
import type { Files, LeasedAgent } from "./files.ts";
import type { Logger } from "./ports.ts";
import type { ProcessExitReport } from "./process-reports.ts";
import type { Processes } from "./processes.ts";
import type { RunProblem, RunResult } from "./run.ts";
import { type RunArchives, RunArchiveWriter } from "./run-archives.ts";
import { admitted, type RunPlan } from "./run-definitions.ts";
import { place, RunFiles } from "./run-files.ts";
import { RunOutput } from "./run-output.ts";
import type { Sandboxes } from "./sandboxes.ts";
import type { Cost, SandboxStats } from "./stats.ts";

export interface RunRooms {
  sandboxes: Sandboxes;
  processes: Processes;
  files: Files;
  stats: SandboxStats;
  archives: RunArchives;
  log: Logger;
}

export interface RunOutcome {
  result: RunResult;
  /** Why its files could not be collected. */
  problem: RunProblem | null;
}

/** How long the end of a process is waited for beyond the time that it has: milliseconds. */
const exitMilliseconds = 10_000;

export const problemOf = (error: unknown): RunProblem | null =>
  error instanceof DomainError
    ? { code: error.code, detail: error.message, members: { ...error.members }, faults: [...error.faults] }
    : null;

export class RunExecution {
  readonly #rooms: RunRooms;
  readonly #plan: RunPlan;
  readonly #signal: AbortSignal;
  readonly #id: string;

  /** @param signal aborted to end it early; `execute` then throws its reason */
  constructor(rooms: RunRooms, id: string, plan: RunPlan, signal: AbortSignal) {
    this.#id = id;
    this.#rooms = rooms;
    this.#plan = plan;
    this.#signal = signal;
  }

  /**
   * Resolves when nothing of the run is left on the host.
   * @param name of its sandbox
   * @param owner of its sandbox
   * @param launched hears the sandbox's id
   * @throws DomainError of the launch, of files that cannot be placed, or the signal's reason
   */
  async execute(name: string, owner: string | null, launched: (sandboxId: string) => void): Promise<RunOutcome> {
    const { id } = await this.#rooms.sandboxes.create({ ...this.#plan.sandbox, name }, "held", admitted, owner);
    // Its end ends whatever is being waited for.
    let removal: Promise<void> | null = null;
    const remove = (): Promise<void> => {
      removal ??= removed(this.#rooms, id);
      return removal;
    };
    this.#signal.addEventListener("abort", remove, { once: true });
    try {
      this.#signal.throwIfAborted();
      launched(id);
      return await this.#inside(id);
    } catch (error) {
      this.#signal.throwIfAborted();
      throw error;
    } finally {
      this.#signal.removeEventListener("abort", remove);
      await remove();
    }
  }

  async #inside(sandbox: string): Promise<RunOutcome> {
    const { files, collect } = this.#plan;
    // One agent from the beginning: after the end of the command what it left running may be as much as the limits allow.
    const lease = files.length + collect.length > 0 ? await this.#rooms.files.open(sandbox) : null;
    try {
      if (lease !== null) await place(lease.agent, this.#plan);
      const { stats } = this.#rooms;
      const before = await stats.cost(sandbox);
      const { exit, output } = await this.#command(sandbox);
      const cost = costOf(exit, before, await stats.cost(sandbox));
      const collected = await this.#collect(lease);
      return { result: { ...resultOf(exit, output, collected), ...cost }, problem: collected.problem };
    } finally {
      lease?.close();
    }
  }

  async #command(sandbox: string): Promise<{ exit: ProcessExitReport; output: RunOutput }> {
    const { processes } = this.#rooms;
    const { id } = await processes.start(sandbox, this.#plan.process);
    this.#feed(sandbox, id);
    const output = await this.#follow(sandbox, id);
    const patience = (this.#plan.process.timeoutSeconds ?? 0) * 1000 + exitMilliseconds;
    const { exit } = await processes.wait(sandbox, id, AbortSignal.any([this.#signal, AbortSignal.timeout(patience)]));
    this.#signal.throwIfAborted();
    if (exit === null) throw new DomainError("process-lost", "the end of the command was not seen");
    return { exit, output };
  }

  /** It need not read what it is given: whether all was taken is its own affair. */
  #feed(sandbox: string, process: string): void {
    const { stdin } = this.#plan;
    if (stdin === null) return;
    const whole = (async function* () {
      yield stdin;
    })();
    this.#rooms.processes.write(sandbox, process, whole, true).catch((error: unknown) => {
      if (!(error instanceof DomainError)) this.#rooms.log.error({ sandbox, err: error }, "the stdin of a run could not be written");
    });
  }

  /** Reads to the end. One that writes more than it may is killed: what it still wrote would only be thrown away. */
  async #follow(sandbox: string, process: string): Promise<RunOutput> {
    const { processes } = this.#rooms;
    const output = new RunOutput(this.#plan.outputBytes);
    let next = 1;
    let killed = false;
    const options = { after: "held" as const, follow: true, streams: ["stdout", "stderr"] as const, overGaps: true };
    for await (const piece of await processes.outputs.open(sandbox, process, options, this.#signal)) {
      if (piece.kind === "records") {
        if (piece.records[0]?.seq !== next) output.missed();
        output.add(piece.records);
        next = (piece.records.at(-1)?.seq ?? 0) + 1;
        piece.release();
      }
      if (!output.exceeded || killed) continue;
      killed = true;
      await processes.signal(sandbox, process, "SIGKILL", true).catch(() => {});
    }
    return output;
  }

  async #collect(lease: LeasedAgent | null): Promise<Collected> {
    if (lease === null) return { files: [], filesTruncated: false, archive: null, problem: null };
    try {
      const archive = new RunArchiveWriter(this.#id, this.#rooms.archives);
      return { ...(await new RunFiles(lease.agent, archive).collect(this.#plan.collect)), problem: null };
    } catch (error) {
      this.#signal.throwIfAborted();
      const problem = problemOf(error);
      if (problem === null) throw error;
      return { files: [], filesTruncated: true, archive: null, problem };
    }
  }
}

type Collected = Pick<RunResult, "files" | "filesTruncated" | "archive"> & { problem: RunProblem | null };

type RunCost = Pick<RunResult, "cpuSeconds" | "peakMemoryBytes" | "countedBy">;

const resultOf = (
  exit: ProcessExitReport,
  output: RunOutput,
  { files, filesTruncated, archive }: Collected,
): Omit<RunResult, keyof RunCost> => ({
  reason: output.exceeded ? "output-limit" : exit.reason,
  exit: { code: exit.code, signal: exit.signal },
  stdout: output.stream("stdout"),
  stderr: output.stream("stderr"),
  wallSeconds: exit.durationMs / 1000,
  files,
  filesTruncated,
  archive,
});

/** Time since `before`, so that what made the sandbox and put its files in is not counted; what cannot be known is taken from the exit. */
const costOf = (exit: ProcessExitReport, before: Cost | null, after: Cost | null): RunCost => {
  const isKnown = before !== null && after !== null;
  const peak = after?.peakMemoryBytes ?? null;
  return {
    cpuSeconds: isKnown
      ? { user: since(before.userSeconds, after.userSeconds), system: since(before.systemSeconds, after.systemSeconds) }
      : { user: exit.userCpuSeconds, system: exit.systemCpuSeconds },
    peakMemoryBytes: peak ?? exit.maxRssBytes,
    countedBy: { cpu: isKnown ? "cgroup" : "rusage", memory: peak === null ? "rusage" : "cgroup" },
  };
};

/** Both are whole microseconds, and so is what lies between; the kernel's split of a time into two may go back a little. */
const since = (before: number, after: number): number => Math.max(0, Math.round((after - before) * 1e6) / 1e6);

/** Removes the sandbox, unless somebody else did. What cannot be removed now is told in the log, and its removal goes on. */
export const removed = async ({ sandboxes, log }: Pick<RunRooms, "sandboxes" | "log">, sandbox: string): Promise<void> => {
  try {
    await sandboxes.remove(sandbox);
  } catch (error) {
    if (error instanceof DomainError && error.code === "sandbox-not-found") return;
    log.error({ sandbox, err: error }, "the sandbox of a run could not be removed");
  }
};
