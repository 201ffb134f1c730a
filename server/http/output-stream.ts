import { isUtf8 } from "node:buffer";
import { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import type { OutputRecord } from "../domain/process.ts";
import type { OutputPiece } from "../domain/process-reading.ts";
import { exitReport } from "../domain/process-reports.ts";

const keepAliveMilliseconds = 15_000;

/** How pieces of output look on the wire, and what is sent on a quiet stream so that nobody takes it for a dead one. */
export interface OutputFormat<Piece = OutputPiece> {
  mediaType: string;
  keepAlive: string;
  /** Null: this piece says nothing in this format. @throws Error where the stream cannot go on */
  bodyOf(piece: Piece): string | Buffer | null;
}

/** The members `data` and, where the bytes are not UTF-8, `encoding`. */
export const dataText = (bytes: Buffer): string =>
  isUtf8(bytes) ? `"data":${JSON.stringify(bytes.toString("utf8"))}` : `"data":"${bytes.toString("base64")}","encoding":"base64"`;

const recordText = ({ seq, stream, time, bytes }: OutputRecord): string =>
  `{"seq":${seq},"stream":"${stream}","time":"${new Date(time / 1000).toISOString()}",${dataText(bytes)}}`;

const lastText = (piece: Exclude<OutputPiece, { kind: "records" }>): string =>
  piece.kind === "gap"
    ? JSON.stringify({ gap: { first: piece.first } })
    : JSON.stringify({ seq: piece.seq, exit: piece.exit && exitReport(piece.exit) });

/** One of the Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
export const eventText = (name: string, data: string, id: string | number | null = null): string =>
  `${id === null ? "" : `id: ${id}\n`}event: ${name}\ndata: ${data}\n\n`;

/** One JSON object a line; an empty line now and then. */
export const ndjson: OutputFormat = {
  mediaType: "application/x-ndjson",
  keepAlive: "\n",
  bodyOf: (piece) =>
    piece.kind === "records" ? piece.records.map((record) => `${recordText(record)}\n`).join("") : `${lastText(piece)}\n`,
};

/** Server-Sent Events named output, exit or gap, with the number as their id; a comment now and then. */
export const serverSentEvents: OutputFormat = {
  mediaType: "text/event-stream",
  keepAlive: ":\n\n",
  bodyOf: (piece) => {
    if (piece.kind === "records") return piece.records.map((record) => eventText("output", recordText(record), record.seq)).join("");
    return eventText(piece.kind, lastText(piece), piece.kind === "exit" ? piece.seq : null);
  },
};

/** The bytes alone. Nothing can be said in between, so a gap breaks the stream off. */
export const rawBytes: OutputFormat = {
  mediaType: "application/octet-stream",
  keepAlive: "",
  bodyOf: (piece) => {
    if (piece.kind === "records") return Buffer.concat(piece.records.map(({ bytes }) => bytes));
    if (piece.kind === "gap") throw new Error("output was dropped before it could be sent");
    return null;
  },
};

/** The first of the formats that an Accept header names. */
export const acceptedFormat = <Piece>(
  accept: string | undefined,
  formats: readonly OutputFormat<Piece>[],
  byDefault: OutputFormat<Piece>,
): OutputFormat<Piece> => formats.find(({ mediaType }) => accept?.includes(mediaType)) ?? byDefault;

/** Pulls a piece only when the one before it has been written to the socket: a reader that stalls holds one piece here, and no more. */
export class OutputBody<Piece = OutputPiece> extends Readable {
  readonly #pieces: AsyncIterator<Piece, undefined>;
  readonly #format: OutputFormat<Piece>;
  readonly #timer: NodeJS.Timeout;
  #pulling = false;

  constructor(pieces: AsyncIterator<Piece, undefined>, format: OutputFormat<Piece>) {
    super({ highWaterMark: 0 });
    this.#pieces = pieces;
    this.#format = format;
    this.#timer = setInterval(() => {
      if (this.#pulling && format.keepAlive !== "") this.push(format.keepAlive);
    }, keepAliveMilliseconds);
  }

  override _read(): void {
    if (this.#pulling) return;
    this.#pulling = true;
    this.#pull().then(
      (body) => {
        this.#pulling = false;
        if (!this.destroyed) this.push(body);
      },
      (error: Error) => this.destroy(error),
    );
  }

  /** The next part of the body; null at its end. */
  async #pull(): Promise<string | Buffer | null> {
    for (;;) {
      const { done, value } = await this.#pieces.next();
      if (done === true) return null;
      const body = this.#format.bodyOf(value);
      if (body !== null) return body;
    }
  }

  /** The head is sent at once: the first record may be long in coming. */
  override pipe<T extends NodeJS.WritableStream>(destination: T, options?: { end?: boolean }): T {
    super.pipe(destination, options);
    if (destination instanceof ServerResponse) destination.flushHeaders();
    return destination;
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearInterval(this.#timer);
    done(error);
  }
}

/** Answers with the pieces, as they come. */
export const sendPieces = <Piece>(
  reply: FastifyReply,
  pieces: AsyncIterator<Piece, undefined>,
  format: OutputFormat<Piece>,
): FastifyReply =>
  reply
    .type(format.mediaType)
    .headers({ "cache-control": "no-store", "x-content-type-options": "nosniff" })
    .send(new OutputBody(pieces, format));
