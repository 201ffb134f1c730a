/** Clients that ask and never read the answer: each is cut off in bounded time, and what waited for it is free again. */
import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const clientSeconds = 3;
const deadline = 30_000;
let box: SandboxDaemon;
beforeAll(async () => {
  box = await SandboxDaemon.start("unread", 1_800_000_000, "--client-seconds", `${clientSeconds}`, "--ready-shells", "0");
  await box.run({ name: "box", command: ["sleep", "infinity"] });
});
afterAll(() => box[Symbol.asyncDispose]());

const start = async (script: string, more: object = {}): Promise<string> => {
  const { status, text, body } = await box.request("POST", "/v1/sandboxes/box/processes", { script, ...more });
  expect(status, text).toBe(201);
  return `/v1/sandboxes/box/processes/${body.id}`;
};
const cuts = async (): Promise<number> => {
  const { text } = await box.request("GET", "/metrics");
  return Number(/^unshared_http_connections_cut_total\{reason="answer-unread"\} (\d+)$/m.exec(text)?.[1]);
};
/** What the kernel says of the daemon's descriptors. */
const sockets = (): number =>
  readdirSync(`/proc/${box.daemon.pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${box.daemon.pid}/fd/${fd}`).startsWith("socket:");
    } catch {
      return false;
    }
  }).length;
const residentKib = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${box.daemon.pid}/status`, "utf8"))?.[1]);

/** A connection that is never read from. */
const deaf = async (head: string): Promise<Socket> => {
  const socket = connect(box.daemon.socket).pause();
  socket.on("error", () => {});
  await new Promise<void>((done, failed) => socket.once("connect", done).once("error", failed));
  socket.write(`${head}host: localhost\r\n\r\n`);
  return socket;
};
const handshake = (path: string) =>
  `GET ${path}/terminal HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${randomBytes(16).toString("base64")}\r\n`;
/** A masked frame (RFC 6455, section 5.2) of less than 126 bytes; the mask is zero. */
const frame = (opcode: number, payload: string): Buffer =>
  Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]), Buffer.from(payload)]);

const expectCut = async (before: { cuts: number; sockets: number }, count: number) => {
  await until("all are cut off", async () => (await cuts()) >= before.cuts + count, deadline);
  await until("their sockets are closed", () => sockets() <= before.sockets, deadline);
};
const now = async () => ({ cuts: await cuts(), sockets: sockets() });

describe("a client that never reads is cut off", () => {
  it("from streams of output and logs, and from answers of one piece", { timeout: 60_000 }, async () => {
    // All of it is held when it is asked for, and it is more than the kernel takes: nothing can be dropped, which would end the streams.
    const noisy = await start("head -c 1000000 /dev/zero | tr '\\0' y", { outputBytes: 1_048_576 });
    await until("it has ended", async () => (await box.request("GET", noisy)).body.exit !== null, deadline);
    const before = await now();
    const clients = await Promise.all([
      deaf(`GET ${noisy}/output?follow=true HTTP/1.1\r\n`),
      deaf(`GET ${noisy}/output?follow=true HTTP/1.1\r\naccept: text/event-stream\r\n`),
      deaf(`GET /v1/sandboxes/box/logs?follow=true HTTP/1.1\r\n`),
      ...Array.from({ length: 5 }, () => deaf("GET /openapi.json HTTP/1.1\r\n")),
    ]);
    await expectCut(before, clients.length);
    for (const client of clients) client.destroy();
    await until(
      "the log has them",
      () => box.daemon.log.filter(({ reason }) => reason === "answer-unread").length >= clients.length,
      deadline,
    );
    await box.request("DELETE", noisy);
  });

  it("from a terminal, also while the terminal does not take what it types", { timeout: 60_000 }, async () => {
    const terminal = await start("stty raw -echo; while :; do head -c 100000 /dev/zero | tr '\\0' y; sleep 0.05; done", { tty: true });
    const before = await now();
    const silent = await deaf(handshake(terminal));
    const typing = await deaf(handshake(terminal));
    for (let turn = 0; turn < 2_000; turn++) typing.write(frame(2, "x".repeat(100)));
    await expectCut(before, 2);
    for (const client of [silent, typing]) client.destroy();
    await box.request("DELETE", terminal);
  });
});

describe("a viewer that sends and never reads", () => {
  it("makes nothing pile up: it is not read, either", { timeout: 60_000 }, async () => {
    const terminal = await start("sleep infinity", { tty: true });
    const before = await now();
    const [resident, client] = [residentKib(), await deaf(handshake(terminal))];
    const wrong = Buffer.concat(Array.from({ length: 1_000 }, () => frame(1, '{"type":"nothing-of-this-kind"}')));
    let accepted = 0;
    const more = (error?: Error | null) => {
      if (error) return;
      accepted += wrong.length;
      client.write(wrong, more);
    };
    more();
    await expectCut(before, 1);
    // Each frame of 37 bytes is answered by some 300. What was taken fills a queue of 1 MiB and the kernel's buffers, and no more.
    expect(accepted).toBeGreaterThan(wrong.length);
    expect(accepted).toBeLessThan(4_000_000);
    expect(residentKib() - resident).toBeLessThan(60_000);
    client.destroy();
    await box.request("DELETE", terminal);
  });
});

describe("a client is not cut off", () => {
  it("while it reads slowly, waits for an answer, or nothing comes on its stream", { timeout: 60_000 }, async () => {
    const before = await cuts();
    const finished = await start("head -c 1000000 /dev/zero | tr '\\0' y", { outputBytes: 1_048_576 });
    const quiet = await deaf("GET /v1/events?follow=true HTTP/1.1\r\n");
    const waiting = box.request("POST", "/v1/sandboxes/box/processes?wait=true", { script: `sleep ${clientSeconds * 2}; echo woke` });
    const slow = await deaf(`GET ${finished}/output?follow=true HTTP/1.1\r\naccept: application/octet-stream\r\n`);
    const hash = createHash("sha256");
    let bytes = 0;
    const began = performance.now();
    // A mouthful each half second: for longer in all than a client may do nothing.
    const closed = new Promise<void>((done) => slow.once("close", done));
    slow.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      hash.update(chunk);
      slow.pause();
      setTimeout(() => slow.resume(), 250);
    });
    slow.resume();
    await until("all of it is read", () => bytes > 1_000_000, deadline);
    expect((performance.now() - began) / 1000).toBeGreaterThan(clientSeconds);
    slow.destroy();
    await closed;
    const { text } = await waiting;
    expect(text).toContain('"data":"woke\\n"');
    expect(quiet.destroyed || quiet.closed).toBe(false);
    quiet.destroy();
    expect(await cuts()).toBe(before);
  });
});
