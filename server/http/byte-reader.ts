/** Bytes of a stream by the number. */
export class ByteReader {
  readonly #source: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Exactly `length` bytes, gathered; null where the stream ends before. */
  async take(length: number): Promise<Buffer | null> {
    const parts: Buffer[] = [];
    for (let missing = length; missing > 0; ) {
      if (!(await this.#filled())) return null;
      const part = this.#held.subarray(0, missing);
      this.#held = this.#held.subarray(part.length);
      missing -= part.length;
      parts.push(part);
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  /** The next `length` bytes as they come; fewer where the stream ends before. */
  async *pieces(length: number): AsyncGenerator<Buffer> {
    for (let missing = length; missing > 0 && (await this.#filled()); ) {
      const part = this.#held.subarray(0, missing);
      this.#held = this.#held.subarray(part.length);
      missing -= part.length;
      yield part;
    }
  }

  /** Reads the rest and forgets it. */
  async discard(): Promise<void> {
    do this.#held = Buffer.alloc(0);
    while (await this.#filled());
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #filled(): Promise<boolean> {
    while (this.#held.length === 0) {
      const next = await this.#source.next();
      if (next.done === true) return false;
      this.#held = next.value;
    }
    return true;
  }
}
