import { isUtf8 } from "node:buffer";
import { type Lent, lendMemory } from "../domain/large-memory.ts";

const firstBytes = 1_024;
/** So short that what is made of a slice dies young: long strings live in V8's heap until all of it is collected. A multiple of 3. */
const sliceBytes = 4_095;

/** One part of a streamed body, made in memory that grows with it and is given back when it was sent. */
export class BodyWriter {
  #memory: Lent = lendMemory(firstBytes);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  text(text: string): this {
    this.#room(text.length * 3);
    this.#length += this.#memory.bytes.write(text, this.#length, "utf8");
    return this;
  }

  bytes(bytes: Buffer): this {
    this.#room(bytes.length);
    this.#length += bytes.copy(this.#memory.bytes, this.#length);
    return this;
  }

  /**
   * The members `data` and, where the bytes are not UTF-8, `encoding`. JSON escapes nothing beyond ASCII, so that bytes of UTF-8 go
   * through it as if each were a character, and are not decoded only to be encoded again.
   */
  data(bytes: Buffer): this {
    this.text('"data":"');
    const isText = isUtf8(bytes);
    for (let start = 0; start < bytes.length; start += sliceBytes) {
      const end = Math.min(bytes.length, start + sliceBytes);
      if (isText) this.#latin1(JSON.stringify(bytes.toString("latin1", start, end)).slice(1, -1));
      else this.#latin1(bytes.toString("base64", start, end));
    }
    return this.text(isText ? '"' : '","encoding":"base64"');
  }

  /** What was written; its memory is for the caller to give back. */
  finish(): Lent {
    return { bytes: this.#memory.bytes.subarray(0, this.#length), release: this.#memory.release };
  }

  #latin1(text: string): void {
    this.#room(text.length);
    this.#length += this.#memory.bytes.write(text, this.#length, "latin1");
  }

  #room(bytes: number): void {
    const { length } = this.#memory.bytes;
    if (this.#length + bytes <= length) return;
    const larger = lendMemory(Math.max(this.#length + bytes, length * 2));
    this.#memory.bytes.copy(larger.bytes, 0, 0, this.#length);
    this.#memory.release();
    this.#memory = larger;
  }
}
