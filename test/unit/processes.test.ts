import { describe, expect, test } from "vitest";
import type { Definition } from "../../server/domain/definition.ts";
import { completeDefinition } from "../../server/domain/definitions.ts";
import { DomainError } from "../../server/domain/errors.ts";
import { newId } from "../../server/domain/ids.ts";
import { LimitPolicy } from "../../server/domain/limits.ts";
import type { ProcessExit, ProcessRow } from "../../server/domain/process.ts";
import { completeProcess } from "../../server/domain/process-definitions.ts";
import type { OutputPiece } from "../../server/domain/process-reading.ts";
import { ProcessRecords } from "../../server/domain/process-records.ts";
import { collectedBytes, OutputCollector } from "../../server/domain/process-results.ts";
import { Sandboxes } from "../../server/domain/sandboxes.ts";
import { signalNumber } from "../../server/domain/signals.ts";
import { BodyWriter } from "../../server/http/body-writer.ts";
import { acceptedFormat, ndjson, type OutputFormat, rawBytes, serverSentEvents } from "../../server/http/output-stream.ts";
import { ProcessTable } from "../../server/store/processes.ts";
import { reportedProcessOf, signalName } from "../../server/supervisor/replies.ts";
import { makeRoom } from "../fixtures/sandbox-room.ts";

const sandbox: Definition = completeDefinition({ user: { uid: 7, gid: 8 } }, "box", "admin", new LimitPolicy());
const exit: ProcessExit = {
  reason: "exited",
  code: 0,
  signal: null,
  exitedAt: 2_000,
  durationMs: 0,
  userCpuSeconds: 0,
  systemCpuSeconds: 0,
  maxRssBytes: 1,
};
const started = { pid: 10, pidInside: 2, startTicks: 3, startedAt: 1_500 };

describe("the definition of a process", () => {
  test("has its sandbox's user and bound of output, and otherwise nothing of it", () => {
    expect(completeProcess({ command: ["ls"] }, sandbox)).toEqual({
      command: ["ls"],
      env: {},
      cwd: "/",
      user: { uid: 7, gid: 8 },
      tty: false,
      stdin: false,
      timeoutSeconds: null,
      outputBytes: sandbox.limits.outputBytes,
      labels: {},
    });
    expect(completeProcess({ script: "a | b" }, sandbox).command).toEqual(["/bin/sh", "-c", "a | b"]);
    expect(completeProcess({ command: ["sh"], tty: true, stdin: false }, sandbox).stdin).toBe(true);
  });

  test.each([
    [{}, "/command"],
    [{ command: ["a"], script: "a" }, "/script"],
    [{ command: [""] }, "/command/0"],
    [{ command: ["a"], cwd: "a" }, "/cwd"],
  ])("%j is refused with its pointer", (input, pointer) => {
    try {
      completeProcess(input, sandbox);
      expect.unreachable();
    } catch (error) {
      expect((error as DomainError).faults[0]?.pointer).toBe(pointer);
    }
  });
});

test("signals have names, with SIG or without, and numbers", () => {
  expect(["SIGTERM", "TERM", "SIGRTMIN", "SIGRTMIN+3", "RTMIN+30", 9].map(signalNumber)).toEqual([15, 15, 34, 37, 64, 9]);
  for (const bad of ["SIGNONE", "SIGRTMIN+31", "toString", "__PROTO__"]) expect(() => signalNumber(bad)).toThrow(DomainError);
});

test("names a signal as everybody does, where it has two names", () => {
  expect([6, 9, 29, 37, 33].map(signalName)).toEqual(["SIGABRT", "SIGKILL", "SIGIO", "SIGRTMIN+3", "SIG33"]);
});

describe("a line of the supervisor's report", () => {
  test("says how a process runs, or how it ended", () => {
    const running = { id: "p", started: { pid: 1, pidInside: 2, startTicks: 3, startedAt: 4 } };
    expect(reportedProcessOf("p 1 2 3 4 0 running")).toEqual({ ...running, exit: null });
    expect(reportedProcessOf("p 1 2 3 4 1 ended exited 7 - 10 2000000 500000 4096")).toEqual({
      ...running,
      exit: {
        reason: "exited",
        code: 7,
        signal: null,
        exitedAt: 10,
        durationMs: 6,
        userCpuSeconds: 2,
        systemCpuSeconds: 0.5,
        maxRssBytes: 4096,
      },
    });
    expect(reportedProcessOf("p 1 2 3 4 1 ended timed-out - 9 10 0 0 0").exit).toMatchObject({ reason: "timed-out", signal: "SIGKILL" });
  });

  test.each(["", "p 1 2 3", "p 1 2 3 4 0 ended", "p 1 2 3 4 0 ended died 0 - 1 1 1 1", "p 1 2 3 4 0 ended exited - - 1 1 1 1"])(
    "that cannot be one is refused: %j",
    (line) => {
      expect(() => reportedProcessOf(line)).toThrow();
    },
  );
});

describe("what is stored of processes", () => {
  const make = async () => {
    const made = makeRoom();
    const { id } = await new Sandboxes(made.room).create({ name: "box" }, false, "admin");
    const table = new ProcessTable(made.database);
    const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const records = new ProcessRecords({
      processes: table,
      events: made.room.events,
      persistence: made.database,
      log: silent,
      bootId: "boot-1",
    });
    const row = (): ProcessRow => ({
      id: newId(),
      sandboxId: id,
      definition: completeProcess({ command: ["ls"], labels: { a: "b" } }, sandbox),
      state: "starting",
      started: null,
      bootId: "boot-1",
      exit: null,
      createdAt: 1_000,
    });
    const types = () =>
      made.database
        .prepare<[], { type: string }>("SELECT type FROM events ORDER BY id")
        .all()
        .map(({ type }) => type);
    return { ...made, id, table, records, row, types };
  };

  test("is their start and end, with the time between", async () => {
    const { records, table, row, id, types, close } = await make();
    const process = row();
    records.intend(process);
    expect(table.get(id, process.id)?.state).toBe("starting");
    records.started(process, started);
    records.exited(id, process.id, exit);
    expect(table.get(id, process.id)).toEqual({ ...process, state: "ended", started, exit: { ...exit, durationMs: 500 } });
    expect(types()).toEqual(["sandbox.created", "process.started", "process.exited"]);
    await close();
  });

  test("is right when the exit overtakes the answer to the start", async () => {
    const { records, table, row, id, types, close } = await make();
    const process = row();
    records.intend(process);
    records.exited(id, process.id, exit);
    expect(table.get(id, process.id)?.state).toBe("starting");
    expect(records.started(process, started)).toMatchObject({ state: "ended", exit: { durationMs: 500 } });
    expect(types().slice(1)).toEqual(["process.started", "process.exited"]);
    await close();
  });

  test("is made true by what a new connection finds", async () => {
    const { records, table, row, id, database, room, close } = await make();
    const [ran, ends, vanished, unanswered, asked] = [row(), row(), row(), row(), row()];
    for (const each of [ran, ends, vanished, unanswered]) records.intend(each);
    for (const each of [ran, ends, vanished]) records.started(each, started);
    // A daemon that was started anew knows of no start under way but its own.
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const next = new ProcessRecords({ processes: table, events: room.events, persistence: database, log, bootId: "boot-1" });
    next.intend(asked);
    next.found(id, [
      { id: ran.id, started, exit: null },
      { id: ends.id, started, exit },
      { id: unanswered.id, started, exit: null },
    ]);
    const states = [ran, ends, vanished, unanswered, asked].map((each) => table.get(id, each.id)?.state);
    expect(states).toEqual(["running", "ended", "lost", "running", "starting"]);
    next.notStarted(asked);
    next.over(id);
    expect([ran, ends, asked].map((each) => table.get(id, each.id)?.state ?? null)).toEqual(["lost", "ended", null]);
    await close();
  });

  test("is bounded: of those that ended the last 256 are kept, and the others told of", async () => {
    const { records, table, row, id, types, close } = await make();
    const rows = Array.from({ length: 260 }, row);
    for (const [index, each] of rows.entries()) {
      records.intend(each);
      records.started(each, started);
      // The newest ended first.
      records.exited(id, each.id, { ...exit, exitedAt: 10_000 - index });
    }
    expect(rows.filter((each) => table.get(id, each.id) === null).map((each) => each.id)).toEqual(rows.slice(256).map((each) => each.id));
    expect(types().filter((type) => type === "process.forgotten").length).toBe(4);
    await close();
  });

  test("goes with the sandbox, and wakes who waits", async () => {
    const { records, table, row, id, room, close } = await make();
    const process = row();
    records.intend(process);
    records.started(process, started);
    const changed = records.changed(id, process.id, new AbortController().signal);
    records.exited(id, process.id, exit);
    await changed;
    const stop = new AbortController();
    const aborted = records.changed(id, process.id, stop.signal);
    stop.abort();
    await aborted;
    room.store.remove(id);
    expect(table.get(id, process.id)).toBe(null);
    await close();
  });
});

describe("output on the wire", () => {
  const record = (bytes: Buffer) => ({ seq: 7, stream: "stdout" as const, time: 1_000_500, bytes });
  const piece = (bytes: Buffer) => ({ kind: "records" as const, records: [record(bytes)], release: () => {} });
  const written = (format: OutputFormat, piece: OutputPiece): Buffer => {
    const body = new BodyWriter();
    format.write(piece, body);
    return Buffer.from(body.finish().bytes);
  };

  test("is text where it is UTF-8, else base64, byte for byte", () => {
    const long = Buffer.from('ü€😀\u0000"'.repeat(20_000));
    for (const bytes of [
      Buffer.from('a"\\\n\0\u2028😀'),
      Buffer.from([0xff, 0, 0x80]),
      Buffer.from([0xc3]),
      Buffer.alloc(0),
      long,
      Buffer.concat([Buffer.from([0xff]), long]),
    ]) {
      const line = written(ndjson, piece(bytes)).toString("utf8");
      expect(line.indexOf("\n")).toBe(line.length - 1);
      const { seq, stream, time, data, encoding } = JSON.parse(line);
      expect([seq, stream, time]).toEqual([7, "stdout", "1970-01-01T00:00:01.000Z"]);
      expect(Buffer.from(data, encoding ?? "utf8")).toEqual(bytes);
    }
    expect(written(serverSentEvents, piece(Buffer.from("a\n\nb"))).toString()).toBe(
      'id: 7\nevent: output\ndata: {"seq":7,"stream":"stdout","time":"1970-01-01T00:00:01.000Z","data":"a\\n\\nb"}\n\n',
    );
    expect(written(rawBytes, piece(Buffer.from([0xff])))).toEqual(Buffer.from([0xff]));
  });

  test("ends with the exit, or tells the gap", () => {
    expect(JSON.parse(written(ndjson, { kind: "exit", seq: 8, exit }).toString())).toMatchObject({
      seq: 8,
      exit: { code: 0, exitedAt: expect.any(String) },
    });
    expect(written(ndjson, { kind: "gap", first: null }).toString()).toBe('{"gap":{"first":null}}\n');
    expect(written(serverSentEvents, { kind: "gap", first: 9 }).toString()).toBe('event: gap\ndata: {"gap":{"first":9}}\n\n');
    expect(() => written(rawBytes, { kind: "gap", first: 9 })).toThrow();
  });

  test("comes in the form that is accepted", () => {
    const formats = [undefined, "*/*", "text/event-stream", "application/octet-stream", "application/x-ndjson"].map((accept) =>
      acceptedFormat(accept, [serverSentEvents, rawBytes], ndjson),
    );
    expect(formats).toEqual([ndjson, ndjson, serverSentEvents, rawBytes, ndjson]);
  });

  test("that is collected is the last of each stream", () => {
    const collector = new OutputCollector();
    const large = Buffer.alloc(collectedBytes - 1, "x");
    collector.add([record(Buffer.from("first")), record(large), { ...record(Buffer.from("é")), stream: "stderr" }]);
    const { stdout, stderr, droppedBytes } = collector.result(0);
    expect([stdout.bytes, stdout.truncated, stdout.data.slice(0, 2)]).toEqual([collectedBytes, true, "tx"]);
    expect([stderr, droppedBytes]).toEqual([{ data: "é", encoding: "utf-8", bytes: 2, truncated: false }, 0]);
    expect(collector.result(5).stderr.truncated).toBe(true);
  });
});
