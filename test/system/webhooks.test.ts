/** Events that are sent to an HTTP server on loopback, which takes them, fails, hangs, sends elsewhere or is not there. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";
import { startSmallDaemon } from "../http/small-daemon.ts";

const deadline = 40_000;
interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: the shape is what is tested
  body: any;
}

/** Takes POSTs, and answers each as it is told to. */
class Receiver {
  readonly received: Received[] = [];
  answer: (response: ServerResponse, at: Received) => void = (response) => void response.writeHead(204).end();
  #server = createServer();
  #port = 0;

  async open(): Promise<void> {
    this.#server = createServer(async (request, response) => {
      let text = "";
      for await (const chunk of request.setEncoding("utf8")) text += chunk;
      const at = { path: request.url ?? "", headers: request.headers, text, body: JSON.parse(text) };
      this.received.push(at);
      this.answer(response, at);
    });
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((done) => this.#server.close(() => done()));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/hook`;
  }

  /** Numbers of the events of these types, as they came. */
  numbers(prefix: string): number[] {
    return this.received.filter(({ body }) => body.type.startsWith(prefix)).map(({ body }) => body.id);
  }
}

let daemon: Daemon;
let receiver: Receiver;
beforeAll(async () => {
  daemon = await startSmallDaemon();
});
afterAll(() => daemon[Symbol.asyncDispose]());
beforeEach(async () => {
  receiver = new Receiver();
  await receiver.open();
});
afterEach(async () => {
  for (const { id } of (await daemon.request("GET", "/v1/webhooks")).body.items) await daemon.request("DELETE", `/v1/webhooks/${id}`);
  for (const { id } of (await daemon.request("GET", "/v1/sandboxes")).body.items) await daemon.request("DELETE", `/v1/sandboxes/${id}`);
  await receiver.close();
});

const make = async (definition: object = {}) => {
  const { status, text, body } = await daemon.request("POST", "/v1/webhooks", { url: receiver.url, types: ["sandbox.*"], ...definition });
  expect(status, text).toBe(201);
  return body;
};
const get = async (id: string) => (await daemon.request("GET", `/v1/webhooks/${id}`)).body;
const createSandbox = async (): Promise<string> => (await daemon.request("POST", "/v1/sandboxes", {})).body.id;
/** What the daemon tells of these sandboxes by the other way. */
const eventsOf = async (ids: readonly string[]): Promise<Record<string, unknown>[]> =>
  (await daemon.request("GET", "/v1/events?type=sandbox.*")).text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ subject }) => ids.includes(subject));
const received = (count: number) => until(`${count} have come`, () => receiver.received.length >= count, deadline);

describe("events are sent", () => {
  it("in order, as GET /v1/events has them, and signed", async () => {
    const { id, secret } = await make();
    const ids = [await createSandbox(), await createSandbox()];
    await daemon.request("POST", `/v1/sandboxes/${ids[0]}/start`);
    await daemon.request("DELETE", `/v1/sandboxes/${ids[0]}`);
    const events = await until("the events", async () => {
      const found = await eventsOf(ids);
      return found.at(-1)?.["type"] === "sandbox.deleted" && found;
    });
    await received(events.length);
    expect(receiver.received.map(({ body }) => body)).toEqual(events);
    for (const { headers, text, body } of receiver.received) {
      const key = Buffer.from(String(secret).replace("whsec_", ""), "base64");
      const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${text}`;
      expect(headers["webhook-signature"]).toBe(`v1,${createHmac("sha256", key).update(signed).digest("base64")}`);
      expect(headers["webhook-id"]).toBe(`${id}-${body.id}`);
      expect(Math.abs(Number(headers["webhook-timestamp"]) - Date.now() / 1000)).toBeLessThan(60);
      expect(headers["content-type"]).toBe("application/json");
    }
    await until("they are counted", async () => (await get(id)).delivered === events.length);
    expect(await get(id)).toMatchObject({ deadLetters: 0, gaps: 0, lastFailure: null, lastEvent: events.at(-1)?.["id"] });
  });

  it("of the types and the sandbox that were asked for alone", async () => {
    const mine = await createSandbox();
    await make({ types: ["sandbox.changed", "root.*"], sandbox: mine });
    const other = await createSandbox();
    for (const sandbox of [other, mine, other, mine])
      await daemon.request("PATCH", `/v1/sandboxes/${sandbox}`, { labels: { at: `${Math.random()}` } });
    await daemon.request("DELETE", `/v1/sandboxes/${mine}`);
    await make({ types: ["sandbox.deleted"], sandbox: mine });
    await received(2);
    await createSandbox();
    expect(receiver.received.map(({ body }) => [body.type, body.subject])).toEqual([
      ["sandbox.changed", mine],
      ["sandbox.changed", mine],
    ]);
  });
});

describe("a receiver that does not take an event", () => {
  it("gets it again, under the same id, and the next one after it: failing, hanging, sending elsewhere, answering without end", async () => {
    const { id } = await make({ timeoutSeconds: 1 });
    const answers: ((response: ServerResponse) => void)[] = [
      (response) => void response.writeHead(500).end("no"),
      (response) => void response.writeHead(302, { location: `${receiver.url}/elsewhere` }).end(),
      () => {},
      (response) => response.socket?.destroy(),
    ];
    receiver.answer = (response) => {
      const next = answers.shift();
      if (next !== undefined) return next(response);
      // More than anybody would read.
      response.writeHead(200);
      const flood = setInterval(() => response.write(Buffer.alloc(65_536)), 1);
      response.once("close", () => clearInterval(flood));
    };
    const [first, second] = [await createSandbox(), await createSandbox()];
    await received(6);
    const subjects = receiver.received.map(({ body }) => body.subject);
    expect(subjects).toEqual([first, first, first, first, first, second]);
    expect(new Set(receiver.received.slice(0, 5).map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    expect(receiver.received.every(({ path }) => path === "/hook")).toBe(true);
    await until("both are counted", async () => (await get(id)).delivered === 2);
    expect((await get(id)).deadLetters).toBe(0);
  }, 60_000);

  it("loses it after the last attempt, which is counted, logged and told", async () => {
    const deadLetters = async () =>
      Number(/^unshared_webhook_attempts_total\{outcome="dead-letter"\} (\d+)$/m.exec((await daemon.request("GET", "/metrics")).text)?.[1]);
    const before = await deadLetters();
    const { id, secret } = await make({ maxAttempts: 2 });
    receiver.answer = (response, { body }) => void response.writeHead(body.subject === lost ? 503 : 200).end();
    const lost = await createSandbox();
    const next = await createSandbox();
    await received(3);
    expect(receiver.received.map(({ body }) => body.subject)).toEqual([lost, lost, next]);
    await until("it is counted", async () => (await get(id)).delivered === 1);
    expect(await get(id)).toMatchObject({ deadLetters: 1, lastFailure: null });
    expect(await deadLetters()).toBe(before + 1);
    await until("the log has it", () => daemon.log.some(({ webhook, failure }) => webhook === id && failure === "answered 503"));
    expect(JSON.stringify(daemon.log)).not.toContain(String(secret).slice("whsec_".length));
  });
});

describe("where it stands", () => {
  it("is kept when the daemon is killed: nothing is left out, and the order is kept", async () => {
    await make();
    const ids = [await createSandbox()];
    await received(1);
    // It is not there for a while, and the daemon dies in the middle of what it tries.
    await receiver.close();
    for (let turn = 0; turn < 5; turn++) ids.push(await createSandbox());
    await until(
      "an attempt has failed",
      async () => (await daemon.request("GET", "/v1/webhooks")).body.items[0].lastFailure !== null,
      deadline,
    );
    await daemon.end("SIGKILL");
    await daemon.start();
    ids.push(await createSandbox());
    await receiver.open();
    // Dies once more right after it has sent something: that may come twice.
    await received(3);
    await daemon.end("SIGKILL");
    await daemon.start();
    const wanted = (await eventsOf(ids)).map(({ id }) => id as number);
    expect(wanted.length).toBe(ids.length);
    await until("all have come", () => new Set(receiver.numbers("sandbox.")).size === wanted.length, deadline);
    const numbers = receiver.numbers("sandbox.");
    expect([...new Set(numbers)]).toEqual(wanted);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(numbers.length).toBeLessThanOrEqual(wanted.length + 1);
  }, 90_000);

  it("is gone with the webhook: nothing comes after DELETE, also of what is tried again", async () => {
    const { id } = await make();
    receiver.answer = (response) => void response.writeHead(500).end();
    await createSandbox();
    await received(1);
    expect((await daemon.request("DELETE", `/v1/webhooks/${id}`)).status).toBe(204);
    const count = receiver.received.length;
    receiver.answer = (response) => void response.writeHead(200).end();
    const { id: other } = await make({ types: ["sandbox.created"] });
    const sandbox = await createSandbox();
    await until("the other one gets its own", async () => (await get(other)).delivered === 1, deadline);
    expect(receiver.received.slice(count).map(({ body }) => body.subject)).toEqual([sandbox]);
    expect((await daemon.request("GET", `/v1/webhooks/${id}`)).body).toMatchObject({ status: 404, code: "webhook-not-found" });
  });
});

describe("a webhook", () => {
  it("takes a secret of the caller's, and tells none again", async () => {
    const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
    const { id } = await make({ secret });
    await createSandbox();
    await received(1);
    const [{ headers, text }] = receiver.received as [Received];
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${text}`;
    expect(headers["webhook-signature"]).toBe(`v1,${createHmac("sha256", Buffer.alloc(32, 7)).update(signed).digest("base64")}`);
    for (const path of [`/v1/webhooks/${id}`, "/v1/webhooks", "/v1/audit", "/v1/events"])
      expect((await daemon.request("GET", path)).text, path).not.toContain(secret.slice(6, 30));
    const keyed = await daemon.request("POST", "/v1/webhooks", { url: receiver.url }, { "idempotency-key": "k" });
    expect(keyed.body).toMatchObject({ status: 422, code: "unsupported" });
  });

  it("is refused with a URL that is none, that holds a password, or for a sandbox that is not there", async () => {
    const refuse = async (definition: object) => (await daemon.request("POST", "/v1/webhooks", definition)).body;
    for (const url of ["ftp://127.0.0.1/", "http//x", "", "http://127.0.0.1:99999/x y"]) expect((await refuse({ url })).status).toBe(400);
    for (const url of ["https://user:word@127.0.0.1/", "http://127.0.0.1:99999/"])
      expect(await refuse({ url })).toMatchObject({ status: 422, code: "invalid-definition", errors: [{ pointer: "/url" }] });
    expect((await refuse({ url: receiver.url, sandbox: "nobody" })).code).toBe("sandbox-not-found");
    expect((await refuse({ url: receiver.url, secret: "short" })).status).toBe(400);
  });
});
