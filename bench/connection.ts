import type { Socket } from "node:net";
import { connect } from "node:net";

export interface Answer {
  status: number;
  body: unknown;
}

const REQUEST_TIMEOUT_MS = 60_000;
const BLANK_LINE = Buffer.from("\r\n\r\n");

/**
 * One HTTP/1.1 keep-alive connection on a unix socket, one request at a time. It is as thin as a client can be, so that what
 * it costs is not charged to the server that is measured.
 */
export class Connection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setTimeout(REQUEST_TIMEOUT_MS, () => socket.destroy(new Error("no answer in time")));
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the connection was closed")));
  }

  static open(path: string): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(path, () => resolve(new Connection(socket)));
      socket.once("error", reject);
    });
  }

  /** Sends a request and waits for the whole answer. A body that is not a buffer goes as JSON; an answer that is JSON is parsed. */
  request(method: string, path: string, body?: unknown): Promise<Answer> {
    const raw = Buffer.isBuffer(body);
    const payload = raw ? body : body === undefined ? "" : JSON.stringify(body);
    const type = body === undefined ? "" : `Content-Type: ${raw ? "application/x-tar" : "application/json"}\r\n`;
    const length = body === undefined && method !== "POST" ? "" : `Content-Length: ${Buffer.byteLength(payload)}\r\n`;
    const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${type}${length}\r\n`;
    return new Promise((resolve, reject) => {
      if (this.#waiting !== null || this.#socket.destroyed) return reject(new Error("the connection is busy or closed"));
      this.#waiting = { resolve, reject };
      if (raw) this.#socket.write(head);
      this.#socket.write(raw ? payload : head + payload);
    });
  }

  /** As request, but an answer outside 200-299 is an error that shows it. */
  async expect(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await this.request(method, path, body);
    if (answer.status < 200 || answer.status > 299) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  close(): void {
    this.#socket.destroy();
  }

  #fail(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = null;
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const end = this.#received.indexOf(BLANK_LINE);
    if (end < 0) return;
    const head = this.#received.toString("latin1", 0, end);
    const rest = this.#received.subarray(end + BLANK_LINE.length);
    const status = Number(head.slice(9, 12));
    const body = bodyOf(head, status, rest);
    if (body === null) return;
    const waiting = this.#waiting;
    this.#received = Buffer.alloc(0);
    this.#waiting = null;
    const json = /^content-type: application\/(problem\+)?json/im.test(head);
    waiting?.resolve({ status, body: json && body.length > 0 ? JSON.parse(body) : body });
  }
}

/** The body as text, or null while it is not all here. One answer is awaited at a time, so nothing follows it. */
const bodyOf = (head: string, status: number, rest: Buffer): string | null => {
  if (status === 204 || status === 304) return "";
  const length = /^content-length: (\d+)/im.exec(head);
  if (length !== null) return rest.length < Number(length[1]) ? null : rest.toString("utf8", 0, Number(length[1]));
  if (!/^transfer-encoding: chunked/im.test(head)) return "";
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = rest.indexOf("\r\n", at);
    if (line < 0) return null;
    const size = Number.parseInt(rest.toString("latin1", at, line), 16);
    if (rest.length < line + 2 + size + 2) return null;
    if (size === 0) return Buffer.concat(parts).toString("utf8");
    parts.push(rest.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
};
