import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DomainError } from "../domain/errors.ts";
import type {
  Attached,
  DiskMechanism,
  DiskUse,
  InstanceState,
  LiveLimits,
  RemovedFiles,
  SupervisorListener,
  Supervisors,
} from "../domain/instance-ports.ts";
import type { Logger } from "../domain/ports.ts";
import { Connection, ConnectionLostError, RefusedError } from "./connection.ts";
import { Fields } from "./fields.ts";
import { limitFields } from "./launch.ts";
import type { Field, Message } from "./protocol.ts";
import { exitOf, goneOf, instanceOf, processExitOf, reportedProcessOf } from "./replies.ts";

const replyMilliseconds = 10_000;
/** How long the end of a supervisor that was released is waited for: the kernel closes the connection when the memory of the process is gone. */
const endMilliseconds = 1_000;
/** A tree may be large. */
const removeMilliseconds = 60_000;

interface Attachment {
  connection: Connection;
  startedAt: number;
  /** Set when the end of the connection is expected, so that it is not taken for a loss. */
  over: boolean;
}

/** One connection for each sandbox that runs: RUN_DIR/sandboxes/ID.sock. */
export class SupervisorClients implements Supervisors {
  readonly #directory: string;
  readonly #log: Logger;
  readonly #attachments = new Map<string, Attachment>();
  readonly #attaching = new Map<string, Promise<Attached>>();
  #listener: SupervisorListener | null = null;
  #closed = false;

  constructor(runDir: string, log: Logger) {
    this.#directory = join(runDir, "sandboxes");
    this.#log = log;
  }

  listen(listener: SupervisorListener): void {
    this.#listener = listener;
  }

  async sockets(): Promise<string[]> {
    try {
      const files = await readdir(this.#directory);
      return files.filter((file) => /^[0-9a-z]{1,64}\.sock$/.test(file)).map((file) => file.slice(0, -5));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  }

  attach(id: string): Promise<Attached> {
    let attaching = this.#attaching.get(id);
    if (attaching === undefined) {
      attaching = this.#attach(id).finally(() => this.#attaching.delete(id));
      this.#attaching.set(id, attaching);
    }
    return attaching;
  }

  async stop(id: string, graceMilliseconds: number): Promise<void> {
    const { connection } = await this.#attachment(id);
    try {
      await connection.request("STOP", [["grace-ms", String(graceMilliseconds)]], "DONE", replyMilliseconds);
    } catch (error) {
      // Already ended: EXITED and GONE are on their way.
      if (error instanceof RefusedError && error.code === "ended") return;
      throw unavailable(id, error);
    }
  }

  async freeze(id: string, frozen: boolean): Promise<void> {
    const connection = await this.connection(id);
    try {
      await connection.request("FREEZE", [["frozen", frozen ? "1" : "0"]], "DONE", replyMilliseconds);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw unavailable(id, error);
      if (error.code === "ended") throw new DomainError("state-conflict", "the sandbox is ending", { members: { state: "stopping" } });
      throw new DomainError("pause-failed", `not all of it could be made to stand still: ${error.message}`, { cause: error });
    }
  }

  async limit(id: string, limits: LiveLimits): Promise<void> {
    const connection = await this.connection(id);
    try {
      await connection.request("LIMIT", limitFields(limits), "DONE", replyMilliseconds);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw unavailable(id, error);
      if (error.code === "ended") throw new DomainError("state-conflict", "the sandbox is ending", { members: { state: "stopping" } });
      throw new DomainError("limit-in-use", `the limits stay as they were: ${error.message}`, { cause: error });
    }
  }

  async disk(id: string): Promise<DiskUse | null> {
    const connection = await this.connection(id);
    try {
      const fields = new Fields(await connection.request("USAGE", [], "USED", replyMilliseconds));
      if (fields.optional("disk-used-bytes") === undefined) return null;
      return {
        mechanism: fields.text("disk-mechanism") as DiskMechanism,
        limitBytes: fields.number("disk-bytes"),
        usedBytes: fields.number("disk-used-bytes"),
        availableBytes: fields.number("disk-available-bytes"),
      };
    } catch (error) {
      // An older supervisor, or one that is ending.
      if (error instanceof RefusedError) return null;
      throw unavailable(id, error);
    }
  }

  async release(id: string): Promise<void> {
    await this.#release(id, [], replyMilliseconds);
  }

  async releaseAndRemove(id: string): Promise<RemovedFiles | null> {
    const done = await this.#release(id, [["remove", "1"]], removeMilliseconds);
    if (done === null) return null;
    const fields = new Fields(done);
    return { files: fields.number("files"), bytes: fields.number("bytes") };
  }

  async discard(id: string): Promise<void> {
    const path = join(this.#directory, `${id}.sock`);
    try {
      (await Connection.open(path)).close();
    } catch (error) {
      if (error instanceof ConnectionLostError && error.errno === "ECONNREFUSED") await rm(path, { force: true });
    }
  }

  close(): void {
    this.#closed = true;
    for (const { connection } of this.#attachments.values()) connection.close();
  }

  /** The connection to the supervisor of this sandbox, made where there is none. @throws DomainError `launcher-unavailable` */
  async connection(id: string): Promise<Connection> {
    return (await this.#attachment(id)).connection;
  }

  /** What it answers, once its process has ended; null when it went before it answered. */
  async #release(id: string, order: readonly Field[], milliseconds: number): Promise<Message | null> {
    const attachment = await this.#attachment(id);
    attachment.over = true;
    try {
      const done = await attachment.connection.request("RELEASE", order, "DONE", milliseconds);
      await attachment.connection.closed(endMilliseconds);
      return done;
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw unavailable(id, error);
      return null;
    } finally {
      attachment.connection.close();
    }
  }

  async #attachment(id: string): Promise<Attachment> {
    const found = this.#attachments.get(id);
    if (found !== undefined) return found;
    const { exit, gone, processes } = await this.attach(id);
    // What happened while nobody was connected is news.
    this.#listener?.processesFound(id, processes);
    if (exit !== null) this.#listener?.exited(id, exit);
    if (gone !== null) this.#listener?.gone(id, gone);
    const made = this.#attachments.get(id);
    if (made === undefined) throw unavailable(id, new Error("the connection ended at once"));
    return made;
  }

  async #attach(id: string): Promise<Attached> {
    const former = this.#attachments.get(id);
    if (former !== undefined) {
      former.over = true;
      former.connection.close();
      this.#attachments.delete(id);
    }
    let connection: Connection;
    try {
      connection = await Connection.open(join(this.#directory, `${id}.sock`));
    } catch (error) {
      throw unavailable(id, error);
    }
    const attachment: Attachment = { connection, startedAt: 0, over: false };
    // Events may arrive in the same chunk as the reply; they wait until what the reply says has been taken in.
    const early: Message[] = [];
    connection.onEvent = (message) => early.push(message);
    try {
      const report = await connection.request("ATTACH", [], "REPORT", replyMilliseconds);
      const attached = attachedOf(report);
      attachment.startedAt = attached.instance.startedAt;
      this.#attachments.set(id, attachment);
      connection.onClose = (error) => this.#closing(id, attachment, error);
      setImmediate(() => {
        connection.onEvent = (message) => this.#event(id, attachment, message);
        try {
          for (const message of early) this.#event(id, attachment, message);
        } catch {
          connection.close();
        }
      });
      return attached;
    } catch (error) {
      connection.close();
      throw unavailable(id, error);
    }
  }

  #event(id: string, attachment: Attachment, message: Message): void {
    if (message.name === "EXITED") this.#listener?.exited(id, exitOf(message, attachment.startedAt));
    else if (message.name === "GONE") this.#listener?.gone(id, goneOf(message));
    else if (message.name === "PROCESS-EXITED") this.#listener?.processExited(id, nameOf(message), processExitOf(message, 0));
    else if (message.name === "FORGOTTEN") this.#listener?.processForgotten(id, nameOf(message));
  }

  #closing(id: string, attachment: Attachment, error: Error): void {
    if (this.#attachments.get(id) === attachment) this.#attachments.delete(id);
    if (attachment.over || this.#closed) return;
    this.#log.warn({ sandbox: id, err: error }, "the connection to a supervisor ended");
    this.#listener?.lost(id, error.message);
  }
}

const attachedOf = (report: Message): Attached => {
  const fields = new Fields(report);
  const instance = instanceOf(report);
  const state = fields.text("state") as InstanceState;
  const ended = state !== "running";
  const processes = fields
    .repeated("process")
    .map(reportedProcessOf)
    .filter(({ id }) => id !== "main");
  const exit = ended ? exitOf(report, instance.startedAt) : null;
  return {
    instance,
    state,
    exit,
    gone: state === "gone" ? goneOf(report) : null,
    limits: {
      memoryBytes: fields.number("memory-bytes"),
      cpuQuotaMicroseconds: fields.number("cpu-quota-us"),
      cpuWeight: fields.number("cpu-weight"),
      pids: fields.number("pids"),
      openFiles: fields.number("open-files"),
      diskBytes: fields.number("disk-bytes"),
    },
    frozen: fields.optional("frozen") === "1",
    hold: fields.optional("hold") === "1",
    processes,
  };
};

const nameOf = (message: Message): string => new Fields(message).text("process");

const unavailable = (id: string, error: unknown): DomainError =>
  new DomainError("launcher-unavailable", `the supervisor of ${id} gave no answer: ${(error as Error).message}`, { cause: error });
