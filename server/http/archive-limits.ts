import { DomainError } from "../domain/errors.ts";

/** What an archive may hold. */
export interface ArchiveLimits {
  entries: number;
  /** Unpacked: bytes of the archive itself, headers included. */
  bytes: number;
}

/** Beyond this many bytes the ratio of compression counts: a small archive of zeros is no attack. */
const ratioFrom = 10_485_760;
const ratioMost = 200;

/** Counts what passes before and after decompression. */
export class ArchiveMeter {
  readonly #limits: ArchiveLimits;
  #packed = 0;
  #unpacked = 0;
  #entries = 0;

  constructor(limits: ArchiveLimits) {
    this.#limits = limits;
  }

  async *packed(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      this.#packed += chunk.length;
      yield chunk;
    }
  }

  /** @throws DomainError `archive-too-large` */
  async *unpacked(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      this.#unpacked += chunk.length;
      if (this.#unpacked > this.#limits.bytes) throw tooLarge(`it unpacks to more than ${this.#limits.bytes} bytes`);
      if (this.#unpacked > ratioFrom && this.#unpacked > ratioMost * this.#packed)
        throw tooLarge(`its compression is beyond ${ratioMost} to 1`);
      yield chunk;
    }
  }

  /** @throws DomainError `archive-too-large` */
  entry(): void {
    if (++this.#entries > this.#limits.entries) throw tooLarge(`it has more than ${this.#limits.entries} entries`);
  }
}

const tooLarge = (detail: string): DomainError => new DomainError("archive-too-large", `the archive is too large: ${detail}`);
