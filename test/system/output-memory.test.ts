/** What readers that stall cost a fresh daemon: the piece that each of them is about to get. */
import { readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const count = 100;
const base = "/v1/sandboxes/box/processes";
let daemon: SandboxDaemon;
beforeAll(async () => {
  daemon = await SandboxDaemon.start("output-memory", 1_730_000_000);
  await daemon.run({ name: "box", command: ["sleep", "infinity"], limits: { pids: 1_024 } });
});
afterAll(() => daemon[Symbol.asyncDispose]());

const residentKilobytes = (): number => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${daemon.daemon.pid}/status`, "utf8"))?.[1]);
const startNoisy = async (): Promise<string> => {
  const script = "while :; do head -c 1000000 /dev/zero | tr '\\0' y; sleep 2; done";
  const { status, text, body } = await daemon.request("POST", base, { script, outputBytes: 1_048_576 });
  expect(status, text).toBe(201);
  return body.id;
};
const stalledReader = (id: string): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const path = `${base}/${id}/output?follow=true&after=held`;
    const call = request({ socketPath: daemon.daemon.socket, path, headers: { host: "localhost" } });
    call.once("response", (response) => resolve(response.pause())).once("error", reject);
    call.end();
  });
/** Nothing goes out any more: each reader has what its socket holds. */
const bytesSent = async (): Promise<number> => {
  const io = readFileSync(`/proc/${daemon.daemon.pid}/io`, "utf8");
  return Number(/^wchar: (\d+)$/m.exec(io)?.[1]);
};

it(`${count} stalled readers of ${count} noisy processes cost less than 20 MB (check 42)`, { timeout: 240_000 }, async () => {
  const ids: string[] = [];
  while (ids.length < count) ids.push(...(await Promise.all(Array.from({ length: 10 }, startNoisy))));
  const before = residentKilobytes();
  const sentBefore = await bytesSent();
  const readers = await Promise.all(ids.map(stalledReader));
  await until(
    "all have stalled",
    async () => {
      const sent = await bytesSent();
      await new Promise((next) => setTimeout(next, 500));
      return sent - sentBefore > count * 200_000 && (await bytesSent()) - sent < 100_000;
    },
    180_000,
  );
  expect(residentKilobytes() - before).toBeLessThan(20_000);
  for (const reader of readers) reader.destroy();
});
