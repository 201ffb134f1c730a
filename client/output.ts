import type { LogRecord, OutputRecord } from "./api.ts";

type Exit = NonNullable<OutputRecord["exit"]>;

/** What a process wrote at one time. */
export interface OutputChunk {
  seq: number;
  stream: "stdout" | "stderr";
  time: string;
  bytes: Uint8Array<ArrayBuffer>;
  /** The bytes as UTF-8. A character that was cut in two comes whole with its second part. */
  text: string;
}

/** The last of a process's output: how it ended. */
export interface OutputEnd {
  seq: number;
  exit: Exit;
}

/** What one process of a sandbox wrote, or how it ended. */
export interface LogEntry {
  /** To resume after. */
  id: string;
  process: string;
  seq: number;
  time: string;
  stream: "stdout" | "stderr" | null;
  bytes: Uint8Array<ArrayBuffer>;
  text: string;
  exit: NonNullable<LogRecord["exit"]> | null;
}

const encoder = new TextEncoder();

/** The bytes of a record or of collected output. */
export const bytesOf = ({ data, encoding }: { data?: string | undefined; encoding?: string | undefined }): Uint8Array<ArrayBuffer> => {
  if (data === undefined) return new Uint8Array();
  return encoding === "base64" ? Uint8Array.from(atob(data), (character) => character.charCodeAt(0)) : encoder.encode(data);
};

/** Text of output that was collected: what is no UTF-8 shows as U+FFFD. */
export const textOf = (collected: { data: string; encoding: string }): string =>
  collected.encoding === "base64" ? new TextDecoder().decode(bytesOf(collected)) : collected.data;

/** Decodes the pieces of several streams, each for itself. */
export class StreamDecoder {
  readonly #decoders = new Map<string, InstanceType<typeof TextDecoder>>();

  decode(stream: string, bytes: Uint8Array): string {
    const decoder = this.#decoders.get(stream) ?? new TextDecoder();
    this.#decoders.set(stream, decoder);
    return decoder.decode(bytes, { stream: true });
  }
}
