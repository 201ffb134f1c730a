import { type Caller, ownerOf } from "./callers.ts";
import { DomainError } from "./errors.ts";
import { newId } from "./ids.ts";
import type { Operation, Operations } from "./operations.ts";
import type { Events, Logger, Persistence, RootDirectory, RootReference } from "./ports.ts";
import { checkRoots, type Quotas } from "./quotas.ts";
import type { Provision, RequestedSource, RootBuilder, RootRow, RootStore } from "./root-ports.ts";

/** A root as callers see it: the row, what works on it, and who uses it. */
export interface RootView extends RootRow {
  operation: string | null;
  message: string | null;
  users: number;
}

const defaultName = "default";
const defaultMarker = "default-root-made";
// The default takes about a second to make; a first call that comes sooner waits for it.
const defaultWaitMilliseconds = 30_000;

export interface RootsDependencies {
  store: RootStore;
  builder: RootBuilder;
  operations: Operations;
  persistence: Persistence;
  events: Events;
  logger: Logger;
}

/** The roots: provisioned once, immutable from then on, removed when nobody uses them. */
export class Roots implements RootDirectory {
  readonly #its: RootsDependencies;
  #defaultOperation: string | null = null;
  #defaultFailure: string | null = null;

  constructor(dependencies: RootsDependencies) {
    this.#its = dependencies;
  }

  /**
   * Checks the source and starts to provision it. Durable when it returns.
   * @throws DomainError `name-taken`, `root-source-invalid`, `host-not-ready`, `quota-exceeded`
   */
  async create(
    name: string,
    source: RequestedSource,
    { id, quotas }: Pick<Caller, "id" | "quotas">,
  ): Promise<{ root: RootView; operation: Operation }> {
    if (this.#its.store.find(name)?.name === name) throw nameTaken(name);
    const provision = await this.#its.builder.prepare(source);
    const started = this.#start(name, provision, () => {}, { owner: ownerOf(id), quotas });
    // Looked at now: it may have failed, and be gone, before this is on the disk.
    const root = this.get(started.rootId);
    await this.#its.persistence.durable();
    return { root, operation: started.operation };
  }

  /** @throws DomainError `root-not-found` */
  get(nameOrId: string): RootView {
    return this.#view(this.#row(nameOrId));
  }

  list(filter: Parameters<RootStore["list"]>[0]): RootView[] {
    return this.#its.store.list(filter).map((row) => this.#view(row));
  }

  /** The stored manifest, as JSON. @throws DomainError `root-not-found`, `root-not-ready` */
  async manifest(nameOrId: string): Promise<{ bytes: number; stream: NodeJS.ReadableStream }> {
    const row = this.#row(nameOrId);
    if (row.state !== "ready") throw this.#notReady(row);
    return await this.#its.builder.manifest(row.id);
  }

  /** Removes a root, or cancels its provisioning. @throws DomainError `root-not-found`, `root-in-use` (member `users`) */
  async delete(nameOrId: string): Promise<void> {
    const { store, operations, persistence, events, builder } = this.#its;
    const row = this.#row(nameOrId);
    const running = operations.running(row.id);
    if (running) await operations.cancel(running.id);
    const removed = persistence.transaction(() => {
      // A sandbox names its root's row, so once the row is gone none can come to use the tree.
      const users = store.users(row.id);
      if (users.length > 0) {
        const names = users.slice(0, 5).map((user) => user.name);
        const detail = `the root ${row.name} is used by ${users.length === 1 ? "sandbox" : `${users.length} sandboxes:`} ${names.join(", ")}${users.length > 5 ? ", ..." : ""}`;
        throw new DomainError("root-in-use", detail, { members: { users: users.slice(0, 1000) } });
      }
      if (!store.find(row.id)) return false;
      store.remove(row.id);
      events.append("root.deleted", row.id, { name: row.name });
      return true;
    });
    await persistence.durable();
    if (removed) await builder.remove(row.id);
  }

  resolve(nameOrId: string): RootReference | Promise<RootReference> {
    const row = this.#its.store.find(nameOrId);
    if (row?.state === "ready") return { id: row.id, name: row.name };
    if (!row) throw this.#notFound(nameOrId);
    const running = this.#its.operations.running(row.id);
    if (!running || running.id !== this.#defaultOperation) throw this.#notReady(row);
    return this.#its.operations.wait(running.id, defaultWaitMilliseconds).then(() => {
      const now = this.#row(row.id);
      if (now.state !== "ready") throw this.#notReady(now);
      return { id: now.id, name: now.name };
    });
  }

  /**
   * For the daemon's start, before it listens: clears what an interrupted provisioning left, forgets roots whose tree is gone
   * and nobody uses, and starts to provision the embedded default when this database never had it.
   */
  async recover(options: { defaultRoot: boolean }): Promise<void> {
    const { store, persistence, events, builder, logger } = this.#its;
    persistence.transaction(() => {
      for (const { id, name, state } of store.all()) {
        if (state !== "provisioning") continue;
        store.remove(id);
        events.append("root.failed", id, { name, message: "the daemon ended while it was provisioned" });
      }
    });
    const { removed, lost } = await builder.sweep(store.all().map((row) => row.id));
    if (removed.length > 0) logger.info({ removed }, "removed roots that were left unfinished");
    for (const id of lost) {
      logger.error({ root: id }, "the tree of a root is gone from the state directory");
      if (store.userCount(id) > 0) continue;
      persistence.transaction(() => {
        events.append("root.deleted", id, { name: store.find(id)?.name, reason: "lost" });
        store.remove(id);
      });
    }
    if (options.defaultRoot && !store.marked(defaultMarker) && !store.find(defaultName)) await this.#provisionDefault();
    await persistence.durable();
  }

  async #provisionDefault(): Promise<void> {
    const { builder, store, logger } = this.#its;
    try {
      const provision = await builder.prepare(await builder.defaultSource());
      // Once made it is the user's: when it is deleted, it is not made again.
      this.#defaultOperation = this.#start(defaultName, provision, () => store.mark(defaultMarker, Date.now())).operation.id;
    } catch (error) {
      this.#defaultFailure = error instanceof DomainError ? error.message : "an unexpected failure";
      logger.error({ err: error }, "the default root cannot be provisioned");
    }
  }

  #start(
    name: string,
    provision: Provision,
    whenReady: () => void,
    { owner, quotas }: { owner: string | null; quotas: Quotas } = { owner: null, quotas: {} },
  ): { rootId: string; operation: Operation } {
    const { store, operations, persistence, events } = this.#its;
    const row: RootRow = {
      id: newId(),
      name,
      owner,
      source: provision.source,
      state: "provisioning",
      sizeBytes: null,
      fileCount: null,
      createdAt: Date.now(),
      readyAt: null,
    };
    const subject = { root: row.id, name };
    const operation = persistence.transaction(() => {
      if (owner !== null) checkRoots(quotas, () => store.countOf(owner));
      store.insert(row);
      events.append("root.created", row.id, { name });
      return operations.start({
        kind: "root.provision",
        subject: row.id,
        work: async (control) => ({ ...subject, ...(await provision.run(row.id, control)) }),
        succeeded: (result) => {
          store.ready(row.id, Number(result["sizeBytes"]), Number(result["files"]), Date.now());
          events.append("root.ready", row.id, { name });
          whenReady();
        },
        failed: (problem) => {
          store.remove(row.id);
          events.append(problem ? "root.failed" : "root.cancelled", row.id, { name, message: problem?.detail ?? null });
          if (name === defaultName && problem) this.#defaultFailure = problem.detail;
        },
      });
    });
    return { rootId: row.id, operation };
  }

  #row(nameOrId: string): RootRow {
    const row = this.#its.store.find(nameOrId);
    if (!row) throw this.#notFound(nameOrId);
    return row;
  }

  #view(row: RootRow): RootView {
    const running = this.#its.operations.running(row.id);
    const message = running ? (running.message ? `${running.phase}: ${running.message}` : running.phase) : null;
    return { ...row, operation: running?.id ?? null, message, users: this.#its.store.userCount(row.id) };
  }

  #notFound(nameOrId: string): DomainError {
    const why = nameOrId === defaultName && this.#defaultFailure ? `; the embedded default could not be made: ${this.#defaultFailure}` : "";
    return new DomainError("root-not-found", `there is no root ${nameOrId}${why}`);
  }

  #notReady(row: RootRow): DomainError {
    const operation = this.#its.operations.running(row.id)?.id ?? null;
    return new DomainError("root-not-ready", `the root ${row.name} is still being provisioned`, { members: { operation } });
  }
}

export const nameTaken = (name: string): DomainError => new DomainError("name-taken", `there is a root named ${name} already`);
