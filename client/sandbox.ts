import type { Diagram, Event, LogRecord, Operations, ProcessExit, Receipt, Sandbox as SandboxReport } from "./api.ts";
import { CommandError, ProblemError } from "./errors.ts";
import { type EventOptions, readEvents } from "./events.ts";
import { Files } from "./files.ts";
import { type CallOptions, type Http, pathOf } from "./http.ts";
import { serverEventsOf } from "./lines.ts";
import { bytesOf, type LogEntry, StreamDecoder, textOf } from "./output.ts";
import { Process, type ProcessEnd, type ProcessInput } from "./process.ts";
import { records, type StreamOptions } from "./streams.ts";
import type { Terminal } from "./terminal.ts";

/** Words to execute, or a text for the root's /bin/sh. */
export type Command = string | readonly string[];
export type SpawnOptions = Omit<ProcessInput, "command" | "script"> & Pick<CallOptions, "signal" | "idempotencyKey">;

export interface RunOptions extends SpawnOptions {
  /** Given to its stdin, which is then closed. */
  input?: string | Uint8Array<ArrayBuffer> | undefined;
  /** Throws a CommandError when it does not exit with 0. */
  check?: boolean | undefined;
}

/** What a command did. An exit code other than 0 is no error. */
export interface RunResult {
  stdout: string;
  stderr: string;
  /** Null when it was killed. */
  code: number | null;
  signal: string | null;
  exit: ProcessExit;
  /** Whether only the end of its output was held. */
  truncated: boolean;
}

export interface LogOptions extends StreamOptions {
  after?: string | undefined;
  tail?: number | undefined;
  since?: Date | undefined;
  process?: string | undefined;
  streams?: readonly ("stdout" | "stderr")[] | undefined;
}

const inputOf = (command: Command): ProcessInput => (typeof command === "string" ? { script: command } : { command: [...command] });
const isGone = (error: unknown): boolean => error instanceof ProblemError && error.code === "sandbox-not-found";

/** One sandbox. Disposal deletes it. */
export class Sandbox implements AsyncDisposable {
  readonly id: string;
  readonly files: Files;
  /** As it was when it was last asked about. */
  report: SandboxReport;
  readonly #http: Http;

  constructor(http: Http, report: SandboxReport) {
    this.#http = http;
    this.id = report.id;
    this.report = report;
    this.files = new Files(http, report.id);
  }

  get name(): string {
    return this.report.name;
  }

  get #path() {
    return { sandbox: this.id };
  }

  async refresh(options?: CallOptions): Promise<SandboxReport> {
    return this.#told(this.#http.call("getSandbox", { path: this.#path }, options));
  }

  start(options?: CallOptions): Promise<SandboxReport> {
    return this.#told(this.#http.call("startSandbox", { path: this.#path }, options));
  }

  pause(options?: CallOptions): Promise<SandboxReport> {
    return this.#told(this.#http.call("pauseSandbox", { path: this.#path }, options));
  }

  resume(options?: CallOptions): Promise<SandboxReport> {
    return this.#told(this.#http.call("resumeSandbox", { path: this.#path }, options));
  }

  /** @param options `graceSeconds` between TERM and KILL, 10 by default */
  stop(options: CallOptions & { graceSeconds?: number } = {}): Promise<SandboxReport> {
    const { graceSeconds = 10, ...call } = options;
    const timeoutSeconds = graceSeconds + (options.timeoutSeconds ?? 30);
    return this.#ended("stopSandbox", graceSeconds, { ...call, timeoutSeconds });
  }

  kill(options?: CallOptions): Promise<Operations["killSandbox"]["reply"]> {
    return this.#http.call("killSandbox", { path: this.#path }, options);
  }

  restart(options: CallOptions & { graceSeconds?: number } = {}): Promise<SandboxReport> {
    const { graceSeconds = 10, ...call } = options;
    const timeoutSeconds = graceSeconds + (options.timeoutSeconds ?? 30);
    return this.#ended("restartSandbox", graceSeconds, { ...call, timeoutSeconds });
  }

  /** Changes name, labels or limits. */
  patch(changes: Operations["patchSandbox"]["body"], options?: CallOptions): Promise<SandboxReport> {
    return this.#told(this.#http.call("patchSandbox", { path: this.#path, body: changes }, options));
  }

  /** Ends what runs and removes it; gives what was removed, or null where it was gone already. */
  async delete(options?: CallOptions): Promise<Receipt | null> {
    try {
      return (await this.#http.call("deleteSandbox", { path: this.#path, query: {} }, options)) as Receipt;
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
  }

  /** Runs a command to its end. @throws CommandError with `check`, ProblemError such as `command-not-found` */
  async run(command: Command, options: RunOptions = {}): Promise<RunResult> {
    const { input, check = false, ...rest } = options;
    const process = await this.spawn(command, input === undefined ? rest : { ...rest, stdin: true });
    const call = { signal: options.signal };
    if (input !== undefined) await process.write(input, { ...call, close: true }).catch(unlessEnded);
    const result = resultOf(await process.end(call));
    if (check && result.code !== 0) throw new CommandError(typeof command === "string" ? command : command.join(" "), result);
    return result;
  }

  /** Starts a command; resolves when it executes. It goes on without its client. */
  async spawn(command: Command, options: SpawnOptions = {}): Promise<Process> {
    const { signal, idempotencyKey, ...input } = options;
    const report = await this.#http.call(
      "startProcess",
      { path: this.#path, body: { ...input, ...inputOf(command) } },
      { signal, idempotencyKey },
    );
    return new Process(this.#http, this.id, report.id, report);
  }

  /** A process by its id; `main` is the main process. */
  process(id = "main"): Process {
    return new Process(this.#http, this.id, id);
  }

  async processes(options?: CallOptions): Promise<Operations["listProcesses"]["reply"]> {
    return this.#http.call("listProcesses", { path: this.#path, query: { all: true, limit: 1000 } }, options);
  }

  /** Starts a command with a terminal and opens that. */
  async terminal(command: Command = ["/bin/bash"], options: SpawnOptions & { rows?: number; columns?: number } = {}): Promise<Terminal> {
    const { rows = 24, columns = 80, ...rest } = options;
    const process = await this.spawn(command, { ...rest, tty: true });
    await process.resize(rows, columns, { signal: options.signal }).catch(unlessEnded);
    return process.terminal({ signal: options.signal });
  }

  /** Its namespaces: inode, the host's own beside it, and whether it is isolated. Null unless it runs. */
  async namespaces(options?: CallOptions): Promise<SandboxReport["namespaces"]> {
    return (await this.#http.call("getSandboxNamespaces", { path: this.#path }, options)).namespaces;
  }

  receipt(options?: CallOptions): Promise<Receipt> {
    return this.#http.call("getSandboxReceipt", { path: this.#path }, options);
  }

  stats(options?: CallOptions): Promise<Operations["getSandboxStats"]["reply"]> {
    return this.#http.call("getSandboxStats", { path: this.#path }, options);
  }

  /** What it uses, once a second, until it runs no more. */
  async *watchStats(options: CallOptions = {}): AsyncGenerator<Operations["getSandboxStats"]["reply"], void> {
    const response = await this.#http.open(pathOf("getSandboxStats", this.#path, { stream: true }), options);
    for await (const { name, data } of serverEventsOf(response))
      if (name === "stats") yield JSON.parse(data) as Operations["getSandboxStats"]["reply"];
  }

  /** What all its processes wrote, in order; ends when it runs no more. */
  async *logs(options: LogOptions = {}): AsyncGenerator<LogEntry, void> {
    const decoder = new StreamDecoder();
    const query: Record<string, unknown> = {
      tail: options.tail,
      since: options.since?.toISOString(),
      process: options.process,
      stream: options.streams?.join(","),
    };
    const source = {
      what: "logs",
      path: pathOf("readLogs", this.#path),
      query,
      after: options.after,
      positionOf: ({ id }: LogRecord) => {
        // Only the first connection begins at the tail.
        query["tail"] = undefined;
        return id;
      },
      before: (first: number | string) => first,
      isLast: () => false,
      isOver: () => this.#isOver(),
    };
    for await (const record of records<LogRecord>(this.#http, source, options)) {
      const { id = "", process = "", seq = 0, time = "", stream = null, exit = null } = record;
      const bytes = bytesOf(record);
      yield { id, process, seq, time, stream, bytes, text: decoder.decode(`${process} ${stream}`, bytes), exit };
    }
  }

  events(options: EventOptions = {}): AsyncGenerator<Event, void> {
    return readEvents(this.#http, { ...options, sandbox: this.id });
  }

  /** The model of its diagram. */
  async diagram(options?: CallOptions): Promise<Diagram> {
    return (await this.#http.call("getSandboxDiagram", { path: this.#path, query: { format: "json" } }, options)) as Diagram;
  }

  /** Resolves with the report once it is in that state, or in one that it does not leave by itself. */
  async reaches(state: SandboxReport["status"]["state"], options: CallOptions = {}): Promise<SandboxReport> {
    for await (const _ of this.events({ signal: options.signal })) {
      const { status } = await this.refresh(options);
      if (status.state === state || status.state === "failed") break;
    }
    return this.report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.delete();
  }

  async #isOver(): Promise<boolean | "gone"> {
    try {
      return !["starting", "running", "paused", "stopping"].includes((await this.refresh()).status.state);
    } catch (error) {
      if (isGone(error)) return "gone";
      throw error;
    }
  }

  /** Without `wait` these answer the report, however long that takes. */
  #ended(operation: "stopSandbox" | "restartSandbox", graceSeconds: number, options: CallOptions): Promise<SandboxReport> {
    const reply = this.#http.call(operation, { path: this.#path, query: {}, body: { graceSeconds } }, options);
    return this.#told(reply as Promise<SandboxReport>);
  }

  async #told(report: Promise<SandboxReport>): Promise<SandboxReport> {
    this.report = await report;
    return this.report;
  }
}

/** What is sent to a process may find it ended: how, is told by its exit. */
const unlessEnded = (error: unknown): void => {
  if (!(error instanceof ProblemError) || !["stdin-closed", "state-conflict"].includes(error.code)) throw error;
};

const resultOf = ({ exit, output }: ProcessEnd): RunResult => ({
  stdout: output === undefined ? "" : textOf(output.stdout),
  stderr: output === undefined ? "" : textOf(output.stderr),
  code: exit.code,
  signal: exit.signal,
  exit,
  truncated: output === undefined || output.droppedBytes !== 0 || output.stdout.truncated || output.stderr.truncated,
});
