import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { nameOf, operations, pathOf } from "./contract.ts";
import { expectProblem } from "./expect-problem.ts";
import { inventory } from "./inventory.ts";
import { startSmallDaemon, tcpPort } from "./small-daemon.ts";
import { exchange, type WireReply } from "./wire.ts";

let daemon: Daemon;
let token: string;
let host: string;
beforeAll(async () => {
  daemon = await startSmallDaemon();
  token = (await readFile(join(daemon.stateDir, "admin.token"), "utf8")).trim();
  host = `127.0.0.1:${tcpPort(daemon)}`;
});
afterAll(() => daemon[Symbol.asyncDispose]());

type Lines = Record<string, string>;
const ask = async (method: string, path: string, lines: Lines, body = "", localAddress = "127.0.0.1"): Promise<WireReply> => {
  const text = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
  const reply = await exchange(
    { host: "127.0.0.1", port: tcpPort(daemon), localAddress },
    `${method} ${path} HTTP/1.1\r\n${text.join("")}\r\n${body}`,
  );
  if (reply === null) throw new Error(`${method} ${path}: closed without an answer`);
  // Never is a page of another origin told that it may read an answer.
  expect(Object.keys(reply.headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
  return reply;
};
const withToken = (lines: Lines = {}): Lines => ({ host, authorization: `Bearer ${token}`, ...lines });
const json = (body: string): Lines => ({ "content-type": "application/json", "content-length": `${body.length}` });

const guarded = operations.filter(({ security }) => security?.length !== 0);
// From an address of its own each: wrong tokens of one address are bounded.
const table = guarded.map((operation, index) => ({ name: nameOf(operation), operation, from: `127.0.1.${index + 1}` }));

describe("the token on TCP", () => {
  const wrong: [string, () => Lines][] = [
    ["none", () => ({})],
    ["a wrong one", () => ({ authorization: `Bearer ${"x".repeat(token.length)}` })],
    ["a truncated one", () => ({ authorization: `Bearer ${token.slice(0, -1)}` })],
    ["a longer one", () => ({ authorization: `Bearer ${token}x` })],
    ["a very long one", () => ({ authorization: `Bearer ${"x".repeat(8_000)}` })],
    ["an empty one", () => ({ authorization: "Bearer " })],
    ["another scheme", () => ({ authorization: `Basic ${Buffer.from(`admin:${token}`).toString("base64")}` })],
    ["the bare token", () => ({ authorization: token })],
    ["two of them", () => ({ authorization: `Bearer ${token}, Bearer ${token}` })],
    ["a cookie", () => ({ cookie: `token=${token}` })],
  ];

  it.each(table)("is asked of $name before the body is read (check 59)", async ({ operation, from }) => {
    for (const [what, lines] of wrong) {
      // The body is announced and never sent: an answer shows that nobody waited for it.
      const announced = operation.method === "GET" ? {} : { "content-type": "application/json", "content-length": "1000000" };
      const reply = await ask(operation.method, pathOf(operation), { host, ...announced, ...lines() }, "", from);
      const problem = expectProblem(reply, 401, what);
      expect(problem.code).toBe("unauthorized");
      expect(reply.headers["www-authenticate"]).toMatch(/^Bearer /);
      expect(reply.body).not.toContain(token);
    }
  });

  it("is let in when it is right, however many wrong ones came from the same address, which are bounded", async () => {
    const from = "127.0.2.1";
    const statuses: number[] = [];
    for (let turn = 0; turn < 30; turn += 1) {
      const reply = await ask("GET", "/v1/info", { host, authorization: `Bearer ${"w".repeat(43)}` }, "", from);
      statuses.push(reply.status);
      if (reply.status === 401) continue;
      expect(expectProblem(reply, 429)).toMatchObject({ code: "too-many-requests", retryAfterSeconds: expect.any(Number) });
      expect(Number(reply.headers["retry-after"])).toBeGreaterThan(0);
      expect(Number(reply.headers["retry-after"])).toBeLessThanOrEqual(60);
    }
    expect(statuses).toEqual([...Array(20).fill(401), ...Array(10).fill(429)]);
    expect((await ask("GET", "/v1/info", withToken(), "", from)).status).toBe(200);
    expectProblem(await ask("GET", "/v1/info", { host }, "", from), 401);
    expectProblem(await ask("GET", "/v1/info", { host, authorization: `Bearer ${"w".repeat(43)}` }, "", "127.0.2.2"), 401);
  });

  it("is not taken from the query, and not asked where nothing is told", async () => {
    expectProblem(await ask("GET", `/v1/info?token=${token}`, { host }), 401);
    expectProblem(await ask("GET", "/no/such/path", { host }), 401);
    for (const path of ["/healthz", "/readyz", "/openapi.json"]) expect((await ask("GET", path, { host })).status, path).toBe(200);
  });

  it("opens every route, whatever the case of the scheme", async () => {
    expect((await ask("GET", "/v1/info", withToken())).status).toBe(200);
    expect((await ask("GET", "/v1/info", withToken({ authorization: `bearer ${token}` }))).status).toBe(200);
  });

  it("lies in a file of root alone (check 59)", () => {
    expect(statSync(join(daemon.stateDir, "admin.token")).mode & 0o7777).toBe(0o600);
    expect(token.length).toBeGreaterThanOrEqual(43);
  });
});

describe("pages of other sites", () => {
  const port = () => host.split(":")[1];
  const foreignHosts = (): string[] => [
    "evil.example",
    `evil.example:${port()}`,
    "127.0.0.1",
    "127.0.0.1:1",
    `0.0.0.0:${port()}`,
    `[::]:${port()}`,
    `[0:0::0]:${port()}`,
    `192.0.2.1:${port()}`,
    `[2001:db8::1]:${port()}`,
    `localhost.:${port()}`,
    `127.0.0.1.:${port()}`,
    `localhost.evil.example:${port()}`,
    `user@localhost:${port()}`,
    `localhost:${port()}/`,
    `localhost:0${port()}0`,
    "",
  ];

  it("cannot reach it by another name (check 58)", async () => {
    for (const foreign of foreignHosts()) expectProblem(await ask("GET", "/v1/info", withToken({ host: foreign })), [400, 421], foreign);
    expectProblem(await ask("GET", "/healthz", { host: "evil.example" }), 421);
    expectProblem(await ask("GET", `http://evil.example:${port()}/v1/info`, withToken()), [400, 404, 421]);
    expectProblem(await ask("GET", "/v1/info", { authorization: `Bearer ${token}` }), 400);
    for (const own of [host, `localhost:${port()}`, `LOCALHOST:${port()}`])
      expect((await ask("GET", "/v1/info", withToken({ host: own }))).status, own).toBe(200);
  });

  it("cannot reach it from another origin (check 58)", async () => {
    const origins = [
      "http://evil.example",
      "null",
      `https://${host}`,
      "file://",
      `http://localhost.evil.example:${port()}`,
      "http://127.0.0.1",
      "",
      `http://${host}/`,
      `http://${host} http://evil.example`,
    ];
    for (const origin of origins) expectProblem(await ask("GET", "/v1/info", withToken({ origin })), 403, origin);
    expectProblem(await ask("GET", "/v1/info", withToken({ "sec-fetch-site": "cross-site" })), 403);
    expectProblem(await ask("GET", "/v1/info", withToken({ "sec-fetch-site": "same-site" })), 403);
    expect((await ask("GET", "/v1/info", withToken({ origin: `http://${host}`, "sec-fetch-site": "same-origin" }))).status).toBe(200);
  });

  it("cannot reach the unix socket through a proxy that passes their origin on", async () => {
    const lines = { host: "localhost", origin: "http://evil.example" };
    expectProblem(await daemon.request("GET", "/v1/info", undefined, lines), 403);
    expectProblem(await daemon.request("GET", "/v1/info", undefined, { "sec-fetch-site": "cross-site" }), 403);
  });

  it("cannot reach it by a target in absolute form that names another (check 58)", async () => {
    for (const foreign of [`evil.example:${port()}`, `0.0.0.0:${port()}`, `localhost.:${port()}`])
      expectProblem(await ask("GET", `http://${foreign}/v1/info`, withToken()), 421, foreign);
    const posted = await ask("POST", `http://evil.example:${port()}/v1/sandboxes`, withToken(json("{}")), "{}");
    expectProblem(posted, 421);
  });

  it("cannot open a terminal, nor post without a body, from another origin (check 58)", async () => {
    const before = await inventory(daemon);
    const handshake = {
      connection: "upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
      "sec-websocket-protocol": "unshared.terminal.v1",
    };
    const terminal = "/v1/sandboxes/none/processes/main/terminal";
    for (const foreign of [{ origin: "http://evil.example" }, { origin: "null" }, { "sec-fetch-site": "cross-site" }]) {
      expectProblem(await ask("GET", terminal, withToken({ ...handshake, ...foreign })), 403);
      expectProblem(await ask("POST", "/v1/sandboxes?start=true", withToken({ "content-length": "0", ...foreign })), 403);
      expectProblem(await ask("POST", "/v1/backup", withToken(foreign)), 403);
    }
    expectProblem(await ask("GET", terminal, { host, ...handshake }), 401);
    expectProblem(await ask("GET", terminal, withToken({ ...handshake, host: `evil.example:${port()}` })), 421);
    expect(await inventory(daemon)).toEqual(before);
  });

  it("cannot post what a form can, and get no leave from a preflight (check 58)", async () => {
    const before = await inventory(daemon);
    for (const type of ["text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
      expectProblem(await ask("POST", "/v1/sandboxes", withToken({ ...json("{}"), "content-type": type }), "{}"), 415, type);
    const preflight = {
      origin: "http://evil.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization",
    };
    for (const path of ["/v1/sandboxes", "/v1/info", "/healthz", "*"]) {
      expectProblem(await ask("OPTIONS", path, { host, ...preflight }), [400, 401, 403, 404], path);
      expectProblem(await ask("OPTIONS", path, withToken(preflight)), [400, 403, 404], path);
    }
    expect(await inventory(daemon)).toEqual(before);
  });
});
