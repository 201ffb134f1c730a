import { request as httpRequest, type IncomingMessage } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import type { Daemon, Reply } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon, tcpPort } from "./small-daemon.ts";
import { TokenClient } from "./token-client.ts";

const mebibyte = 1_048_576;
let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon();
});
afterAll(async () => {
  for (const { id } of (await daemon.request("GET", "/v1/sandboxes?limit=1000")).body.items)
    await daemon.request("DELETE", `/v1/sandboxes/${id}`);
  await daemon[Symbol.asyncDispose]();
});

const make = (name: string, quotas: object) => TokenClient.make(daemon, { name, scopes: ["run"], quotas });
const create = (client: TokenClient, definition: object = {}, start = false): Promise<Reply> =>
  client.request("POST", `/v1/sandboxes?start=${start}`, definition);
const expectUsedUp = (reply: Reply, quota: string, limit: number, used: number) =>
  expect(expectProblem(reply, 403)).toMatchObject({ code: "quota-exceeded", quota, limit, used });

describe("a quota on sandboxes", () => {
  it("counts all of them, also when they are made at once (check 63)", async () => {
    const client = await make("stored", { sandboxes: 3 });
    const replies = await Promise.all(Array.from({ length: 8 }, () => create(client)));
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 201, 201, 403, 403, 403, 403, 403]);
    expectUsedUp(await create(client, {}, true), "sandboxes", 3, 3);
    expect((await client.request("DELETE", `/v1/sandboxes/${replies.find(({ status }) => status === 201)?.body.id}`)).status).toBe(200);
    expect((await create(client)).status).toBe(201);
    // Others have theirs.
    expect((await daemon.request("POST", "/v1/sandboxes", {})).status).toBe(201);
  });

  it("counts those that run, whoever starts them", async () => {
    const client = await make("running", { running: 1 });
    const [one, two] = [(await create(client, {}, true)).body.id, (await create(client)).body.id];
    expectUsedUp(await client.request("POST", `/v1/sandboxes/${two}/start`), "running", 1, 1);
    expectUsedUp(await daemon.request("POST", `/v1/sandboxes/${two}/start`), "running", 1, 1);
    expectUsedUp(await create(client, {}, true), "running", 1, 1);
    expect((await client.request("GET", `/v1/sandboxes/${two}`)).body.status.state).toBe("created");
    expect((await client.request("POST", `/v1/sandboxes/${one}/restart`, { graceSeconds: 0 })).status).toBe(200);
    await client.request("POST", `/v1/sandboxes/${one}/kill`);
    expect((await client.request("POST", `/v1/sandboxes/${two}/start`)).status).toBe(200);
  });

  it("adds up the memory of those that run, and needs each to have a limit", async () => {
    const client = await make("memory", { memoryBytes: 96 * mebibyte });
    const unset = expectProblem(await create(client, {}, true), 403);
    expect(unset).toMatchObject({ code: "quota-exceeded", quota: "memoryBytes", errors: [{ pointer: "/limits/memoryBytes" }] });
    const { id } = (await create(client, { limits: { memoryBytes: 64 * mebibyte } }, true)).body;
    expectUsedUp(await create(client, { limits: { memoryBytes: 64 * mebibyte } }, true), "memoryBytes", 96 * mebibyte, 64 * mebibyte);
    const raise = (memoryBytes: number | null) => client.request("PATCH", `/v1/sandboxes/${id}`, { limits: { memoryBytes } });
    expectUsedUp(await raise(128 * mebibyte), "memoryBytes", 96 * mebibyte, 0);
    expectProblem(await raise(null), 403);
    expect((await raise(96 * mebibyte)).body.definition.limits.memoryBytes).toBe(96 * mebibyte);
  });

  it("is not passed by limits that are raised at once", async () => {
    const client = await make("race", { memoryBytes: 128 * mebibyte });
    const limits = { memoryBytes: 48 * mebibyte };
    const [one, two] = [(await create(client, { limits }, true)).body.id, (await create(client, { limits }, true)).body.id];
    for (const [mine, other] of [
      [one, two],
      [two, one],
      [one, two],
    ]) {
      const raise = (id: string, memoryBytes: number) => client.request("PATCH", `/v1/sandboxes/${id}`, { limits: { memoryBytes } });
      const replies = await Promise.all([raise(mine, 80 * mebibyte), raise(other, 79 * mebibyte)]);
      expect(replies.map(({ status }) => status).sort()).toEqual([200, 403]);
      const held = await Promise.all([mine, other].map((id) => client.request("GET", `/v1/sandboxes/${id}`)));
      const sum = held.reduce((all, { body }) => all + body.definition.limits.memoryBytes, 0);
      expect(sum).toBeLessThanOrEqual(128 * mebibyte);
      for (const id of [mine, other]) expect((await raise(id, 48 * mebibyte)).status).toBe(200);
    }
    // Refused ones hold nothing for ever.
    expect((await client.request("PATCH", `/v1/sandboxes/${one}`, { limits: { memoryBytes: 80 * mebibyte } })).status).toBe(200);
  });

  it("adds up the disk space of all", async () => {
    const client = await make("disk", { diskBytes: 64 * mebibyte });
    expectProblem(await create(client), 403);
    expect((await create(client, { limits: { diskBytes: 48 * mebibyte } })).status).toBe(201);
    expectUsedUp(await create(client, { limits: { diskBytes: 32 * mebibyte } }), "diskBytes", 64 * mebibyte, 48 * mebibyte);
    const run = { command: ["/bin/bash", "-c", ":"], limits: { diskBytes: 16 * mebibyte } };
    expect((await client.request("POST", "/v1/runs?wait=true", run)).body.exit.code).toBe(0);
  });
});

describe("a quota on roots", () => {
  it("counts those that the token made, also when they are made at once", async () => {
    const client = await TokenClient.make(daemon, { name: "rooted", scopes: ["admin"], quotas: { roots: 2 } });
    const source = { kind: "copy", binaries: ["/bin/bash"] };
    const names = ["rooted-1", "rooted-2", "rooted-3", "rooted-4"];
    const replies = await Promise.all(names.map((name) => client.request("POST", "/v1/roots?wait=60", { name, source })));
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 201, 403, 403]);
    expectUsedUp(await client.request("POST", "/v1/roots", { name: "rooted-5", source }), "roots", 2, 2);
    const made = replies.filter(({ status }) => status === 201).map(({ body }) => body.id);
    expect((await client.request("DELETE", `/v1/roots/${made[0]}`)).status).toBe(204);
    const again = await client.request("POST", "/v1/roots?wait=60", { name: "rooted-6", source });
    expect(again.status, again.text).toBe(201);
    // Others have theirs.
    const free = await daemon.request("POST", "/v1/roots?wait=60", { name: "free", source });
    expect(free.status).toBe(201);
    for (const id of [made[1], again.body.id, free.body.id]) await daemon.request("DELETE", `/v1/roots/${id}`);
  });
});

describe("a quota on requests", () => {
  it("lets through a burst and then its rate, and says when to come again", async () => {
    const client = await make("paced", { requestsPerSecond: 5 });
    const replies = await Promise.all(Array.from({ length: 60 }, () => client.request("GET", "/v1/sandboxes")));
    const refused = replies.filter(({ status }) => status === 429);
    expect(replies.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(10);
    expect(refused.length).toBeGreaterThan(0);
    const [first] = refused as [Reply];
    expect(expectProblem(first, 429)).toMatchObject({ code: "too-many-requests", quota: "requestsPerSecond", limit: 5 });
    expect(Number(first.headers["retry-after"])).toBeGreaterThanOrEqual(1);
    // Others are not slowed down.
    expect((await daemon.request("GET", "/v1/sandboxes")).status).toBe(200);
    await until("it may go on", async () => (await client.request("GET", "/v1/sandboxes")).status === 200);
  });
});

describe("a quota on runs", () => {
  it("counts those that wait or are under way, and says 429", async () => {
    const client = await make("runs", { runs: 2 });
    const run = () => client.request("POST", "/v1/runs", { command: ["/bin/sleep", "60"] });
    const batch = { runs: Array.from({ length: 3 }, () => ({ command: ["/bin/sleep", "60"] })) };
    expect(expectProblem(await client.request("POST", "/v1/runs/batch", batch), 429)).toMatchObject({ quota: "runs", limit: 2, used: 0 });
    const [one] = [await run(), await run()];
    const refused = await run();
    expect(expectProblem(refused, 429)).toMatchObject({ code: "too-many-requests", quota: "runs", limit: 2, used: 2, retryable: true });
    expect(refused.headers["retry-after"]).toBe("1");
    await client.request("DELETE", `/v1/runs/${one?.body.id}`);
    const third = await run();
    expect(third.status).toBe(202);
    for (const { id } of (await client.request("GET", "/v1/runs?state=running&state=queued")).body.items)
      await client.request("DELETE", `/v1/runs/${id}`);
  });

  it("lets a run fail with the quota that its sandbox finds used up", async () => {
    const client = await make("held", { running: 0 });
    const reply = await client.request("POST", "/v1/runs?wait=true", { command: ["/bin/bash", "-c", ":"] });
    expectUsedUp(reply, "running", 0, 0);
  });
});

describe("streams of a token", () => {
  /** Opens one and gives it once its head is there. */
  const open = (client: TokenClient, path: string): Promise<IncomingMessage> =>
    new Promise((done, failed) => {
      const headers = { authorization: `Bearer ${client.secret}` };
      httpRequest({ host: "127.0.0.1", port: tcpPort(daemon), path, headers, agent: false }, done)
        .once("error", failed)
        .end();
    });
  const closed = async (response: IncomingMessage): Promise<boolean> => {
    let over = false;
    response.resume().once("close", () => {
      over = true;
    });
    response.once("error", () => {});
    return until("the stream is cut", () => over);
  };

  it("are bounded: events, statistics, logs, watches, terminals (check 63)", async () => {
    const client = await make("streams", { streams: 2 });
    const { id } = (await create(client, { tty: true }, true)).body;
    const follow = await open(client, "/v1/events?follow=true");
    const paths = ["/watch?path=/", "/stats?stream=true", "/logs?follow=true", "/processes/main/output?follow=true"];
    for (const path of paths) {
      const second = await open(client, `/v1/sandboxes/${id}${path}`);
      expect(second.statusCode, path).toBe(200);
      const refused = await client.request("GET", `/v1/sandboxes/${id}${path}`);
      expect(expectProblem(refused, 429, path)).toMatchObject({ code: "too-many-requests", quota: "streams", limit: 2, used: 2 });
      // What does not go on is no stream.
      expect((await client.request("GET", `/v1/sandboxes/${id}/logs`)).status).toBe(200);
      second.destroy();
      await until("there is room again", async () => {
        const next = await open(client, "/v1/events?follow=true");
        next.destroy();
        return next.statusCode === 200;
      });
    }
    const url = `ws://127.0.0.1:${tcpPort(daemon)}/v1/sandboxes/${id}/processes/main/terminal`;
    const attach = (): Promise<WebSocket | number> =>
      new Promise((done) => {
        const socket = new WebSocket(url, "unshared.terminal.v1", { headers: { authorization: `Bearer ${client.secret}` } });
        socket.once("open", () => done(socket)).once("unexpected-response", (_request, { statusCode = 0 }) => done(statusCode));
        socket.on("error", () => {});
      });
    const terminal = await until("a terminal", async () => {
      const found = await attach();
      return typeof found !== "number" && found;
    });
    expect(await attach()).toBe(429);
    terminal.terminate();
    follow.destroy();
  });

  it("are cut off when it is revoked, and when it expires", async () => {
    const revoked = await make("to-be-revoked", {});
    const stream = await open(revoked, "/v1/events?follow=true");
    const cut = closed(stream);
    expect((await daemon.request("DELETE", "/v1/tokens/to-be-revoked")).status).toBe(204);
    expect(await cut).toBe(true);
    const brief = await TokenClient.make(daemon, { name: "brief", scopes: ["read"], ttlSeconds: 2 });
    expect(await closed(await open(brief, "/v1/events?follow=true"))).toBe(true);
    expectProblem(await brief.request("GET", "/v1/info"), 401);
  });
});
