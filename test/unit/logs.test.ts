import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EndedOutput } from "../../server/domain/ended-output.ts";
import { DomainError } from "../../server/domain/errors.ts";
import type { LogPosition } from "../../server/domain/log-ports.ts";
import { type LogPiece, type LogQuery, SandboxLogs } from "../../server/domain/logs.ts";
import { OutputDroppedError, type ProcessRow } from "../../server/domain/process.ts";
import type { SandboxRoom } from "../../server/domain/sandbox-room.ts";
import { OutputLogs } from "../../server/supervisor/output-logs.ts";
import { LogWriter, recordBytes } from "../fixtures/log-writer.ts";

let folder: string;
let writer: LogWriter;
let source: OutputLogs;
let logs: SandboxLogs;
let state: string;
let waiting: (() => void)[];
const told = () => {
  for (const wake of waiting) wake();
};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "unshared-logs-"));
  writer = new LogWriter(folder, "box");
  source = new OutputLogs(folder);
  state = "stopped";
  waiting = [];
  const row = () => ({ id: "box", state });
  const room = { store: { find: row, get: row } } as unknown as SandboxRoom;
  const changed = (signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      waiting.push(resolve);
      signal.addEventListener("abort", () => resolve());
    });
  logs = new SandboxLogs(room, source, { changed });
});
afterEach(() => {
  logs.close();
  rmSync(folder, { recursive: true });
});

const all: LogQuery = { after: null, tail: null, since: null, process: null, streams: ["stdout", "stderr"], follow: false };
const never = new AbortController().signal;
const open = (query: Partial<LogQuery> = {}) => logs.open("box", { ...all, ...query }, never);
const textsOf = (piece: LogPiece): string[] =>
  piece.kind === "gap"
    ? [`gap ${piece.first.segment}-${piece.first.offset}`]
    : piece.records.map((record) => (record.kind === "exit" ? `exit ${record.code}` : record.bytes.toString()));
const read = async (query: Partial<LogQuery> = {}): Promise<string[]> => {
  const seen: string[] = [];
  for await (const piece of await open(query)) seen.push(...textsOf(piece));
  return seen;
};
const positions = async (): Promise<LogPosition[]> => {
  const seen: LogPosition[] = [];
  for await (const piece of await open()) if (piece.kind === "records") seen.push(...piece.records.map(({ next }) => next));
  return seen;
};
const out = (data: string, seq = 1, process = "main", time = seq * 1_000_000) => recordBytes(process, "stdout", seq, time, data);
const exit = (seq: number, process = "main") => recordBytes(process, "exit", seq, seq * 1_000_000, "exited 0 -");

test("a sandbox without a log has an empty one", async () => {
  expect(await read()).toEqual([]);
  expect(await read({ tail: 3 })).toEqual([]);
});

test("records of all segments come in order, with where the next begins", async () => {
  writer.append(3, out("one"), recordBytes("other", "stderr", 1, 5, "two"));
  writer.append(4, exit(2));
  expect(await read()).toEqual(["one", "two", "exit 0"]);
  expect(await positions()).toEqual([
    { segment: 3, offset: 31 },
    { segment: 3, offset: 63 },
    { segment: 4, offset: 38 },
  ]);
  expect(await read({ after: { segment: 3, offset: 31 } })).toEqual(["two", "exit 0"]);
  expect(await read({ process: "other" })).toEqual(["two"]);
  expect(await read({ streams: ["stdout"] })).toEqual(["one", "exit 0"]);
});

test("a place where no record ended is refused, and one that is kept no more is told with the first that is", async () => {
  writer.append(1, out("one"), out("two", 2));
  writer.append(2, out("three", 3));
  await expect(open({ after: { segment: 1, offset: 30 } })).rejects.toMatchObject({ code: "invalid-request" });
  await expect(open({ after: { segment: 9, offset: 0 } })).rejects.toMatchObject({ code: "invalid-request" });
  await expect(open({ after: { segment: 9, offset: 31 } })).rejects.toMatchObject({ code: "invalid-request" });
  writer.drop(1);
  await expect(open({ after: { segment: 1, offset: 31 } })).rejects.toMatchObject({ code: "logs-dropped", members: { first: "2-0" } });
  expect(await read()).toEqual(["three"]);
});

test("a reader that was too slow gets a gap, and nothing after it", async () => {
  writer.append(1, out("a".repeat(60_000)), out("b".repeat(60_000), 2), out("c".repeat(60_000), 3));
  writer.append(2, out("d", 4));
  const reading = await open();
  expect((await reading.next()).value).toMatchObject({ records: [{ seq: 1 }, { seq: 2 }] });
  writer.drop(1);
  expect((await reading.next()).value).toEqual({ kind: "gap", first: { segment: 2, offset: 0 } });
  expect((await reading.next()).done).toBe(true);
});

test("a record counts once it is whole, and never when a later segment was begun", async () => {
  const half = out("half", 2).subarray(0, 20);
  writer.append(1, out("one"), half);
  expect(await read()).toEqual(["one"]);
  writer.append(2, out("two", 3));
  expect(await read()).toEqual(["one", "two"]);
});

test("tail counts what fits, over segments", async () => {
  writer.append(1, out("a"), out("x", 1, "other"), out("b", 2));
  writer.append(2, out("c", 3), out("y", 2, "other"));
  writer.append(3, out("d", 4));
  expect(await read({ tail: 2 })).toEqual(["y", "d"]);
  expect(await read({ tail: 3, process: "main" })).toEqual(["b", "c", "d"]);
  expect(await read({ tail: 100 })).toEqual(["a", "x", "b", "c", "y", "d"]);
  expect(await read({ tail: 0 })).toEqual([]);
  expect(await read({ tail: 2, after: { segment: 2, offset: 59 } })).toEqual(["d"]);
});

test("since leaves out what is older", async () => {
  writer.append(1, out("old", 1), out("new", 5));
  writer.append(2, out("newer", 6));
  expect(await read({ since: 5_000 })).toEqual(["new", "newer"]);
  expect(await read({ since: Date.now() + 60_000 })).toEqual([]);
});

test("a follower sees what is appended, in later segments too, and ends with the sandbox", async () => {
  state = "running";
  const reading = await open({ follow: true });
  const first = reading.next();
  writer.append(1, out("one"));
  expect(textsOf((await first).value as LogPiece)).toEqual(["one"]);
  const second = reading.next();
  writer.append(2, out("two", 2));
  expect(textsOf((await second).value as LogPiece)).toEqual(["two"]);
  const third = reading.next();
  // Written before the end is known: it is still seen.
  writer.append(2, exit(3));
  state = "stopped";
  told();
  expect(textsOf((await third).value as LogPiece)).toEqual(["exit 0"]);
  expect((await reading.next()).done).toBe(true);
});

test("a follower of a quiet sandbox ends with it, and one that is told to close ends at once", async () => {
  state = "running";
  const [ending, closing] = [await open({ follow: true }), await open({ follow: true })];
  const [end, closed] = [ending.next(), closing.next()];
  await new Promise((resolve) => setTimeout(resolve, 20));
  logs.close();
  expect((await closed).done).toBe(true);
  state = "failed";
  told();
  expect((await end).done).toBe(true);
});

const row = (startedAt: number, id = "main") => ({ id, sandboxId: "box", started: { startedAt } }) as ProcessRow;
const outputs = async (startedAt: number, after: number | "held" = 0, id = "main") => {
  const ended = new EndedOutput(source, row(startedAt, id));
  const { release: _, ...chunk } = await ended.chunk(after);
  return { ...chunk, records: chunk.records.map(({ seq, bytes }) => `${seq} ${bytes}`) };
};

test("the output of a process is that of its last run alone", async () => {
  writer.append(1, out("old", 1), out("older", 2), exit(3));
  writer.append(2, out("new", 1, "main", 9_000_000), out("exec", 1, "p1"), recordBytes("main", "exit", 2, 9_500_000, "signaled - 9"));
  expect(await outputs(9_000)).toEqual({ records: ["1 new"], first: 1, next: 2, ended: true, droppedBytes: 0 });
  expect(await outputs(0, 0, "p1")).toMatchObject({ records: ["1 exec"], next: 2 });
  expect(await outputs(9_000, 1)).toMatchObject({ records: [], next: 2 });
  // The run after that left nothing: it was lost before it wrote.
  await expect(outputs(10_000)).rejects.toEqual(new OutputDroppedError(null));
  await expect(outputs(0, 0, "nobody")).rejects.toEqual(new OutputDroppedError(null));
});

test("the output that is kept begins where it begins, and a hole in it is told", async () => {
  writer.append(5, out("c", 3), out("d", 4), out("f", 6), exit(7));
  await expect(outputs(0)).rejects.toEqual(new OutputDroppedError(3));
  expect(await outputs(0, "held")).toMatchObject({ records: ["3 c", "4 d"], first: 3, next: 7, droppedBytes: null });
  await expect(outputs(0, 4)).rejects.toEqual(new OutputDroppedError(6));
  const reader = new EndedOutput(source, row(0));
  expect((await reader.chunk("held"))?.records.map(({ seq }) => seq)).toEqual([3, 4]);
  await expect(reader.chunk(4)).rejects.toEqual(new OutputDroppedError(6));
  expect((await reader.chunk(5))?.records.map(({ seq }) => seq)).toEqual([6]);
  expect((await reader.chunk(6))?.records).toEqual([]);
  expect((await reader.chunk(2))?.records.map(({ seq }) => seq)).toEqual([3, 4]);
});

test("what is no log is an error, not an answer", async () => {
  writer.append(1, Buffer.alloc(64, 7));
  await expect(read()).rejects.not.toBeInstanceOf(DomainError);
});
