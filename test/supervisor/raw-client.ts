import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { eventually } from "./eventually.ts";

/** The types of supervisor/PROTOCOL.md, written down here a second time: the tests read the document and not the daemon's table. */
export const types = {
  HELLO: 1,
  WELCOME: 2,
  LAUNCH: 3,
  LAUNCHED: 4,
  CLEAN: 5,
  CLEANED: 6,
  REMOVE: 7,
  REMOVED: 8,
  END: 9,
  ATTACH: 16,
  REPORT: 17,
  SIGNAL: 18,
  DONE: 19,
  STOP: 20,
  OUTPUT: 21,
  RECORDS: 22,
  INPUT: 23,
  RESIZE: 24,
  RELEASE: 25,
  EXEC: 26,
  STARTED: 27,
  FORGET: 28,
  FREEZE: 30,
  EXITED: 32,
  GONE: 33,
  PROCESS_EXITED: 34,
  FORGOTTEN: 35,
  USAGE: 36,
  USED: 37,
  ERROR: 64,
} as const;
export type TypeName = keyof typeof types;
const names = new Map<number, TypeName>(Object.entries(types).map(([name, type]) => [type, name as TypeName]));

/** Values of a message: a list repeats its key, null leaves the key out. */
export type Values = Record<string, string | number | readonly (string | number)[] | null>;

/** A whole frame from a body of any form, for what no honest client sends. */
export const frameOf = (
  type: number,
  request: number,
  body: Buffer | string,
  header: { version?: number; length?: number } = {},
): Buffer => {
  const bytes = Buffer.from(body);
  const frame = Buffer.alloc(12 + bytes.length);
  frame.writeUInt32LE(header.length ?? bytes.length, 0);
  frame.writeUInt16LE(type, 4);
  frame.writeUInt16LE(header.version ?? 1, 6);
  frame.writeUInt32LE(request, 8);
  bytes.copy(frame, 12);
  return frame;
};

export const bodyOf = (values: Values, payload?: Buffer | string): Buffer => {
  const lines = Object.entries(values).flatMap(([key, value]) => (value === null ? [] : [value].flat().map((one) => `${key}=${one}\0`)));
  const text = Buffer.from(lines.join(""));
  return payload === undefined ? text : Buffer.concat([text, Buffer.from([0]), Buffer.from(payload)]);
};

export class Reply {
  readonly name: TypeName;
  readonly request: number;
  readonly fields: ReadonlyMap<string, string[]>;
  readonly payload: Buffer;

  constructor(type: number, request: number, body: Buffer) {
    this.name = names.get(type) as TypeName;
    this.request = request;
    const fields = new Map<string, string[]>();
    let at = 0;
    for (let end: number; at < body.length && body[at] !== 0; at = end + 1) {
      end = body.indexOf(0, at);
      const line = body.toString("utf8", at, end);
      const equals = line.indexOf("=");
      const key = line.slice(0, equals);
      fields.set(key, [...(fields.get(key) ?? []), line.slice(equals + 1)]);
    }
    this.fields = fields;
    this.payload = Buffer.from(body.subarray(at + 1));
  }

  all(key: string): string[] {
    return this.fields.get(key) ?? [];
  }

  text(key: string): string {
    return this.all(key)[0] ?? "";
  }

  number(key: string): number {
    return Number(this.all(key)[0]);
  }
}

/** One connection that says exactly what it is told to. */
export class RawClient {
  readonly socket: Socket;
  /** Events so far, in order. */
  readonly events: Reply[] = [];
  closed = false;
  #pending = Buffer.alloc(0);
  #next = 1;
  readonly #waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => this.#take(chunk as Buffer));
    socket.on("close", () => {
      this.closed = true;
      for (const { reject } of this.#waiting.values()) reject(new Error("the connection was closed"));
      this.#waiting.clear();
    });
    socket.on("error", () => {});
  }

  static async open(path: string): Promise<RawClient> {
    const socket = connect(path);
    await once(socket, "connect");
    return new RawClient(socket);
  }

  #take(chunk: Buffer): void {
    let data = Buffer.concat([this.#pending, chunk]);
    while (data.length >= 12 && data.length >= 12 + data.readUInt32LE(0)) {
      const end = 12 + data.readUInt32LE(0);
      const reply = new Reply(data.readUInt16LE(4), data.readUInt32LE(8), data.subarray(12, end));
      data = data.subarray(end);
      if (reply.request === 0) this.events.push(reply);
      else this.#waiting.get(reply.request)?.resolve(reply);
      this.#waiting.delete(reply.request);
    }
    this.#pending = Buffer.from(data);
  }

  /** Sends a request; the reply is whatever comes for it, ERROR included. */
  ask(type: TypeName | number, values: Values = {}, payload?: Buffer | string): Promise<Reply> {
    return this.askRaw(typeof type === "number" ? type : types[type], bodyOf(values, payload));
  }

  askRaw(type: number, body: Buffer | string): Promise<Reply> {
    const request = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(request, { resolve, reject });
      this.socket.write(frameOf(type, request, body));
    });
  }

  /** The first event of this type whose `process` is the one named, waited for. */
  event(name: TypeName, process?: string): Promise<Reply> {
    return eventually(`event ${name} ${process ?? ""}`, () =>
      this.events.find((event) => event.name === name && (process === undefined || event.text("process") === process)),
    );
  }

  close(): void {
    this.socket.destroy();
  }
}
