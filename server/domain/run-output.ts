import { isUtf8 } from "node:buffer";
import type { OutputRecord, OutputStream } from "./process.ts";
import type { CollectedStream } from "./process-results.ts";

/** The first bytes that a command wrote, as far as the bound on both of its streams together allows. */
export class RunOutput {
  readonly #pieces: Record<OutputStream, Buffer[]> = { stdout: [], stderr: [] };
  readonly #cut = { stdout: false, stderr: false };
  #room: number;

  /** @param bound bytes of both streams together */
  constructor(bound: number) {
    this.#room = bound;
  }

  /** Whether more was written than the bound allows. */
  get exceeded(): boolean {
    return this.#cut.stdout || this.#cut.stderr;
  }

  add(records: readonly OutputRecord[]): void {
    for (const { stream, bytes } of records) {
      const taken = bytes.subarray(0, this.#room);
      if (taken.length < bytes.length) this.#cut[stream] = true;
      // A copy: a piece of a reply would keep all of that reply.
      if (taken.length > 0) this.#pieces[stream].push(Buffer.from(taken));
      this.#room -= taken.length;
    }
  }

  /** The supervisor holds more than the bound: where it dropped something the bound was passed, in either stream. */
  missed(): void {
    this.#room = 0;
    this.#cut.stdout = true;
    this.#cut.stderr = true;
  }

  stream(name: OutputStream): CollectedStream {
    const bytes = Buffer.concat(this.#pieces[name]);
    const encoding = isUtf8(bytes) ? "utf-8" : "base64";
    const data = bytes.toString(encoding === "utf-8" ? "utf8" : "base64");
    return { data, encoding, bytes: bytes.length, truncated: this.#cut[name] };
  }
}
