/** Two thousand connections that are held open by as little as possible: all are cut off in bounded time, and others are served meanwhile. */
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";
import { startSmallDaemon, tcpPort } from "./small-daemon.ts";
import { Wire } from "./wire.ts";

const clientSeconds = 5;
let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon("--client-seconds", `${clientSeconds}`);
});
afterAll(() => daemon[Symbol.asyncDispose]());

const descriptors = () => readdirSync(`/proc/${daemon.pid}/fd`).length;
/** How many requests to /healthz were answered, or begun to be. */
const answered = async (): Promise<number> => {
  const { text } = await daemon.request("GET", "/metrics");
  const counts = [...text.matchAll(/^unshared_http_request_seconds_count\{.*route="\/healthz".*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
};
const cuts = async (reason: string): Promise<number> => {
  const { text } = await daemon.request("GET", "/metrics");
  return Number(new RegExp(`^unshared_http_connections_cut_total\\{reason="${reason}"\\} (\\d+)$`, "m").exec(text)?.[1]);
};
/** Half of them by each door. */
const open = (index: number) => Wire.open(index % 2 === 0 ? { path: daemon.socket } : { host: "127.0.0.1", port: tcpPort(daemon) });
const head = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n";
const body = "POST /v1/sandboxes HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n";

/** How many there are of a kind, and what each sends at first, and again and again. */
const kinds: { count: number; first: string; drip: string }[] = [
  { count: 600, first: "", drip: "" },
  { count: 600, first: `${head}x-slow: `, drip: "a" },
  { count: 600, first: body, drip: " " },
  { count: 200, first: "", drip: "GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" },
];

it(`${kinds.reduce((sum, { count }) => sum + count, 0)} of them are cut off, and others are answered meanwhile`, {
  timeout: 180_000,
}, async () => {
  const before = descriptors();
  const wires: { wire: Wire; drip: string }[] = [];
  for (const { count, first, drip } of kinds) {
    // Those that send request after request never read an answer; a socket of TCP would hold megabytes of them.
    const isDeaf = drip.length > 1;
    const opened = await Promise.all(Array.from({ length: count }, (_, index) => open(isDeaf ? 0 : index)));
    for (const wire of opened) {
      if (first !== "") wire.write(first);
      if (isDeaf) wire.socket.pause();
      wires.push({ wire, drip });
    }
  }
  const timer = setInterval(() => {
    for (const { wire, drip } of wires) if (drip !== "" && wire.socket.writable) wire.write(drip);
  }, 500);
  const slowest = { milliseconds: 0 };
  try {
    await until("many are open at once", () => descriptors() - before > 500, 30_000);
    await until(
      "their descriptors are free",
      async () => {
        const asked = performance.now();
        expect((await daemon.request("GET", "/v1/sandboxes")).status).toBe(200);
        slowest.milliseconds = Math.max(slowest.milliseconds, performance.now() - asked);
        await new Promise((next) => setTimeout(next, 100));
        return descriptors() <= before + 5;
      },
      90_000,
    );
  } finally {
    clearInterval(timer);
  }
  expect(slowest.milliseconds).toBeLessThan(20_000);
  // Which of the two limits ends one that sends and does not read is a matter of which comes first.
  expect((await cuts("request-late")) + (await cuts("answer-unread"))).toBeGreaterThanOrEqual(1_900);
  expect((await daemon.request("GET", "/readyz")).status).toBe(200);
  for (const { wire } of wires) wire[Symbol.dispose]();
});

it("a flood of requests whose answers nobody reads is cut off", { timeout: 90_000 }, async () => {
  const before = await answered();
  const cutBefore = await cuts("answer-unread");
  const flood = `${head}\r\n`.repeat(2_000);
  const wires = await Promise.all(Array.from({ length: 200 }, (_, index) => open(index)));
  for (const { socket } of wires) socket.pause().write(flood);
  await until("all are cut off", async () => (await cuts("answer-unread")) >= cutBefore + 200, 60_000);
  // Of the 400,000 that were sent those within the bound were worked on.
  expect((await answered()) - before).toBeLessThanOrEqual(200 * 64);
  for (const wire of wires) wire[Symbol.dispose]();
});

it("who was refused and never closes is closed", { timeout: 60_000 }, async () => {
  const before = descriptors();
  const held = Array.from({ length: 20 }, () => connect({ path: daemon.socket, allowHalfOpen: true }));
  for (const socket of held) {
    socket.on("error", () => {}).resume();
    socket.write("GARBAGE\r\n\r\n");
  }
  await until("all are refused", () => held.every(({ readableEnded }) => readableEnded), 20_000);
  await until("none is left", () => descriptors() <= before, 20_000);
  for (const socket of held) socket.destroy();
});
