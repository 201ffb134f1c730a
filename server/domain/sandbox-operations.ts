import { DomainError } from "./errors.ts";
import type { Job, Operation, Operations } from "./operations.ts";
import type { Persistence } from "./ports.ts";
import type { Report } from "./reports.ts";
import type { BuildControl, OperationRow } from "./root-ports.ts";
import type { SandboxStore } from "./sandbox-ports.ts";
import { sandboxNotFound } from "./sandbox-room.ts";
import type { Sandboxes } from "./sandboxes.ts";

type Kind = "sandbox.stop" | "sandbox.restart" | "sandbox.delete";
/** A job of one of the kinds that has begun, perhaps under an earlier daemon. */
interface Asked {
  id: string;
  graceSeconds: number;
  /** When it was asked for: milliseconds since 1970. */
  at: number;
}

const summary = ({ id, name, status }: Report): Record<string, unknown> => ({ id, name, status });

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

/** Stops, restarts and removals as operations: their callers need not wait for the end, and the next daemon goes on with them. */
export class SandboxOperations {
  readonly #operations: Operations;
  readonly #sandboxes: Sandboxes;
  readonly #store: Pick<SandboxStore, "find" | "get">;
  readonly #persistence: Persistence;

  constructor(operations: Operations, sandboxes: Sandboxes, store: Pick<SandboxStore, "find" | "get">, persistence: Persistence) {
    this.#operations = operations;
    this.#sandboxes = sandboxes;
    this.#store = store;
    this.#persistence = persistence;
  }

  /** @throws DomainError `sandbox-not-found` */
  async begin(kind: Kind, nameOrId: string, graceSeconds = 0): Promise<Operation> {
    const id = this.#store.find(nameOrId)?.id;
    if (id === undefined) throw sandboxNotFound(nameOrId);
    const job = this.#job(kind, { id, graceSeconds, at: Date.now() });
    const operation = this.#persistence.transaction(() => this.#operations.start(job));
    await this.#persistence.durable();
    return operation;
  }

  /** The job of an operation that an earlier daemon left under way; null where it is none of these. */
  resumed({ kind, subject, input, createdAt }: OperationRow): Job | null {
    if (kind !== "sandbox.stop" && kind !== "sandbox.restart" && kind !== "sandbox.delete") return null;
    return this.#job(kind, { id: subject, graceSeconds: Number(input?.["graceSeconds"] ?? 0), at: createdAt });
  }

  #job(kind: Kind, asked: Asked): Job {
    const job = { kind, subject: asked.id, input: { graceSeconds: asked.graceSeconds }, succeeded: () => {}, failed: () => {} };
    if (kind === "sandbox.restart") return { ...job, work: (control) => this.#restart(asked, control) };
    if (kind === "sandbox.stop")
      return {
        ...job,
        irrevocable: "an order to stop is not taken back; kill ends the sandbox at once",
        work: async (control) => summary(await this.#stop(asked, control)),
      };
    return { ...job, irrevocable: "a removal is not taken back", work: (control) => this.#remove(asked, control) };
  }

  /** What an earlier daemon ordered has less of its grace left: the earlier end counts (stops.ts). */
  #stop({ id, graceSeconds, at }: Asked, { report }: BuildControl): Promise<Report> {
    const by = at + graceSeconds * 1000;
    report("stopping", null, graceSeconds === 0 ? undefined : `killed by ${new Date(by).toISOString()} if it does not end before`);
    return this.#sandboxes.stop(id, Math.max(0, by - Date.now()) / 1000);
  }

  async #restart(asked: Asked, control: BuildControl): Promise<Record<string, unknown>> {
    const row = this.#store.get(asked.id);
    // The daemon that was asked for it had started it already.
    if (row?.startedAt != null && row.startedAt >= asked.at) return summary(this.#sandboxes.get(asked.id));
    const stopped = this.#stop(asked, control);
    stopped.catch(() => {});
    // Cancelled, the stop goes on and nothing is started after it.
    await Promise.race([stopped, aborted(control.signal)]);
    control.signal.throwIfAborted();
    control.report("starting", null);
    return summary(await this.#sandboxes.start(asked.id));
  }

  async #remove({ id }: Asked, { report }: BuildControl): Promise<Record<string, unknown>> {
    report("removing", null);
    try {
      return { ...(await this.#sandboxes.remove(id)) };
    } catch (error) {
      // The daemon that was asked for it had removed it already; its receipt stands in the event sandbox.deleted.
      if (error instanceof DomainError && error.code === "sandbox-not-found") return { id };
      throw error;
    }
  }
}
