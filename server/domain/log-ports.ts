import type { OutputRecord, ProcessExit } from "./process.ts";

/** Where a record begins: a segment of the log and the bytes before it. */
export interface LogPosition {
  segment: number;
  offset: number;
}

interface RecordHead {
  process: string;
  /** Within its process, as in its output; of an exit: the one after the last. */
  seq: number;
  /** Microseconds since 1970. */
  time: number;
  /** Where the record after it begins. */
  next: LogPosition;
}

/** Bytes that a process wrote. */
export interface LogOutput extends RecordHead, OutputRecord {
  kind: "output";
}

/** A process ended. */
export interface LogExit extends RecordHead {
  kind: "exit";
  reason: ProcessExit["reason"];
  code: number | null;
  signal: string | null;
}

export type LogRecord = LogOutput | LogExit;

/** `at`: where reading goes on; the same as was asked for where nothing is there yet. */
export interface LogPage {
  records: readonly LogRecord[];
  at: LogPosition;
}

/** The record at the position that was asked for is kept no more. `first`: where the oldest one kept begins. */
export class LogDroppedError extends Error {
  readonly first: LogPosition;

  constructor(first: LogPosition) {
    super(`the log begins in segment ${first.segment}`);
    this.first = first;
  }
}

/** The logs that supervisors write. A sandbox that was never started has an empty one. */
export interface LogSource {
  /** Where the oldest record begins, and where the next one will. */
  span(sandboxId: string): Promise<{ first: LogPosition; end: LogPosition }>;
  /** Some whole records from a position on. @throws LogDroppedError */
  page(sandboxId: string, at: LogPosition): Promise<LogPage>;
  /** Whether a record begins or ended there. False also for what is kept no more. */
  isBoundary(sandboxId: string, at: LogPosition): Promise<boolean>;
  /** The segments that are kept, oldest first, with the last time that each was written to, in milliseconds since 1970. */
  segments(sandboxId: string): Promise<{ number: number; writtenAt: number }[]>;
  /** Begins to watch: resolves at the next change. Call it before looking, so that nothing is missed. */
  watch(sandboxId: string, signal: AbortSignal): Promise<void>;
}
