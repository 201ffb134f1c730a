import { isUtf8 } from "node:buffer";
import type { OutputRecord, OutputStream } from "./process.ts";

/** The bytes of one stream, as text where they are UTF-8. */
export interface CollectedStream {
  data: string;
  encoding: "utf-8" | "base64";
  /** Length of what is in `data`, in bytes. */
  bytes: number;
  /** Whether something before it is missing. */
  truncated: boolean;
}

/** What a process wrote, as far as it is held. */
export interface CollectedOutput {
  stdout: CollectedStream;
  stderr: CollectedStream;
  /** Bytes of both streams that were dropped because of `outputBytes`; null: some, it is not known how many. */
  droppedBytes: number | null;
}

/** The last bytes of each stream that an answer holds; the rest is to be read as output. */
export const collectedBytes = 4_194_304;

/** Takes records in their order and keeps the last bytes of one stream. */
class Tail {
  #pieces: Buffer[] = [];
  #length = 0;
  #cut = false;

  add(bytes: Buffer): void {
    this.#pieces.push(bytes);
    this.#length += bytes.length;
    while (this.#length - (this.#pieces[0]?.length ?? 0) >= collectedBytes) {
      this.#length -= this.#pieces.shift()?.length ?? 0;
      this.#cut = true;
    }
  }

  collected(dropped: boolean): CollectedStream {
    const all = Buffer.concat(this.#pieces, this.#length);
    const bytes = all.subarray(Math.max(0, all.length - collectedBytes));
    const encoding = isUtf8(bytes) ? "utf-8" : "base64";
    const data = bytes.toString(encoding === "utf-8" ? "utf8" : "base64");
    return { data, encoding, bytes: bytes.length, truncated: this.#cut || dropped || bytes.length < all.length };
  }
}

export class OutputCollector {
  readonly #tails: Record<OutputStream, Tail> = { stdout: new Tail(), stderr: new Tail() };

  add(records: readonly OutputRecord[]): void {
    for (const { stream, bytes } of records) this.#tails[stream].add(bytes);
  }

  /** What has been dropped may have been of either stream, so both then count as truncated. */
  result(droppedBytes: number | null): CollectedOutput {
    const { stdout, stderr } = this.#tails;
    return { stdout: stdout.collected(droppedBytes !== 0), stderr: stderr.collected(droppedBytes !== 0), droppedBytes };
  }
}
