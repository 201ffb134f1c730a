import type { Operations, OutputRecord, ProcessExit, Process as ProcessReport } from "./api.ts";
import { GapError } from "./errors.ts";
import { type CallOptions, type Http, pathOf } from "./http.ts";
import { bytesOf, type OutputChunk, type OutputEnd, StreamDecoder } from "./output.ts";
import { records, type StreamOptions } from "./streams.ts";
import { attach, type Terminal, type TerminalOptions } from "./terminal.ts";

/** Seconds that one request waits for the end of a process; then it asks again. */
const waitSeconds = 60;

export type ProcessInput = Operations["startProcess"]["body"];

/** The report on a process that has ended. */
export type ProcessEnd = Operations["getProcess"]["reply"] & { exit: ProcessExit };

export interface OutputOptions extends StreamOptions {
  /** The last record already seen; `held`: from the first that is held. 0 by default. */
  after?: number | "held" | undefined;
  streams?: readonly ("stdout" | "stderr")[] | undefined;
}

/** A command in a sandbox; `main` is the main process. Leaving it alone ends nothing: it goes on without its client. */
export class Process implements AsyncDisposable {
  readonly sandbox: string;
  readonly id: string;
  /** As it was when it was last asked about; null if it was not yet. */
  report: ProcessReport | null;
  readonly #http: Http;

  constructor(http: Http, sandbox: string, id: string, report: ProcessReport | null = null) {
    this.#http = http;
    this.sandbox = sandbox;
    this.id = id;
    this.report = report;
  }

  get #path() {
    return { sandbox: this.sandbox, process: this.id };
  }

  async refresh(options?: CallOptions): Promise<ProcessReport> {
    this.report = await this.#http.call("getProcess", { path: this.#path }, options);
    return this.report;
  }

  /**
   * What it writes, as it comes; the last record has the `exit`. Goes on by itself when the connection breaks.
   * @throws GapError where output was dropped, as the sandbox keeps only its last `outputBytes`
   */
  async *output(options: OutputOptions = {}): AsyncGenerator<OutputChunk | OutputEnd, void> {
    const decoder = new StreamDecoder();
    const source = {
      what: "output",
      path: pathOf("readOutput", this.#path),
      query: { stream: options.streams?.join(",") },
      after: options.after,
      positionOf: (record: OutputRecord) => record.seq,
      before: (first: number | string) => Number(first) - 1,
      isLast: (record: OutputRecord) => record.exit !== undefined,
      isOver: async () => false,
    };
    for await (const record of records<OutputRecord>(this.#http, source, options)) {
      const { seq = 0, time = "", stream = "stdout", exit } = record;
      if (exit !== undefined) yield { seq, exit: exit as OutputEnd["exit"] };
      else {
        const bytes = bytesOf(record);
        yield { seq, stream, time, bytes, text: decoder.decode(stream, bytes) };
      }
    }
  }

  /** Waits for its end, however long that takes. @throws ProblemError `process-lost` when nobody will know how it ended */
  async wait(options?: CallOptions): Promise<ProcessExit> {
    return (await this.end(options)).exit;
  }

  /** As `wait`, with the last 4 MiB of what it wrote to each stream, as far as they are held. */
  async end(options: CallOptions = {}): Promise<ProcessEnd> {
    for (;;) {
      const timeoutSeconds = waitSeconds + (options.timeoutSeconds ?? 30);
      const query = { wait: String(waitSeconds) };
      const found = await this.#http.call("getProcess", { path: this.#path, query }, { ...options, timeoutSeconds });
      this.report = found;
      if (found.exit !== null) return { ...found, exit: found.exit };
    }
  }

  /** Writes to its stdin, as fast as it reads. Not repeated: what was written stays written. */
  async write(
    data: string | Uint8Array<ArrayBuffer> | AsyncIterable<Uint8Array>,
    options: CallOptions & { close?: boolean } = {},
  ): Promise<number> {
    const { close = false, ...call } = options;
    const body = typeof data === "string" ? new TextEncoder().encode(data) : data;
    const text = await this.#http.text(pathOf("writeInput", this.#path, { close }), {
      timeoutSeconds: Number.POSITIVE_INFINITY,
      ...call,
      method: "POST",
      headers: { "content-type": "application/octet-stream" },
      body,
      repeatable: false,
    });
    return (JSON.parse(text) as Operations["writeInput"]["reply"]).bytesWritten;
  }

  async closeInput(options?: CallOptions): Promise<void> {
    await this.write("", { ...options, close: true });
  }

  /** @param signal a name or number. @param options `group`: to all of its process group */
  async signal(signal: string | number, options: CallOptions & { group?: boolean } = {}): Promise<void> {
    const { group = false, ...call } = options;
    await this.#http.call("signalProcess", { path: this.#path, body: { signal, group } }, call);
  }

  async resize(rows: number, columns: number, options?: CallOptions): Promise<void> {
    await this.#http.call("resizeTerminal", { path: this.#path, body: { rows, columns } }, options);
  }

  /** Kills it and its process group; resolves when it has ended. */
  async kill(options?: CallOptions): Promise<ProcessReport> {
    this.report = await this.#http.call("endProcess", { path: this.#path }, options);
    return this.report;
  }

  /** Its terminal, live; there is one if it was started with `tty`. */
  terminal(options?: TerminalOptions): Promise<Terminal> {
    return attach(this.#http, this, options);
  }

  /** All that it wrote, to its end. @throws GapError where the beginning is held no more */
  async collect(options: OutputOptions = {}): Promise<{ stdout: string; stderr: string; exit: OutputEnd["exit"] }> {
    const texts = { stdout: "", stderr: "" };
    for await (const record of this.output(options)) {
      if ("exit" in record) return { ...texts, exit: record.exit };
      texts[record.stream] += record.text;
    }
    throw new GapError("output", null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
