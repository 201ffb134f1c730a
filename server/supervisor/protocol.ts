import { type Lent, lendMemory } from "../domain/large-memory.ts";

/** Frames of supervisor/PROTOCOL.md: one encoder, one strict incremental decoder. Knows the form, not the meaning, of messages. */

export const protocolVersion = 1;
export const headerBytes = 12;
export const maxBodyBytes = 1_048_576;
const maxFields = 4096;

export const messageTypes = {
  HELLO: 1,
  WELCOME: 2,
  LAUNCH: 3,
  LAUNCHED: 4,
  CLEAN: 5,
  CLEANED: 6,
  REMOVE: 7,
  REMOVED: 8,
  END: 9,
  PEER: 10,
  CREDENTIALS: 11,
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
  LIMIT: 31,
  EXITED: 32,
  GONE: 33,
  "PROCESS-EXITED": 34,
  FORGOTTEN: 35,
  USAGE: 36,
  USED: 37,
  ERROR: 64,
} as const;
export type MessageName = keyof typeof messageTypes;

const names = new Map<number, MessageName>(Object.entries(messageTypes).map(([name, type]) => [type, name as MessageName]));

export type Field = readonly [key: string, value: string];

export interface Message {
  name: MessageName;
  /** 0 for an event. */
  request: number;
  fields: readonly Field[];
  payload: Buffer | null;
  /** Of the payload's memory (large-memory.ts). */
  release(): void;
}

/** The other end broke the form of the protocol; the connection cannot go on. */
export class ProtocolError extends Error {}

/** One frame. @throws ProtocolError for a field that has no form in the protocol, such as a value with a NUL byte */
export const encode = (name: MessageName, request: number, fields: readonly Field[], payload: Buffer | null = null): Buffer => {
  let text = "";
  for (const [key, value] of fields) {
    if (!/^[a-z0-9-]{1,32}$/.test(key) || value.includes("\0")) throw new ProtocolError(`field "${key}" cannot be sent`);
    text += `${key}=${value}\0`;
  }
  const textBytes = Buffer.byteLength(text);
  const bodyBytes = textBytes + (payload === null ? 0 : payload.length + 1);
  if (bodyBytes > maxBodyBytes || fields.length > maxFields) throw new ProtocolError(`${name} is too large to be sent`);
  const frame = Buffer.allocUnsafe(headerBytes + bodyBytes);
  frame.writeUInt32LE(bodyBytes, 0);
  frame.writeUInt16LE(messageTypes[name], 4);
  frame.writeUInt16LE(protocolVersion, 6);
  frame.writeUInt32LE(request, 8);
  frame.write(text, headerBytes, "utf8");
  if (payload !== null) {
    frame[headerBytes + textBytes] = 0;
    payload.copy(frame, headerBytes + textBytes + 1);
  }
  return frame;
};

const decodeBody = (body: Buffer): { fields: Field[]; payload: Buffer | null } => {
  const fields: Field[] = [];
  let start = 0;
  while (start < body.length) {
    const end = body.indexOf(0, start);
    if (end === -1) throw new ProtocolError("a field has no end");
    if (end === start) return { fields, payload: body.subarray(end + 1) };
    if (fields.length === maxFields) throw new ProtocolError("too many fields");
    const equals = body.indexOf(61, start);
    const key = equals === -1 || equals > end ? "" : body.toString("latin1", start, equals);
    if (!/^[a-z0-9-]{1,32}$/.test(key)) throw new ProtocolError("a field has no key");
    fields.push([key, body.toString("utf8", equals + 1, end)]);
    start = end + 1;
  }
  return { fields, payload: null };
};

interface Head {
  name: MessageName;
  request: number;
  length: number;
}

/** @throws ProtocolError */
const decodeHead = (head: Buffer): Head => {
  const length = head.readUInt32LE(0);
  const name = names.get(head.readUInt16LE(4));
  const version = head.readUInt16LE(6);
  if (version !== protocolVersion) throw new ProtocolError(`protocol version ${version}, expected ${protocolVersion}`);
  if (name === undefined) throw new ProtocolError(`unknown message type ${head.readUInt16LE(4)}`);
  if (length > maxBodyBytes) throw new ProtocolError(`a body of ${length} bytes`);
  return { name, request: head.readUInt32LE(8), length };
};

/** Takes the bytes of a stream as they come and gives the messages that they complete. What it is given may be overwritten afterwards. */
export class Decoder {
  readonly #headBytes = Buffer.alloc(headerBytes);
  /** The message that is not complete: its head, and its body with as much as has come. */
  #head: Head | null = null;
  #body: Lent = { bytes: this.#headBytes, release: () => {} };
  #filled = 0;

  /** @throws ProtocolError; the decoder is of no use afterwards */
  push(chunk: Buffer): Message[] {
    const messages: Message[] = [];
    for (let taken = 0; taken < chunk.length || this.#filled === this.#body.bytes.length; ) {
      const copied = chunk.copy(this.#body.bytes, this.#filled, taken);
      this.#filled += copied;
      taken += copied;
      if (this.#filled < this.#body.bytes.length) continue;
      const message = this.#filledUp();
      if (message !== null) messages.push(message);
    }
    return messages;
  }

  /** What was filled is a head, whose body comes next, or a body. */
  #filledUp(): Message | null {
    this.#filled = 0;
    if (this.#head === null) {
      this.#head = decodeHead(this.#headBytes);
      this.#body = lendMemory(this.#head.length);
      return null;
    }
    const { name, request } = this.#head;
    const { bytes, release } = this.#body;
    this.#head = null;
    this.#body = { bytes: this.#headBytes, release: () => {} };
    return { name, request, ...decodeBody(bytes), release };
  }
}
