import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isAlive, statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

let daemon: SandboxDaemon;
const base = "/v1/sandboxes/box/processes";
beforeAll(async () => {
  daemon = await SandboxDaemon.start("output", 1_720_000_000);
  await daemon.run({ name: "box", command: ["sleep", "infinity"] });
});
afterAll(() => daemon[Symbol.asyncDispose]());

const start = async (body: object): Promise<string> => {
  const reply = await daemon.request("POST", base, body);
  expect(reply.status, reply.text).toBe(201);
  return reply.body.id;
};
const ended = (id: string) => daemon.request("GET", `${base}/${id}?wait=60`);
const output = (id: string, query = "", headers: Record<string, string> = {}) =>
  daemon.request("GET", `${base}/${id}/output${query}`, undefined, headers);

interface Line {
  seq: number;
  stream?: string;
  data?: string;
  encoding?: string;
  exit?: { code: number };
  gap?: { first: number | null };
}
const linesOf = (text: string): Line[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
const bytesOf = ({ data = "", encoding }: Line) => Buffer.from(data, encoding === "base64" ? "base64" : "utf8");

/** A reader of the raw stream that is paused and broken off at will. */
const reading = async (path: string, headers: Record<string, string> = {}) => {
  const lines: Line[] = [];
  let rest = "";
  const call = request({ socketPath: daemon.daemon.socket, path, headers: { host: "localhost", ...headers } });
  const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
    call.once("response", resolve).once("error", reject).end();
  });
  call.on("error", () => {});
  const state = { lines, text: "", over: false, response, stop: () => call.destroy() };
  response.setEncoding("utf8").on("data", (chunk: string) => {
    state.text += headers["accept"] === undefined ? "" : chunk;
    const parts = (rest + chunk).split("\n");
    rest = parts.pop() ?? "";
    if (headers["accept"] === undefined) for (const part of parts) if (part !== "") lines.push(JSON.parse(part));
  });
  response.on("close", () => {
    state.over = true;
  });
  response.on("error", () => {});
  return state;
};

describe("the output", () => {
  it("is numbered records of both streams, and the exit last", async () => {
    const id = await start({ script: "echo one; echo two >&2; printf '\\303'; sleep 0.05; printf '\\274'; exit 3" });
    await ended(id);
    const { text, headers } = await output(id);
    expect(headers["content-type"]).toBe("application/x-ndjson");
    const lines = linesOf(text);
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index + 1));
    expect(lines.at(-1)).toMatchObject({ exit: { reason: "exited", code: 3, signal: null } });
    expect(Buffer.concat(lines.filter(({ stream }) => stream === "stdout").map(bytesOf)).toString()).toBe("one\nü");
    expect(lines.filter(({ encoding }) => encoding === "base64").length).toBe(2);
    const errors = linesOf((await output(id, "?stream=stderr")).text);
    expect(errors.map(({ data }) => data)).toEqual(["two\n", undefined]);
    expect(linesOf((await output(id, "?after=2")).text)[0]?.seq).toBe(3);
  });

  it("without follow ends where it is, and has no exit while the process lives", async () => {
    const id = await start({ script: "echo now; exec sleep 100" });
    await until("the line", async () => (await output(id)).text.includes("now"));
    expect(linesOf((await output(id)).text).map(({ data, exit }) => [data, exit])).toEqual([["now\n", undefined]]);
    await daemon.request("DELETE", `${base}/${id}`);
  });

  it("is followed live, and comes back after a break without a loss or a repetition", async () => {
    const id = await start({ script: "i=0; while [ $i -lt 40 ]; do echo $i; i=$((i+1)); sleep 0.01; done" });
    const seen: Line[] = [];
    while (!seen.some(({ exit }) => exit)) {
      const reader = await reading(`${base}/${id}/output?follow=true&after=${seen.at(-1)?.seq ?? 0}`);
      await until("some", () => reader.lines.length >= 7 || reader.over);
      reader.stop();
      seen.push(...reader.lines);
    }
    expect(seen.map(({ seq }) => seq)).toEqual(seen.map((_, index) => index + 1));
    expect(seen.map(({ data = "" }) => data).join("")).toBe(Array.from({ length: 40 }, (_, index) => `${index}\n`).join(""));
  });

  it("comes as events where they are asked for, and Last-Event-ID resumes", async () => {
    const accept = "text/event-stream";
    const id = await start({ script: "echo a; sleep 0.1; echo b; exit 2" });
    const { text, headers } = await output(id, "?follow=true", { accept });
    expect(headers["content-type"]).toMatch(/^text\/event-stream/);
    const events = text.split("\n\n").filter((part) => part !== "" && !part.startsWith(":"));
    expect(events.map((event) => event.split("\n").slice(0, 2))).toEqual([
      ["id: 1", "event: output"],
      ["id: 2", "event: output"],
      ["id: 3", "event: exit"],
    ]);
    const resumed = (await output(id, "?follow=true", { accept, "last-event-id": "1" })).text;
    expect(resumed).toMatch(/^id: 2\n/);
    expect((await output(id, "", { accept, "last-event-id": "3" })).status).toBe(204);
    expectProblem(await output(id, "", { accept, "last-event-id": "x" }), 400);
  });

  it("comes as bytes alone where they are asked for", async () => {
    const id = await start({ script: "printf 'a\\377b'; sleep 0.05; printf c; printf d >&2" });
    const call = request({
      socketPath: daemon.daemon.socket,
      path: `${base}/${id}/output?follow=true&stream=stdout`,
      headers: { host: "localhost", accept: "application/octet-stream" },
    });
    const pieces: Buffer[] = [];
    const response = await new Promise<import("node:http").IncomingMessage>((resolve) => call.once("response", resolve).end());
    for await (const piece of response) pieces.push(piece as Buffer);
    expect(response.headers["content-type"]).toBe("application/octet-stream");
    expect(Buffer.concat(pieces)).toEqual(Buffer.from([0x61, 0xff, 0x62, 0x63]));
  });

  it("of a kind that was dropped is answered 410 with what is held, never with a silent gap", async () => {
    const id = await start({ script: "head -c 300000 /dev/zero", outputBytes: 65_536 });
    await ended(id);
    const problem = expectProblem(await output(id), 410);
    expect(problem).toMatchObject({ code: "output-dropped", exit: { code: 0 } });
    const first = problem["first"] as number;
    expect(first).toBeGreaterThan(1);
    expect(linesOf((await output(id, `?after=${first - 1}`)).text)[0]?.seq).toBe(first);
    expect(linesOf((await output(id, "?after=held")).text)[0]?.seq).toBe(first);
    const { output: collected } = (await daemon.request("GET", `${base}/${id}?wait=true`)).body;
    expect(collected.stdout.truncated).toBe(true);
    expect(collected.stdout.bytes + collected.droppedBytes).toBe(300_000);
  });

  it("tells a reader that was too slow of the gap, as its last record", { timeout: 60_000 }, async () => {
    const command = ["/bin/bash", "-c", "read; head -c 20000000 /dev/zero | tr '\\0' x"];
    const id = await start({ command, stdin: true, outputBytes: 131_072 });
    const reader = await reading(`${base}/${id}/output?follow=true`);
    reader.response.pause();
    await daemon.request("POST", `${base}/${id}/stdin`, Buffer.from("go\n"));
    await ended(id);
    reader.response.resume();
    await until("the end", () => reader.over);
    const last = reader.lines.at(-1);
    expect(last?.gap?.first).toBeGreaterThan((reader.lines.at(-2)?.seq ?? 0) + 1);
    const seqs = reader.lines.slice(0, -1).map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, index) => (seqs[0] ?? 0) + index));
  });

  it("waits whole for a reader that stalls for long, and the process does not wait for it", { timeout: 90_000 }, async () => {
    const bytes = 30_000_000;
    const script = `read; head -c ${bytes} /dev/urandom >/tmp/stalled; sha256sum /tmp/stalled >&2; cat /tmp/stalled`;
    const id = await start({ command: ["/bin/bash", "-c", script], stdin: true, outputBytes: 50_331_648 });
    const reader = await reading(`${base}/${id}/output?follow=true`);
    reader.response.pause();
    await daemon.request("POST", `${base}/${id}/stdin?close=true`, {});
    // It ends while its reader has next to nothing: no buffer on the way holds so much.
    expect((await ended(id)).body.exit).toMatchObject({ reason: "exited", code: 0 });
    expect(reader.lines.reduce((sum, line) => sum + bytesOf(line).length, 0)).toBeLessThan(bytes / 10);
    reader.response.resume();
    await until("the end", () => reader.over, 60_000);
    expect(reader.lines.map(({ seq }) => seq)).toEqual(reader.lines.map((_, index) => index + 1));
    expect(reader.lines.at(-1)?.exit?.code).toBe(0);
    const bytesIn = (stream: string) => Buffer.concat(reader.lines.filter((line) => line.stream === stream).map(bytesOf));
    expect(createHash("sha256").update(bytesIn("stdout")).digest("hex")).toBe(bytesIn("stderr").toString().split(" ")[0]);
  });

  it("of the main process is there as well, and its end is seen by who follows", async () => {
    await daemon.run({ name: "short", command: ["/bin/bash", "-c", "read; echo got $REPLY; exit 6"] });
    const path = "/v1/sandboxes/short/processes/main";
    const reader = await reading(`${path}/output?follow=true`);
    await daemon.request("POST", `${path}/stdin`, undefined, {});
    const call = request({
      socketPath: daemon.daemon.socket,
      method: "POST",
      path: `${path}/stdin`,
      headers: { host: "localhost", "content-length": 6 },
    });
    call.end("hello\n");
    await until("the end", () => reader.over);
    expect(reader.lines[0]).toMatchObject({ seq: 1, data: "got hello\n" });
    expect(reader.lines.at(-1)).toMatchObject({ seq: 2, exit: { code: 6 } });
    await daemon.request("DELETE", "/v1/sandboxes/short");
  });
});

describe("readers", () => {
  it("that stall slow neither the process nor others, and cost the daemon little", { timeout: 60_000 }, async () => {
    const rss = () => Number(statusLine(daemon.daemon.pid, "VmRSS").split(" ")[0]) * 1024;
    const id = await start({ script: "head -c 30000000 /dev/zero | tr '\\0' y; exec sleep 100", outputBytes: 33_554_432 });
    const whole = await reading(`${base}/${id}/output?follow=true`);
    await until("all of it", () => whole.lines.reduce((sum, { data = "" }) => sum + data.length, 0) === 30_000_000, 20_000);
    whole.stop();
    const crowd = async () => {
      const readers = await Promise.all(Array.from({ length: 50 }, () => reading(`${base}/${id}/output?follow=true`)));
      for (const each of readers) each.response.pause();
      await new Promise((next) => setTimeout(next, 500));
      return readers;
    };
    // A crowd's first chunks leave garbage, for which the heap grows to its level; what readers hold is seen once it has that.
    let stalled = await crowd();
    let growth = Number.MAX_SAFE_INTEGER;
    for (let round = 0; round < 8 && growth >= 20_000_000; round++) {
      for (const each of stalled) each.stop();
      const before = rss();
      stalled = await crowd();
      growth = rss() - before;
    }
    expect(growth).toBeLessThan(20_000_000);
    const other = await start({ script: "echo quick" });
    await ended(other);
    for (const each of stalled) each.stop();
    await daemon.request("DELETE", `${base}/${id}`);
  });

  it("in a crowd all get everything", { timeout: 60_000 }, async () => {
    const id = await start({
      script: "sleep 0.3; i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done; head -c 2000000 /dev/zero | tr '\\0' z",
      outputBytes: 4_194_304,
    });
    const readers = await Promise.all(Array.from({ length: 100 }, () => reading(`${base}/${id}/output?follow=true`)));
    await until("all ends", () => readers.every(({ over }) => over), 30_000);
    const texts = readers.map(({ lines }) => lines.map(({ data = "" }) => data).join(""));
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]?.length).toBe((await daemon.request("GET", `${base}/${id}?wait=true`)).body.output.stdout.bytes);
  });
});

describe("a daemon that is killed in the middle of the output", () => {
  it("leaves it whole: who resumes at the number has it byte for byte", { timeout: 120_000 }, async () => {
    const bytes = 50_000_000;
    // OpenSSL-like stream from a seed, made by awk-free tools of the root: the hash is computed by the sandbox itself, over a pipe of its own.
    const script = `for i in 1 2 3 4; do head -c ${bytes / 4} /dev/urandom; sleep 0.1; done | tee >(sha256sum >/tmp/sum)`;
    const sum = "until [ -s /tmp/sum ]; do sleep 0.01; done; cat /tmp/sum >&2";
    const id = await start({ command: ["/bin/bash", "-c", `${script}; ${sum}`], outputBytes: 67_108_864 });
    const seen: Line[] = [];
    for (let kills = 0; !seen.some(({ exit }) => exit); kills += 1) {
      const reader = await reading(`${base}/${id}/output?follow=true&after=${seen.at(-1)?.seq ?? 0}`);
      const goal = kills < 2 ? 30 : Number.POSITIVE_INFINITY;
      await until("a part", () => reader.lines.length >= goal || reader.over, 60_000);
      if (kills < 2) {
        await daemon.daemon.end("SIGKILL");
        await until("the break", () => reader.over);
        await daemon.daemon.start();
      }
      // The last line may have been cut off by the kill: what is parsed is whole.
      seen.push(...reader.lines);
    }
    expect(seen.map(({ seq }) => seq)).toEqual(seen.map((_, index) => index + 1));
    const stdout = Buffer.concat(seen.filter(({ stream }) => stream === "stdout").map(bytesOf));
    const stderr = Buffer.concat(seen.filter(({ stream }) => stream === "stderr").map(bytesOf)).toString();
    expect(stdout.length).toBe(bytes);
    expect(createHash("sha256").update(stdout).digest("hex")).toBe(stderr.split(" ")[0]);
  });
});

describe("what a client leaves behind", () => {
  it("in the middle of a stream is nothing", async () => {
    const count = () => readdirSync(`/proc/${daemon.daemon.pid}/fd`).length;
    const id = await start({ script: "while echo again; do sleep 0.001; done" });
    const before = count();
    for (let round = 0; round < 10; round += 1) {
      const readers = await Promise.all(Array.from({ length: 10 }, () => reading(`${base}/${id}/output?follow=true`)));
      for (const each of readers) each.stop();
      await until("all gone", () => readers.every(({ over }) => over));
    }
    await until("its descriptors are as before", () => count() <= before + 2);
    const { pid } = (await daemon.request("GET", `${base}/${id}`)).body;
    expect(isAlive(pid)).toBe(true);
    await daemon.request("DELETE", `${base}/${id}`);
  });
});
