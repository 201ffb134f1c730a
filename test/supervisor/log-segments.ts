import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface LogRecord {
  segment: number;
  kind: number;
  process: string;
  micros: number;
  number: number;
  data: Buffer;
}

/** Reads a log by PROTOCOL.md alone, oldest record first. @throws where anything is not as it says, but for a segment's torn end */
export function readLog(directory: string): LogRecord[] {
  const records: LogRecord[] = [];
  for (const name of readdirSync(directory).sort()) {
    const path = join(directory, name);
    if (!/^\d{10}$/.test(name) || !lstatSync(path).isFile() || (lstatSync(path).mode & 0o777) !== 0o600)
      throw new Error(`what is ${path}?`);
    const bytes = readFileSync(path);
    for (let at = 0; at + 24 <= bytes.length; ) {
      const [length, kind, nameLength] = [bytes.readUInt32LE(at), bytes.readUInt8(at + 4), bytes.readUInt8(at + 5)];
      if (![1, 2, 3].includes(kind) || nameLength === 0 || bytes.readUInt16LE(at + 6) !== 0) throw new Error(`${path}: no record at ${at}`);
      const end = at + 24 + length;
      if (end > bytes.length) break;
      records.push({
        segment: Number(name),
        kind,
        process: bytes.toString("latin1", at + 24, at + 24 + nameLength),
        micros: Number(bytes.readBigUInt64LE(at + 8)),
        number: Number(bytes.readBigUInt64LE(at + 16)),
        data: bytes.subarray(at + 24 + nameLength, end),
      });
      at = end;
    }
  }
  return records;
}

/** Bytes of all segments. */
export const logBytes = (directory: string): number =>
  readdirSync(directory).reduce((sum, name) => sum + lstatSync(join(directory, name)).size, 0);

/** What a process wrote on one stream, as far as it is there. */
export const textOf = (records: readonly LogRecord[], process: string, kind: number): string =>
  Buffer.concat(records.filter((record) => record.process === process && record.kind === kind).map((record) => record.data)).toString(
    "latin1",
  );
