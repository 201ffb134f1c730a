/** The queue of runs as its callers see it, with one run at a time. */
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";
import { startSmallDaemon, tcpPort } from "./small-daemon.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon("--run-concurrency", "1", "--run-queue", "5");
});
afterAll(() => daemon[Symbol.asyncDispose]());

const sleep = (seconds: number) => ({ command: ["/bin/sleep", `${seconds}`] });
const send = async (body: object, headers = {}) => (await daemon.request("POST", "/v1/runs", body, headers)).body;
const look = async (id: string, query = "") => (await daemon.request("GET", `/v1/runs/${id}${query}`)).body;

/** Sends a run by TCP, as the bearer of the token: another caller than the one on the unix socket. */
const sendByToken = (body: object): Promise<{ id: string; position: number }> =>
  new Promise((done, failed) => {
    const token = readFileSync(join(daemon.stateDir, "admin.token"), "utf8").trim();
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const options = { host: "127.0.0.1", port: tcpPort(daemon), method: "POST", path: "/v1/runs", headers };
    const request = httpRequest(options, async (response) => {
      let text = "";
      for await (const chunk of response.setEncoding("utf8")) text += chunk;
      done(JSON.parse(text));
    });
    request.once("error", failed);
    request.end(JSON.stringify(body));
  });

it("callers take turns, see their places, and are told when there is no room", async () => {
  const first = await send(sleep(0.4));
  const waiting = [await send(sleep(0)), await send(sleep(0)), await send(sleep(0))];
  expect(waiting.map(({ position }) => position)).toEqual([1, 2, 3]);
  const others = [await sendByToken(sleep(0)), await sendByToken(sleep(0))];
  expect(others.map(({ position }) => position)).toEqual([2, 4]);
  expect((await look(waiting[1].id)).position).toBe(3);
  const full = await daemon.request("POST", "/v1/runs", sleep(0));
  expect([full.status, full.body.code, full.body.waiting, full.headers["retry-after"]]).toEqual([429, "run-queue-full", 5, "1"]);
  const order = [first, waiting[0], others[0], waiting[1], others[1], waiting[2]];
  const ended = await Promise.all(order.map(({ id }) => look(id, "?wait=10")));
  expect(ended.map(({ state, reason }) => `${state} ${reason}`)).toEqual(Array(6).fill("ended exited"));
  for (const [index, { startedAt }] of ended.entries())
    if (index > 0) expect(startedAt >= ended[index - 1].endedAt, `the run ${index} began before the one before it was over`).toBe(true);
});

it("requests that are large find no room where little is left, and find it again", async () => {
  const large = { ...sleep(60), stdin: "x".repeat(12_000_000) };
  const taken = [await send(large), await send(large)];
  const full = await daemon.request("POST", "/v1/runs", large);
  expect([full.status, full.body.code, full.body.waiting, full.headers["retry-after"]]).toEqual([429, "run-queue-full", 1, "1"]);
  const small = await send(sleep(0));
  for (const { id } of taken) await daemon.request("DELETE", `/v1/runs/${id}`);
  expect((await look(small.id, "?wait=10")).state).toBe("ended");
  const again = await send({ ...large, ...sleep(0) });
  expect((await look(again.id, "?wait=10")).state).toBe("ended");
});

it("a retry with the same key is not run again", async () => {
  const key = { "idempotency-key": "once" };
  const { id } = await send(sleep(0), key);
  expect((await send(sleep(0), key)).id).toBe(id);
  expect((await look(id, "?wait=10")).state).toBe("ended");
});

it("a wait that is shorter than the run is answered 202", async () => {
  const { status, body } = await daemon.request("POST", "/v1/runs?wait=1", sleep(60));
  expect([status, body.state, body.reason]).toEqual([202, "running", null]);
  expect((await daemon.request("DELETE", `/v1/runs/${body.id}`)).body).toMatchObject({ state: "cancelled", sandbox: null });
});

it("an ordered end of the daemon ends what is under way, and leaves the queue to the next one", async () => {
  const waited = daemon.request("POST", "/v1/runs?wait=true", sleep(60));
  await until("it runs", async () => (await daemon.request("GET", "/v1/runs?state=running")).body.items.length === 1);
  const next = await send(sleep(0));
  expect(await daemon.end("SIGTERM")).toBe(0);
  const { status, body } = await waited;
  expect([status, body.code]).toEqual([503, "run-interrupted"]);
  await daemon.start();
  expect((await look(next.id, "?wait=10")).state).toBe("ended");
  expect((await daemon.request("GET", "/v1/sandboxes")).body.items).toEqual([]);
});
