import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import type { Lent } from "../domain/large-memory.ts";
import type { OutputRecord } from "../domain/process.ts";
import type { OutputPiece } from "../domain/process-reading.ts";
import { exitReport } from "../domain/reports.ts";
import { BodyWriter } from "./body-writer.ts";

const keepAliveMilliseconds = 15_000;

/** How pieces of output look on the wire, and what is sent on a quiet stream so that nobody takes it for a dead one. */
export interface OutputFormat<Piece = OutputPiece> {
  mediaType: string;
  keepAlive: string;
  /** Nothing is written where this piece says nothing in this format. @throws Error where the stream cannot go on */
  write(piece: Piece, body: BodyWriter): void;
}

const writeRecord = ({ seq, stream, time, bytes }: OutputRecord, body: BodyWriter): BodyWriter =>
  body
    .text(`{"seq":${seq},"stream":"${stream}","time":"${new Date(time / 1000).toISOString()}",`)
    .data(bytes)
    .text("}");

const lastText = (piece: Exclude<OutputPiece, { kind: "records" }>): string =>
  piece.kind === "gap"
    ? JSON.stringify({ gap: { first: piece.first } })
    : JSON.stringify({ seq: piece.seq, exit: piece.exit && exitReport(piece.exit) });

/** What comes before the data of one of the Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html), and after it. */
export const eventHead = (name: string, id: string | number | null = null): string =>
  `${id === null ? "" : `id: ${id}\n`}event: ${name}\ndata: `;
export const eventEnd = "\n\n";
export const eventText = (name: string, data: string, id: string | number | null = null): string =>
  `${eventHead(name, id)}${data}${eventEnd}`;

/** One JSON object a line; an empty line now and then. */
export const ndjson: OutputFormat = {
  mediaType: "application/x-ndjson",
  keepAlive: "\n",
  write: (piece, body) => {
    if (piece.kind === "records") for (const record of piece.records) writeRecord(record, body).text("\n");
    else body.text(`${lastText(piece)}\n`);
  },
};

/** Server-Sent Events named output, exit or gap, with the number as their id; a comment now and then. */
export const serverSentEvents: OutputFormat = {
  mediaType: "text/event-stream",
  keepAlive: ":\n\n",
  write: (piece, body) => {
    if (piece.kind === "records")
      for (const record of piece.records) writeRecord(record, body.text(eventHead("output", record.seq))).text(eventEnd);
    else body.text(eventText(piece.kind, lastText(piece), piece.kind === "exit" ? piece.seq : null));
  },
};

/** The bytes alone. Nothing can be said in between, so a gap breaks the stream off. */
export const rawBytes: OutputFormat = {
  mediaType: "application/octet-stream",
  keepAlive: "",
  write: (piece, body) => {
    if (piece.kind === "records") for (const { bytes } of piece.records) body.bytes(bytes);
    if (piece.kind === "gap") throw new Error("output was dropped before it could be sent");
  },
};

/** The first of the formats that an Accept header names. */
export const acceptedFormat = <Piece>(
  accept: string | undefined,
  formats: readonly OutputFormat<Piece>[],
  byDefault: OutputFormat<Piece>,
): OutputFormat<Piece> => formats.find(({ mediaType }) => accept?.includes(mediaType)) ?? byDefault;

/**
 * Pulls a piece only when the one before it has been written to the socket: a reader that stalls holds one piece here, and no more.
 * Not by way of a Readable's own buffer: the memory of a body is known to be free again only when it has been written.
 */
class OutputBody<Piece> extends Readable {
  readonly #pieces: AsyncIterator<Piece, undefined>;
  readonly #format: OutputFormat<Piece>;
  readonly #done: (piece: Piece) => void;

  constructor(pieces: AsyncIterator<Piece, undefined>, format: OutputFormat<Piece>, done: (piece: Piece) => void) {
    super();
    this.#pieces = pieces;
    this.#format = format;
    this.#done = done;
  }

  override _read(): void {}

  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    this.#send(destination as never).then(
      () => this.resume().push(null),
      (error: Error) => this.destroy(error),
    );
    return destination;
  }

  async #send(response: ServerResponse): Promise<void> {
    const { keepAlive } = this.#format;
    // At once: the first record may be long in coming.
    response.flushHeaders();
    for (;;) {
      const timer = setInterval(() => keepAlive !== "" && !response.writableNeedDrain && response.write(keepAlive), keepAliveMilliseconds);
      const body = await this.#pull().finally(() => clearInterval(timer));
      if (body === null || this.destroyed) break;
      // Called back also when the response is destroyed.
      await new Promise((written) => response.write(body.bytes, written));
      body.release();
    }
    response.end();
  }

  /** The next part of the body; null at its end. */
  async #pull(): Promise<Lent | null> {
    for (;;) {
      const { done, value } = await this.#pieces.next();
      if (done === true) return null;
      const body = new BodyWriter();
      this.#format.write(value, body);
      this.#done(value);
      if (body.length > 0) return body.finish();
    }
  }
}

/** Answers with the pieces, as they come. @param done called when a piece's body has been made */
export const sendPieces = <Piece>(
  reply: FastifyReply,
  pieces: AsyncIterator<Piece, undefined>,
  format: OutputFormat<Piece>,
  done: (piece: Piece) => void = () => {},
): FastifyReply =>
  reply
    .type(format.mediaType)
    .headers({ "cache-control": "no-store", "x-content-type-options": "nosniff" })
    .send(new OutputBody(pieces, format, done));
