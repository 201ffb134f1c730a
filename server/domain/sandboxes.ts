import type { Scope } from "./callers.ts";
import type { DefinitionInput } from "./definition.ts";
import { completeDefinition } from "./definitions.ts";
import { DomainError } from "./errors.ts";
import { expire } from "./expiries.ts";
import { newId } from "./ids.ts";
import { Instances } from "./instances.ts";
import { heldOrderOf, Launches, orderOf } from "./launches.ts";
import { lifecycle, type State } from "./lifecycle.ts";
import type { LimitPolicy } from "./limits.ts";
import { setPaused } from "./pauses.ts";
import type { RootReference } from "./ports.ts";
import { sandboxQuotas } from "./quotas.ts";
import type { Receipt } from "./receipt.ts";
import { type Redefinition, redefine } from "./redefinitions.ts";
import { Removals } from "./removals.ts";
import type { Report } from "./reports.ts";
import type { SandboxFilter, SandboxRow, Schedule } from "./sandbox-ports.ts";
import { enter, need, reportFor, type SandboxRoom } from "./sandbox-room.ts";
import { unscheduled } from "./schedules.ts";
import { Stops } from "./stops.ts";

/** Everything the API does with sandboxes. Each verb is decided by the lifecycle table and done by the class of its name. */
export class Sandboxes {
  readonly instances: Instances;
  readonly #room: SandboxRoom;
  readonly #launches: Launches;
  readonly #stops: Stops;
  readonly #removals: Removals;

  /** The daemon's limits. */
  get limits(): LimitPolicy {
    return this.#room.limits;
  }

  constructor(room: SandboxRoom) {
    this.#room = room;
    this.instances = new Instances(room);
    this.#launches = new Launches(room, this.instances);
    this.#stops = new Stops(room, this.instances, this.#launches);
    this.#removals = new Removals(room, this.instances, this.#launches);
  }

  /**
   * Stores a definition, and starts it when asked to. A start that is refused leaves nothing behind.
   * @param start `held`: its namespaces are made, and its command does not run; what runs are processes started in it
   * @param owner the token whose it is to be
   * @throws DomainError of `completeDefinition`, `name-taken`, `root-not-found`, `root-not-ready`, and those of a launch
   */
  async create(input: DefinitionInput, start: boolean | "held", scope: Scope, owner: string | null = null): Promise<Report> {
    const id = newId();
    const definition = completeDefinition(input, `sandbox-${id.slice(-8)}`, scope, this.#room.limits);
    // Where nothing can be launched that is the reason to tell, whatever else is amiss: a root may be missing because of it.
    if (start !== false) await this.#launches.ready();
    const root = definition.root === null ? null : await this.#resolveRoot(definition.root);
    const now = Date.now();
    const row: SandboxRow = {
      id,
      name: definition.name,
      owner,
      rootId: root?.id ?? null,
      rootName: root?.name ?? null,
      definition,
      labels: definition.labels,
      generation: 1,
      state: start === false ? "created" : "starting",
      reason: null,
      message: start === "held" ? "its main process only holds the namespaces" : null,
      since: now,
      exit: null,
      instance: null,
      bootId: null,
      receipt: null,
      createdAt: now,
      startedAt: null,
      stopBy: null,
      schedule: unscheduled,
    };
    const insert = (): SandboxRow => {
      this.#room.persistence.transaction(() => {
        this.#room.quotas.check(row, start === false ? ["sandboxes", "diskBytes"] : sandboxQuotas);
        this.#room.store.insert(row);
        this.#room.events.append("sandbox.created", id, { name: row.name });
        if (start !== false) this.#room.events.append("sandbox.starting", id, { name: row.name });
      });
      return row;
    };
    if (start === false) {
      insert();
      await this.#room.persistence.durable().catch(async (error: Error) => {
        await this.#removals.forget(id).catch(() => {});
        throw error;
      });
      return reportFor(this.#room, row);
    }
    const orderFor = start === "held" ? heldOrderOf : orderOf;
    return reportFor(this.#room, await this.#launches.launch(id, insert, () => this.#removals.forget(id), orderFor));
  }

  get(nameOrId: string): Report {
    return reportFor(this.#room, need(this.#room, nameOrId));
  }

  /** One page, oldest first, and the cursor of the next one. */
  list(filter: SandboxFilter): { items: Report[]; nextCursor: string | null } {
    const rows = this.#room.store.list({ ...filter, limit: filter.limit + 1 });
    const page = rows.slice(0, filter.limit);
    return {
      items: page.map((row) => reportFor(this.#room, row)),
      nextCursor: rows.length > filter.limit ? (page.at(-1)?.id ?? null) : null,
    };
  }

  /** @throws DomainError of `redefine` */
  async patch(nameOrId: string, changes: Redefinition, generation: number | null): Promise<Report> {
    return reportFor(this.#room, await redefine(this.#room, nameOrId, changes, generation));
  }

  /** Starts; whoever comes while a start is under way gets its report, and on a running sandbox the report as it is. */
  async start(nameOrId: string): Promise<Report> {
    const row = need(this.#room, nameOrId);
    const { id } = row;
    const current = this.#launches.current(id);
    if (current !== null) return reportFor(this.#room, await current);
    const outcome = this.#decide(row, "start");
    if (outcome !== "starting") return reportFor(this.#room, row);
    const begin = () => {
      this.#room.quotas.check(need(this.#room, id), ["running", "memoryBytes"]);
      return this.#begin(row, unscheduled);
    };
    return reportFor(this.#room, await this.#launches.launch(id, begin, (error) => this.#fail(id, error)));
  }

  /** Starts one that is due to be started by the daemon. Its lifetime goes on. @throws DomainError of the launch; what follows is scheduled by then */
  async startDue(id: string): Promise<void> {
    await this.underWay(id)?.catch(() => {});
    const row = this.#room.store.get(id);
    if (row === null || row.schedule.restartAt === null || lifecycle[row.state].start.act !== "to") return;
    const restartCount = row.schedule.restartCount + 1;
    const begin = () => {
      const { schedule } = need(this.#room, id);
      if (schedule.restartAt === null) throw new DomainError("state-conflict", "the restart was cancelled");
      return this.#begin(row, { ...schedule, idleAt: null, restartAt: null, restartCount }, { restart: restartCount });
    };
    const undo = (error: Error) => {
      // An attempt that could not even begin is told as one, too.
      const now = this.#room.store.get(id);
      if (now !== null && now.schedule.restartAt !== null) begin();
      return this.#fail(id, error);
    };
    await this.#launches.launch(id, begin, undo);
  }

  /** Ends one whose lifetime is over. */
  async expire(id: string): Promise<void> {
    await this.#launches.current(id)?.catch(() => {});
    await expire(this.#room, this.instances, this.#removals, id);
  }

  async stop(nameOrId: string, graceSeconds: number): Promise<Report> {
    return reportFor(this.#room, await this.#stops.stop(need(this.#room, nameOrId).id, "stop", Math.ceil(graceSeconds * 1000)));
  }

  async kill(nameOrId: string): Promise<Report> {
    return reportFor(this.#room, await this.#stops.stop(need(this.#room, nameOrId).id, "kill", 0));
  }

  /** Makes all processes stand still. On one that is paused, the report as it is. @throws DomainError `state-conflict`, `pause-failed` */
  async pause(nameOrId: string): Promise<Report> {
    return reportFor(this.#room, await setPaused(this.#room, need(this.#room, nameOrId), "pause"));
  }

  /** Lets them go on. On one that runs, the report as it is. @throws DomainError `state-conflict` */
  async resume(nameOrId: string): Promise<Report> {
    return reportFor(this.#room, await setPaused(this.#room, need(this.#room, nameOrId), "resume"));
  }

  /** Stops with grace where it runs, then starts. */
  async restart(nameOrId: string, graceSeconds: number): Promise<Report> {
    const { id } = need(this.#room, nameOrId);
    await this.#stops.stop(id, "stop", Math.ceil(graceSeconds * 1000));
    return this.start(id);
  }

  /** Ends what runs, removes files and row. Accepted in every state; who asks while it is under way gets the same receipt. */
  remove(nameOrId: string): Promise<Receipt> {
    return this.#removals.remove(need(this.#room, nameOrId).id);
  }

  /** Goes on with the deletions that a former daemon began. */
  resumeRemovals(): Promise<void> {
    return this.#removals.resume();
  }

  /** What the last stop or end removed. @throws DomainError `not-found` where nothing has been torn down yet */
  receipt(nameOrId: string): Receipt {
    const { name, receipt } = need(this.#room, nameOrId);
    if (receipt === null)
      throw new DomainError("not-found", `the sandbox "${name}" has no receipt: no run of it has been torn down since its last start`);
    return receipt;
  }

  /** The launch or removal of this sandbox that is under way. */
  underWay(id: string): Promise<unknown> | null {
    return this.#launches.current(id) ?? this.#removals.current(id);
  }

  #begin(row: SandboxRow, schedule: Schedule, data = {}): SandboxRow {
    const nothing = { reason: null, message: null, exit: null, receipt: null, startedAt: null };
    return enter(this.#room, row, "starting", { ...nothing, schedule }, data);
  }

  async #fail(id: string, error: Error): Promise<void> {
    const row = this.#room.store.get(id);
    const outcome = row && lifecycle[row.state]["launch-failed"];
    if (row === null || outcome?.act !== "to") return;
    const changes = { reason: "launch-failed", message: error.message, instance: null, bootId: null };
    enter(this.#room, row, outcome.state, changes, { message: error.message });
    await this.#room.persistence.durable();
  }

  async #resolveRoot(nameOrId: string): Promise<RootReference> {
    try {
      return await this.#room.roots.resolve(nameOrId);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      throw new DomainError(error.code, error.message, {
        faults: [{ pointer: "/root", detail: error.message }],
        members: error.members,
        cause: error,
      });
    }
  }

  #decide(row: SandboxRow, verb: "start"): State {
    if (this.#removals.current(row.id) !== null)
      throw new DomainError("state-conflict", `the sandbox "${row.name}" is being deleted`, { members: { state: row.state } });
    const outcome = lifecycle[row.state][verb];
    if (outcome.act === "refuse") throw new DomainError("state-conflict", outcome.detail, { members: { state: row.state } });
    return outcome.act === "to" ? outcome.state : row.state;
  }
}
