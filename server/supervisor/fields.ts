import { type Field, type Message, ProtocolError } from "./protocol.ts";

/** Reads the fields of one message; what is required and missing or out of form breaks the protocol. */
export class Fields {
  readonly #all: readonly Field[];
  readonly #message: string;

  constructor(message: Message) {
    this.#all = message.fields;
    this.#message = message.name;
  }

  optional(key: string): string | null {
    for (const field of this.#all) if (field[0] === key) return field[1];
    return null;
  }

  text(key: string): string {
    const value = this.optional(key);
    if (value === null) throw new ProtocolError(`${this.#message} has no ${key}`);
    return value;
  }

  number(key: string): number {
    const text = this.text(key);
    if (!/^\d{1,16}$/.test(text)) throw new ProtocolError(`${this.#message} has a ${key} that is no number`);
    return Number(text);
  }

  numberOr(key: string, fallback: number): number {
    return this.optional(key) === null ? fallback : this.number(key);
  }

  repeated(key: string): string[] {
    return this.#all.filter((field) => field[0] === key).map((field) => field[1]);
  }
}
