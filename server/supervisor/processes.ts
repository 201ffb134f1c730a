import { constants } from "node:os";
import { DomainError } from "../domain/errors.ts";
import {
  type ExecOrder,
  type OutputChunk,
  OutputDroppedError,
  type OutputRecord,
  type OutputRequest,
  type ProcessSupervisors,
  type StartedProcess,
} from "../domain/process.ts";
import { type Connection, RefusedError } from "./connection.ts";
import { Fields } from "./fields.ts";
import { bit, launchFailure } from "./launch.ts";
import { type Field, type Message, ProtocolError } from "./protocol.ts";
import type { SupervisorClients } from "./supervisors.ts";

const replyMilliseconds = 10_000;
/** Beyond the 20 s in which the supervisor gives a start up by itself. */
const startMilliseconds = 25_000;
/** A request that waits for output. What several readers get is given back by none of them. */
interface Wait {
  chunk: Promise<OutputChunk>;
  isShared: boolean;
}

/** What is asked of a supervisor for one process, over the connection that its sandbox's events come on. */
export class ProcessClients implements ProcessSupervisors {
  readonly #supervisors: Pick<SupervisorClients, "connection">;
  /**
   * Requests that wait for output, by what they wait for. All who read the same process to its end wait with one request, and one who
   * comes after a reader that went away takes over the request that it left.
   */
  readonly #waits = new Map<string, Wait>();

  constructor(supervisors: Pick<SupervisorClients, "connection">) {
    this.#supervisors = supervisors;
  }

  async exec(sandboxId: string, order: ExecOrder): Promise<StartedProcess> {
    const started = await this.#ask(sandboxId, order.process, (connection) =>
      connection.request("EXEC", execFields(order), "STARTED", startMilliseconds),
    );
    const fields = new Fields(started);
    return {
      pid: fields.number("pid"),
      pidInside: fields.number("pid-inside"),
      startTicks: fields.number("start-ticks"),
      startedAt: fields.number("started-at"),
    };
  }

  async signal(sandboxId: string, process: string, signal: number, group: boolean): Promise<void> {
    const fields: Field[] = [
      ["process", process],
      ["signal", String(signal)],
      ["group", bit(group)],
    ];
    await this.#ask(sandboxId, process, (connection) => connection.request("SIGNAL", fields, "DONE", replyMilliseconds));
  }

  async input(sandboxId: string, process: string, bytes: Buffer, close: boolean): Promise<void> {
    const fields: Field[] = [
      ["process", process],
      ["close", bit(close)],
    ];
    await this.#ask(sandboxId, process, (connection) => connection.request("INPUT", fields, "DONE", null, bytes));
  }

  async resize(sandboxId: string, process: string, rows: number, columns: number): Promise<void> {
    const fields: Field[] = [
      ["process", process],
      ["rows", String(rows)],
      ["columns", String(columns)],
    ];
    await this.#ask(sandboxId, process, (connection) => connection.request("RESIZE", fields, "DONE", replyMilliseconds));
  }

  output(sandboxId: string, process: string, request: OutputRequest): Promise<OutputChunk> {
    if (!request.wait) return this.#output(sandboxId, process, request);
    const key = `${sandboxId} ${process} ${request.after}`;
    const begun = this.#waits.get(key);
    if (begun !== undefined) {
      begun.isShared = true;
      return begun.chunk;
    }
    const one = (chunk: OutputChunk): OutputChunk => ({ ...chunk, release: () => wait.isShared || chunk.release() });
    const chunk = this.#output(sandboxId, process, request)
      .then(one)
      .finally(() => this.#waits.delete(key));
    // Whoever asked may be gone when it fails.
    chunk.catch(() => {});
    const wait: Wait = { chunk, isShared: false };
    this.#waits.set(key, wait);
    return chunk;
  }

  async #output(sandboxId: string, process: string, { after, maxBytes, wait }: OutputRequest): Promise<OutputChunk> {
    const fields: Field[] = [
      ["process", process],
      ["after", after === "held" ? "0" : String(after)],
      ["held", bit(after === "held")],
      ["max-bytes", String(maxBytes)],
      ["wait", bit(wait)],
    ];
    const timeout = wait ? null : replyMilliseconds;
    return chunkOf(await this.#ask(sandboxId, process, (connection) => connection.request("OUTPUT", fields, "RECORDS", timeout)));
  }

  async #ask(sandboxId: string, process: string, request: (connection: Connection) => Promise<Message>): Promise<Message> {
    const connection = await this.#supervisors.connection(sandboxId);
    try {
      return await request(connection);
    } catch (error) {
      throw failureOf(error, sandboxId, process);
    }
  }
}

const execFields = (order: ExecOrder): Field[] => [
  ["process", order.process],
  ...order.command.map((argument): Field => ["arg", argument]),
  ...order.env.map((variable): Field => ["env", variable]),
  ["cwd", order.cwd],
  ["uid", String(order.uid)],
  ["gid", String(order.gid)],
  ["tty", bit(order.tty)],
  ["stdin", bit(order.stdin)],
  ["timeout-ms", String(order.timeoutMilliseconds)],
  ["output-bytes", String(order.outputBytes)],
];

/** What there is no more of by the sandbox's own limits: the pids limit of its cgroup (clone(2)), `max` of its devpts (/dev/pts/ptmx). */
const limited: Readonly<Record<string, string>> = {
  [`limits ${constants.errno.EAGAIN}`]: "processes",
  [`terminal ${constants.errno.ENOSPC}`]: "terminals",
};

/** What a refusal of the supervisor's means in the domain's words. */
const failureOf = (error: unknown, sandboxId: string, process: string): Error => {
  if (!(error instanceof RefusedError))
    return new DomainError("launcher-unavailable", `the supervisor of ${sandboxId} gave no answer: ${(error as Error).message}`, {
      cause: error,
    });
  const { code, fields } = error;
  if (code === "dropped") return new OutputDroppedError(fields.number("first"));
  if (code === "not-found") return new DomainError("process-not-found", `the sandbox has no process "${process}"`, { cause: error });
  if (code === "ended") return new DomainError("state-conflict", error.message, { members: { state: "ended" }, cause: error });
  if (code === "closed") return new DomainError("stdin-closed", "the process takes no input", { cause: error });
  if (code === "no-terminal") return new DomainError("no-terminal", error.message, { cause: error });
  if (code === "busy") return new DomainError("process-limit", error.message, { cause: error });
  const errno = fields.numberOr("errno", 0);
  const what = limited[`${fields.optional("layer")} ${errno}`];
  if (code === "launch-failed" && what !== undefined)
    return new DomainError("process-limit", `the sandbox has as many ${what} as it may: ${error.message}`, {
      members: { errno },
      cause: error,
    });
  return code === "launch-failed" ? launchFailure(error) : error;
};

/** The records of RECORDS, each with its part of the payload. @throws ProtocolError */
const chunkOf = (message: Message): OutputChunk => {
  const fields = new Fields(message);
  const payload = message.payload ?? Buffer.alloc(0);
  const records: OutputRecord[] = [];
  let start = 0;
  for (const [key, value] of message.fields) {
    if (key !== "record") continue;
    const [seq = "", stream, time = "", length = ""] = value.split(" ");
    const bytes = payload.subarray(start, start + Number(length));
    start += Number(length);
    if (!/^\d{1,15}$/.test(seq) || !/^\d{1,16}$/.test(time) || (stream !== "1" && stream !== "2") || bytes.length !== Number(length))
      throw new ProtocolError(`a record that cannot be read: ${value.slice(0, 80)}`);
    records.push({ seq: Number(seq), stream: stream === "1" ? "stdout" : "stderr", time: Number(time), bytes });
  }
  return {
    records,
    first: fields.number("first"),
    next: fields.number("next"),
    ended: fields.text("ended") === "1",
    droppedBytes: fields.number("dropped-bytes"),
    release: message.release,
  };
};
