import type { RawData, WebSocket } from "ws";
import { DomainError } from "../domain/errors.ts";
import type { OutputPiece } from "../domain/process-reading.ts";
import type { Processes } from "../domain/processes.ts";
import { exitReport } from "../domain/reports.ts";
import { problemOf, refusalOf } from "./problems.ts";
import { type TerminalControl, terminalControlOf } from "./terminal-controls.ts";

/** Output is not pulled, and nothing read of the viewer, while so much waits to be sent to it. */
const queueBytes = 1_048_576;
const pingMilliseconds = 20_000;
/** A viewer that has not answered for so long is gone. */
const silenceMilliseconds = 60_000;
/** How long the viewer's part of an orderly close is waited for. */
const closeMilliseconds = 1_000;

export interface TerminalTarget {
  sandbox: string;
  process: string;
  after: number | "held";
  /** What a problem names as its instance. */
  path: string;
}

/** One viewer of a terminal: bytes both ways in binary frames, control as JSON in text frames. Its end is not that of the process. */
export class TerminalSession {
  readonly #socket: WebSocket;
  readonly #processes: Processes;
  readonly #target: TerminalTarget;
  readonly #gone = new AbortController();
  #input: Promise<void> = Promise.resolve();
  #holds = 0;
  #heardAt = performance.now();

  constructor(socket: WebSocket, processes: Processes, target: TerminalTarget) {
    this.#socket = socket;
    this.#processes = processes;
    this.#target = target;
  }

  /** Resolves when the viewer is gone, the process has ended, or the daemon shuts down. */
  async run(): Promise<void> {
    const socket = this.#socket;
    socket.on("close", () => this.#gone.abort());
    socket.on("pong", () => this.#hear());
    socket.on("message", (data, isBinary) => (isBinary ? this.#takeInput(bytesOf(data)) : this.#control(bytesOf(data).toString("utf8"))));
    const timer = setInterval(() => this.#ping(), pingMilliseconds);
    try {
      await this.#show();
    } catch (error) {
      this.#fail(error);
      this.#close(1011, "the output cannot be read");
    } finally {
      clearInterval(timer);
    }
  }

  async #show(): Promise<void> {
    const { sandbox, process, after } = this.#target;
    const options = { after, follow: true, streams: ["stdout", "stderr"] as const, overGaps: true };
    for await (const piece of await this.#processes.outputs.open(sandbox, process, options, this.#gone.signal)) {
      await this.#send(piece);
      if (piece.kind === "exit") return this.#close(1000, "the process ended");
      if (piece.kind === "gap" && piece.first === null) return this.#close(1001, "the sandbox ended");
    }
    this.#close(1001, "the daemon shuts down");
  }

  async #send(piece: OutputPiece): Promise<void> {
    if (piece.kind === "exit") return this.#tell({ type: "exit", exit: piece.exit && exitReport(piece.exit) });
    if (piece.kind === "gap") return this.#tell({ type: "gap", first: piece.first });
    const bytes = Buffer.concat(piece.records.map((record) => record.bytes));
    piece.release();
    // Called back when the socket has taken it, or is closed.
    const sent = new Promise<void>((resolve) => this.#socket.send(bytes, { binary: true }, () => resolve()));
    if (this.#socket.bufferedAmount > queueBytes) await sent;
  }

  #takeInput(bytes: Buffer): void {
    const { sandbox, process } = this.#target;
    this.#input = this.#input.then(() => this.#processes.type(sandbox, process, bytes)).catch((error: unknown) => this.#fail(error));
    this.#hold(this.#input);
  }

  #control(text: string): void {
    const work = async () => this.#obey(terminalControlOf(text));
    this.#hold(work().catch((error: unknown) => this.#fail(error)));
  }

  /** The next frames stay in the socket until this is done, so that nothing piles up here. */
  #hold(work: Promise<void>): void {
    this.#socket.pause();
    this.#holds += 1;
    void work.finally(() => {
      this.#holds -= 1;
      if (this.#holds > 0 || this.#gone.signal.aborted) return;
      this.#hear();
      this.#socket.resume();
    });
  }

  async #obey(control: TerminalControl): Promise<void> {
    const { sandbox, process } = this.#target;
    if (control.type === "resize") await this.#processes.resize(sandbox, process, control.rows, control.columns);
    else await this.#processes.signal(sandbox, process, control.signal, control.group ?? false);
  }

  /** Who does not read answers is not read, either. */
  #tell(message: object): void {
    const sent = new Promise<void>((resolve) => this.#socket.send(JSON.stringify(message), () => resolve()));
    if (this.#socket.bufferedAmount > queueBytes) this.#hold(sent);
  }

  #fail(error: unknown): void {
    if (this.#gone.signal.aborted) return;
    const refusal = refusalOf(error) ?? new DomainError("internal", "an unexpected failure");
    this.#tell({ type: "error", problem: problemOf(refusal, this.#target.path) });
  }

  #hear(): void {
    this.#heardAt = performance.now();
  }

  #ping(): void {
    // While what it sent is worked on, nothing is read of the viewer, its answers neither.
    if (this.#holds > 0) return;
    if (performance.now() - this.#heardAt > silenceMilliseconds) this.#socket.terminate();
    else this.#socket.ping();
  }

  #close(code: number, reason: string): void {
    this.#socket.close(code, reason);
    setTimeout(() => this.#socket.terminate(), closeMilliseconds).unref();
  }
}

const bytesOf = (data: RawData): Buffer => (Array.isArray(data) ? Buffer.concat(data) : Buffer.isBuffer(data) ? data : Buffer.from(data));
