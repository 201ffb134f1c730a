/** Bodies of requests are in memory as a whole: what they take together is bounded. */
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon } from "./small-daemon.ts";
import { TokenClient } from "./token-client.ts";
import { Wire } from "./wire.ts";

const largest = 16_777_216;
let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon();
});
afterAll(() => daemon[Symbol.asyncDispose]());

const peakKib = () => Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8"))?.[1]);
const head = (lines: string) => `POST /v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${lines}\r\n`;
/** A request whose body is announced, and never comes. */
const announced = async (lines: string): Promise<Wire> => {
  const wire = await Wire.open({ path: daemon.socket });
  wire.write(head(lines));
  return wire;
};

describe("bodies that are under way", () => {
  it.each([`content-length: ${largest}\r\n`, "transfer-encoding: chunked\r\n"])("leave no room for more: %j", async (lines) => {
    const held = await Promise.all(Array.from({ length: 4 }, () => announced(lines)));
    const refused = await until("there is no room", async () => {
      using wire = await announced(lines);
      return await wire.reply(500).catch(() => null);
    });
    expect(expectProblem(refused, 429)).toMatchObject({ code: "too-many-requests", retryable: true });
    expect(refused.headers["retry-after"]).toBe("1");
    // Small ones are taken all the same, and another caller has room of its own.
    expect((await daemon.request("POST", "/v1/sandboxes", { none: "x".repeat(60_000) })).status).toBe(400);
    const name = `other-${lines.length}`;
    const other = await TokenClient.make(daemon, { name, scopes: ["run"] });
    expect((await other.request("POST", "/v1/runs", { none: "x".repeat(100_000) })).status).toBe(400);
    for (const wire of held) wire[Symbol.dispose]();
    await until(
      "there is room again",
      async () => (await daemon.request("POST", "/v1/runs", { none: "x".repeat(100_000) })).status === 400,
    );
  });

  it("do not count once a run is stored, however long its caller waits", async () => {
    const run = { command: ["/bin/sleep", "60"], stdin: "x".repeat(15_000_000) };
    const client = await TokenClient.make(daemon, { name: "waiting", scopes: ["run"] });
    const waiting: Promise<unknown>[] = [];
    for (let turn = 1; turn <= 6; turn++) {
      waiting.push(client.request("POST", "/v1/runs?wait=true", run));
      await until("it is taken", async () => (await client.request("GET", "/v1/runs")).body.items.length === turn, 20_000);
    }
    for (const { id } of (await client.request("GET", "/v1/runs")).body.items) await client.request("DELETE", `/v1/runs/${id}`);
    await Promise.all(waiting);
  });
});

it("100 requests of 16 MiB at once take a bounded amount of memory", { timeout: 60_000 }, async () => {
  const payload = Buffer.from(`{"none":"${"x".repeat(largest - 11)}"}`);
  const before = peakKib();
  const send = (): Promise<number> =>
    new Promise((done) => {
      const headers = { host: "localhost", "content-type": "application/json", "content-length": `${payload.length}` };
      const request = httpRequest({ socketPath: daemon.socket, method: "POST", path: "/v1/runs", headers, agent: false }, (response) => {
        response.resume();
        done(response.statusCode ?? 0);
      });
      request.once("error", () => done(0));
      request.end(payload);
    });
  const statuses = await Promise.all(Array.from({ length: 100 }, send));
  expect(statuses.filter((status) => ![400, 429, 0].includes(status))).toEqual([]);
  expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(0);
  expect(statuses.filter((status) => status === 400).length).toBeGreaterThan(0);
  expect(peakKib() - before).toBeLessThan(700_000);
});
