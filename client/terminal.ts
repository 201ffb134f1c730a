import type { Problem, ProcessExit } from "./api.ts";
import { ConnectionError, ProblemError } from "./errors.ts";
import { type Http, pathOf } from "./http.ts";
import type { Process } from "./process.ts";
import type { WireSocket } from "./transport.ts";

const subprotocol = "unshared.terminal.v1";
const openMilliseconds = 30_000;
const isOpen = 1;

export interface TerminalOptions {
  signal?: AbortSignal | undefined;
  /** The record of output after which it begins; what is held by default. */
  after?: number | "held" | undefined;
}

/** How a terminal was left: the process ended, or the connection did. */
export interface TerminalEnd {
  /** Null where its end was not seen: the viewer left, the sandbox ended, or the daemon did. */
  exit: (Pick<ProcessExit, "code" | "signal"> & { reason: string }) | null;
  /** As the WebSocket was closed (RFC 6455, section 7.4); 1000 when the process ended. */
  closeCode: number;
}

type Message = { type: "exit"; exit: TerminalEnd["exit"] } | { type: "error"; problem: Problem } | { type: "gap"; first: number | null };

/** One viewer of a process's terminal. Iterate over it for the bytes that the process writes. */
export class Terminal implements AsyncIterable<Uint8Array<ArrayBuffer>>, AsyncDisposable {
  readonly process: Process;
  /** Resolves when the connection is closed, by whomever. */
  readonly ended: Promise<TerminalEnd>;
  /** Told what could not be done of that which was sent; nobody by default. */
  onProblem: (error: ProblemError) => void = () => {};
  readonly #socket: WireSocket;
  readonly #pieces: Uint8Array<ArrayBuffer>[] = [];
  #wake = () => {};
  #isClosed = false;
  #exit: TerminalEnd["exit"] = null;

  constructor(process: Process, socket: WireSocket) {
    this.process = process;
    this.#socket = socket;
    socket.addEventListener("message", ({ data }: { data: ArrayBuffer | string }) => this.#take(data));
    this.ended = new Promise((resolve) => {
      socket.addEventListener("close", ({ code }: { code: number }) => {
        this.#isClosed = true;
        this.#wake();
        resolve({ exit: this.#exit, closeCode: code });
      });
    });
  }

  /** Types. */
  write(data: string | Uint8Array<ArrayBuffer>): void {
    this.#send(typeof data === "string" ? new TextEncoder().encode(data) : data);
  }

  resize(rows: number, columns: number): void {
    this.#send(JSON.stringify({ type: "resize", rows, columns }));
  }

  signal(signal: string | number, group = false): void {
    this.#send(JSON.stringify({ type: "signal", signal, group }));
  }

  /** Leaves; the process goes on. */
  close(): void {
    this.#socket.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) yield piece;
      else if (this.#isClosed) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.ended;
  }

  #send(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.#socket.readyState === isOpen) this.#socket.send(data);
  }

  #take(data: ArrayBuffer | string): void {
    if (typeof data !== "string") this.#pieces.push(new Uint8Array(data));
    else {
      const message = JSON.parse(data) as Message;
      if (message.type === "exit") this.#exit = message.exit;
      if (message.type === "error") this.onProblem(new ProblemError(message.problem));
    }
    this.#wake();
  }
}

/** Opens the terminal of a process. @throws ProblemError such as `no-terminal`, ConnectionError, the signal's reason */
export const attach = async (http: Http, process: Process, options: TerminalOptions = {}): Promise<Terminal> => {
  options.signal?.throwIfAborted();
  const path = pathOf("attachTerminal", { sandbox: process.sandbox, process: process.id }, { after: options.after });
  const socket = await http.socket(path, subprotocol);
  socket.binaryType = "arraybuffer";
  const terminal = new Terminal(process, socket);
  try {
    await opened(socket, options.signal);
  } catch (error) {
    socket.close();
    options.signal?.throwIfAborted();
    // A WebSocket does not say why a handshake was refused; the same path without one answers the same problem, or that it is one.
    const refusal = await http.text(path, { repeatable: false }).catch((reason: unknown) => reason);
    if (refusal instanceof ProblemError && refusal.code !== "upgrade-required") throw refusal;
    throw error;
  }
  options.signal?.addEventListener("abort", () => socket.close(), { once: true });
  return terminal;
};

const opened = (socket: WireSocket, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new ConnectionError(`the terminal cannot be opened: ${why}`));
    const timer = setTimeout(() => fail("no answer"), openMilliseconds);
    socket.addEventListener("open", () => {
      clearTimeout(timer);
      resolve();
    });
    socket.addEventListener("error", ({ message = "the connection failed" }: { message?: string }) => fail(message));
    socket.addEventListener("close", () => {
      clearTimeout(timer);
      fail("it was closed");
    });
    signal?.addEventListener("abort", () => fail("aborted"), { once: true });
  });
