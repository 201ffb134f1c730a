/** Frames of the file agent (supervisor/PROTOCOL.md). Values are bytes, held as latin1 text; DATA passes through in the pieces it comes in. */
import { headerBytes, maxBodyBytes, ProtocolError, protocolVersion } from "./protocol.ts";

export const agentMessages = {
  DONE: 19,
  FILES: 29,
  STAT: 48,
  LIST: 49,
  READ: 50,
  WRITE: 51,
  DELETE: 52,
  CHANGE: 53,
  WALK: 54,
  PLANT: 55,
  ENTRY: 56,
  DATA: 57,
  END: 58,
  WATCH: 59,
  CHANGED: 60,
  HOLE: 61,
  ERROR: 64,
} as const;
export type AgentMessageName = keyof typeof agentMessages;

const names = new Map<number, AgentMessageName>(Object.entries(agentMessages).map(([name, type]) => [type, name as AgentMessageName]));

/** The most bytes that one DATA holds. */
export const dataBytes = 262_144;
/** No message of the agent has more. */
const maxFields = 64;

export type AgentField = readonly [key: string, value: Buffer | string | number];

/** A message, or a piece of the payload of DATA. */
export type AgentFrame =
  | { name: Exclude<AgentMessageName, "DATA">; request: number; fields: ReadonlyMap<string, string> }
  | { name: "DATA"; request: number; bytes: Buffer };

const head = (name: AgentMessageName, request: number, bodyBytes: number, extraBytes: number): Buffer => {
  const buffer = Buffer.allocUnsafe(headerBytes + extraBytes);
  buffer.writeUInt32LE(bodyBytes, 0);
  buffer.writeUInt16LE(agentMessages[name], 4);
  buffer.writeUInt16LE(protocolVersion, 6);
  buffer.writeUInt32LE(request, 8);
  return buffer;
};

/** One frame without payload. @throws ProtocolError for a value with a NUL byte */
export const encodeMessage = (name: AgentMessageName, request: number, fields: readonly AgentField[]): Buffer => {
  const parts: Buffer[] = [];
  for (const [key, value] of fields) {
    const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value));
    if (bytes.includes(0)) throw new ProtocolError(`field "${key}" cannot be sent`);
    parts.push(Buffer.from(`${key}=`), bytes, Buffer.from([0]));
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([head(name, request, length, 0), ...parts]);
};

/** What stands before the payload of a DATA of `length` bytes. */
export const dataHead = (request: number, length: number): Buffer => {
  const buffer = head("DATA", request, length + 1, 1);
  buffer[headerBytes] = 0;
  return buffer;
};

const fieldsOf = (body: Buffer): ReadonlyMap<string, string> => {
  const fields = new Map<string, string>();
  for (let start = 0; start < body.length; ) {
    const end = body.indexOf(0, start);
    const equals = body.indexOf(61, start);
    if (end === -1 || equals === -1 || equals > end || fields.size === maxFields)
      throw new ProtocolError("a field of the file agent has no form");
    fields.set(body.toString("latin1", start, equals), body.toString("latin1", equals + 1, end));
    start = end + 1;
  }
  return fields;
};

/**
 * Takes the bytes of a stream as they come; payloads of DATA are handed on as views of them, never gathered. What an agent claims takes no memory until it
 * has come, and each byte is copied a few times at most, however they are cut.
 */
export class FrameDecoder {
  #pending: Buffer = Buffer.alloc(0);
  #pendingBytes = 0;
  /** Bytes of the frame that has begun, or of its head as long as that is not whole. */
  #needed = 0;
  #request = 0;
  /** Bytes of the present DATA that are still to come. */
  #data = 0;

  /** @throws ProtocolError; the decoder is of no use afterwards */
  *push(chunk: Buffer): Generator<AgentFrame> {
    let data = this.#withPending(chunk);
    if (data === null) return;
    for (;;) {
      if (this.#data > 0) {
        if (data.length === 0) break;
        const bytes = data.subarray(0, this.#data);
        data = data.subarray(bytes.length);
        this.#data -= bytes.length;
        yield { name: "DATA", request: this.#request, bytes };
        continue;
      }
      this.#needed = headerBytes;
      if (data.length < headerBytes) break;
      const length = data.readUInt32LE(0);
      const name = names.get(data.readUInt16LE(4));
      if (name === undefined || data.readUInt16LE(6) !== protocolVersion || length > maxBodyBytes)
        throw new ProtocolError("a frame of the file agent has no form");
      this.#request = data.readUInt32LE(8);
      this.#needed = headerBytes + (name === "DATA" ? 1 : length);
      if (name === "DATA") {
        if (data.length < headerBytes + 1) break;
        if (length < 1 || data[headerBytes] !== 0) throw new ProtocolError("DATA without a payload");
        this.#data = length - 1;
        data = data.subarray(headerBytes + 1);
        continue;
      }
      if (data.length < headerBytes + length) break;
      yield { name, request: this.#request, fields: fieldsOf(data.subarray(headerBytes, headerBytes + length)) };
      data = data.subarray(headerBytes + length);
    }
    // A copy, so that a few waiting bytes do not keep a large chunk alive.
    this.#pending = Buffer.from(data);
    this.#pendingBytes = data.length;
  }

  /** Null as long as not enough has come. */
  #withPending(chunk: Buffer): Buffer | null {
    if (this.#pendingBytes === 0) return chunk;
    const bytes = this.#pendingBytes + chunk.length;
    if (bytes > this.#pending.length) {
      const grown = Buffer.allocUnsafe(Math.max(bytes, 2 * this.#pending.length));
      this.#pending.copy(grown, 0, 0, this.#pendingBytes);
      this.#pending = grown;
    }
    chunk.copy(this.#pending, this.#pendingBytes);
    this.#pendingBytes = bytes;
    if (bytes < this.#needed) return null;
    this.#pendingBytes = 0;
    return this.#pending.subarray(0, bytes);
  }
}
