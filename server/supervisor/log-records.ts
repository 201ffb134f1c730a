import type { LogPosition, LogRecord } from "../domain/log-ports.ts";
import { type ProcessExit, processReasons } from "../domain/process.ts";
import { signalName } from "./replies.ts";

/** Bytes before the name of a record, and the most that follow: a name and one read from a pipe (PROTOCOL.md, "The log"). */
const headLength = 24;
const restLimit = 255 + 65_536;
export const recordLimit = headLength + restLimit;

const kinds = ["stdout", "stderr", "exit"] as const;

export class BrokenLogError extends Error {}

const exitOf = (text: string): { reason: ProcessExit["reason"]; code: number | null; signal: string | null } => {
  const [, found = "", code, signal] = /^([a-z-]+) (\d+|-) (\d+|-)$/.exec(text) ?? [];
  const reason = processReasons.find((one) => one === found);
  if (reason === undefined) throw new BrokenLogError("an exit in a log cannot be read");
  return { reason, code: code === "-" ? null : Number(code), signal: signal === "-" ? null : signalName(Number(signal)) };
};

/**
 * The whole records at the beginning of `bytes`, which lie at `at` in their segment. Their bytes are parts of these, not copies.
 * @throws BrokenLogError where what is there is no record
 */
export const recordsOf = (bytes: Buffer, at: LogPosition): LogRecord[] => {
  const records: LogRecord[] = [];
  for (let begin = 0; bytes.length - begin >= headLength; ) {
    const length = bytes.readUInt32LE(begin);
    const kind = kinds[bytes.readUInt8(begin + 4) - 1];
    const nameLength = bytes.readUInt8(begin + 5);
    if (kind === undefined || length > restLimit || nameLength > length || bytes.readUInt16LE(begin + 6) !== 0)
      throw new BrokenLogError(`no record begins at ${at.offset + begin} of segment ${at.segment}`);
    const data = begin + headLength + nameLength;
    const end = begin + headLength + length;
    if (end > bytes.length) break;
    const head = {
      process: bytes.toString("latin1", begin + headLength, data),
      seq: Number(bytes.readBigUInt64LE(begin + 16)),
      time: Number(bytes.readBigUInt64LE(begin + 8)),
      next: { segment: at.segment, offset: at.offset + end },
    };
    if (kind === "exit") records.push({ ...head, kind, ...exitOf(bytes.toString("latin1", data, end)) });
    else records.push({ ...head, kind: "output", stream: kind, bytes: bytes.subarray(data, end) });
    begin = end;
  }
  return records;
};
