import { watch } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { LogDroppedError, type LogPage, type LogPosition, type LogSource } from "../domain/log-ports.ts";
import { recordLimit, recordsOf } from "./log-records.ts";

/** Bytes read at a time: at least one whole record. */
const pageBytes = 2 * recordLimit;
const firstSegment = 1;

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ENOENT";

/**
 * Reads what supervisors write below STATE_DIR/sandboxes/ID/log (PROTOCOL.md, "The log"). A record that is being appended may be there in
 * part: it counts once it is whole, or never where a later segment was begun after it.
 */
export class OutputLogs implements LogSource {
  readonly #sandboxes: string;

  constructor(stateDir: string) {
    this.#sandboxes = join(stateDir, "sandboxes");
  }

  async span(sandboxId: string): Promise<{ first: LogPosition; end: LogPosition }> {
    for (;;) {
      const numbers = await this.#numbers(sandboxId);
      const last = numbers.at(-1) ?? firstSegment;
      const first = { segment: numbers[0] ?? firstSegment, offset: 0 };
      const offset = numbers.length === 0 ? 0 : await this.#size(sandboxId, last);
      if (offset !== null) return { first, end: { segment: last, offset } };
    }
  }

  async page(sandboxId: string, from: LogPosition): Promise<LogPage> {
    for (let at = from; ; ) {
      const records = await this.#read(sandboxId, at);
      const last = records?.at(-1);
      if (records !== null && last !== undefined) return { records, at: last.next };
      const numbers = await this.#numbers(sandboxId);
      const first = numbers[0] ?? firstSegment;
      if (at.segment < first) throw new LogDroppedError({ segment: first, offset: 0 });
      const next = numbers.find((number) => number > at.segment);
      if (next === undefined) return { records: [], at };
      // Nothing is added to a segment once there is a later one, so this look is the last that it needs.
      if (((await this.#read(sandboxId, at))?.length ?? 0) === 0) at = { segment: next, offset: 0 };
    }
  }

  async isBoundary(sandboxId: string, { segment, offset }: LogPosition): Promise<boolean> {
    if (offset === 0) return (await this.#numbers(sandboxId)).includes(segment);
    for (let at: LogPosition = { segment, offset: 0 }; ; ) {
      if (at.offset === offset) return true;
      const records = await this.#read(sandboxId, at);
      const next = records?.find((record) => record.next.offset >= offset) ?? records?.at(-1);
      if (next === undefined || next.next.offset > offset) return false;
      at = next.next;
    }
  }

  async segments(sandboxId: string): Promise<{ number: number; writtenAt: number }[]> {
    const numbers = await this.#numbers(sandboxId);
    const found = numbers.map(async (number) => {
      const status = await stat(this.#path(sandboxId, number)).catch(() => null);
      return status === null ? [] : [{ number, writtenAt: status.mtimeMs }];
    });
    return (await Promise.all(found)).flat();
  }

  /** What is not there yet shows in the directory above it. */
  watch(sandboxId: string, signal: AbortSignal): Promise<void> {
    const places = [join(this.#sandboxes, sandboxId, "log"), join(this.#sandboxes, sandboxId), this.#sandboxes];
    return new Promise((resolve, reject) => {
      for (const place of places)
        try {
          const watcher = watch(place, { persistent: false, signal });
          for (const event of ["change", "error", "close"]) watcher.once(event, () => resolve());
          void watcher.once("change", () => watcher.close());
          return;
        } catch (error) {
          if (!isMissing(error)) return reject(error);
        }
      resolve();
    });
  }

  /** The whole records from there on, as many as one look takes; null where the segment is no more, or not yet. */
  async #read(sandboxId: string, at: LogPosition) {
    let file: FileHandle;
    try {
      file = await open(this.#path(sandboxId, at.segment));
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
    try {
      const { size } = await file.stat();
      const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(pageBytes, size - at.offset)));
      const { bytesRead } = await file.read(bytes, 0, bytes.length, at.offset);
      return recordsOf(bytes.subarray(0, bytesRead), at);
    } finally {
      await file.close();
    }
  }

  async #numbers(sandboxId: string): Promise<number[]> {
    try {
      const names = await readdir(join(this.#sandboxes, sandboxId, "log"));
      return names
        .filter((name) => /^\d{10}$/.test(name))
        .map(Number)
        .sort((a, b) => a - b);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  async #size(sandboxId: string, segment: number): Promise<number | null> {
    try {
      return (await stat(this.#path(sandboxId, segment))).size;
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  #path(sandboxId: string, segment: number): string {
    return join(this.#sandboxes, sandboxId, "log", String(segment).padStart(10, "0"));
  }
}
