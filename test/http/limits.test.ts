import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon, tcpPort } from "./small-daemon.ts";
import { adminToken } from "./token-client.ts";
import { type Address, exchange, Wire } from "./wire.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon();
});
afterAll(() => daemon[Symbol.asyncDispose]());

const unix = (): Address => ({ path: daemon.socket });
const tcp = (): Address => ({ host: "127.0.0.1", port: tcpPort(daemon) });
const get = (path = "/healthz") => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
const post = (lines: string, body: string) =>
  `POST /v1/sandboxes HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${lines}\r\n${body}`;
const doors: [string, () => Address][] = [
  ["the unix socket", unix],
  ["TCP", tcp],
];

/** Sends one byte each half second until the other side has had enough; gives the seconds that took, and the answer. */
const drip = async (address: Address, head: string, byte: string, patienceSeconds: number) => {
  using wire = await Wire.open(address);
  const began = performance.now();
  wire.write(head);
  const timer = setInterval(() => wire.write(byte), 500);
  try {
    const reply = await wire.reply(patienceSeconds * 1000);
    await wire.closed(2_000);
    return { seconds: (performance.now() - began) / 1000, reply };
  } finally {
    clearInterval(timer);
  }
};

describe.concurrent("a client that keeps sending and never ends", () => {
  it.each(doors)("has 10 s for the head, by %s (check 60)", async (_, address) => {
    const { seconds, reply } = await drip(address(), "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ", "a", 28);
    expect(expectProblem(reply, 408).code).toBe("request-timeout");
    expect(seconds).toBeGreaterThan(9);
  });

  it("has 60 s for the whole request (check 60)", { timeout: 100_000 }, async () => {
    const { seconds, reply } = await drip(unix(), post("content-length: 100000\r\n", '{"name":"'), "a", 90);
    expect(expectProblem(reply, 408).code).toBe("request-timeout");
    expect(seconds).toBeGreaterThan(58);
  });
});

describe("size", () => {
  it.each(doors)("of a head is limited, by %s", async (_, address) => {
    for (const large of [`x-large: ${"a".repeat(20_000)}\r\n`, "a: b\r\n".repeat(4_000)]) {
      const problem = expectProblem(await exchange(address(), `GET /healthz HTTP/1.1\r\nhost: localhost\r\n${large}\r\n`), 431);
      expect(problem.code).toBe("headers-too-large");
    }
    expectProblem(await exchange(address(), get(`/${"a".repeat(20_000)}`)), 431);
  });

  it("of a body is limited: announced, or found out while it comes in pieces (check 61)", async () => {
    expectProblem(await exchange(unix(), post("content-length: 1048577\r\n", "")), 413);
    expectProblem(await exchange(unix(), post("content-length: 2097152\r\n", `{"name":"${"x".repeat(2_097_141)}"}`)), 413);
    const piece = `10000\r\n${"x".repeat(65_536)}\r\n`;
    expectProblem(await exchange(unix(), post("transfer-encoding: chunked\r\n", `${piece.repeat(17)}0\r\n\r\n`)), 413);
    expectProblem(await exchange(unix(), post("content-length: 99999999999999999999\r\n", "")), [400, 413]);
    const most = `{"name":"${"x".repeat(1_048_576 - 11)}"}`;
    expectProblem(await exchange(unix(), post(`content-length: ${most.length}\r\n`, most)), 400);
  });

  it.each(["/v1/runs", "/v1/runs/batch"])("of a body with files is limited to more: %s", async (path) => {
    const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;
    expectProblem(await exchange(unix(), `${head}content-length: 16777217\r\n\r\n`), 413);
    const most = `{"none":"${"x".repeat(16_777_216 - 11)}"}`;
    expectProblem(await exchange(unix(), `${head}content-length: ${most.length}\r\n\r\n${most}`), 400);
    for (const many of ["[".repeat(2_000_000), `[${"0,".repeat(1_000_000)}0]`, `{${'"k":0,'.repeat(500_000)}"k":0}`]) {
      const problem = expectProblem(await exchange(unix(), `${head}content-length: ${many.length}\r\n\r\n${many}`), 400);
      expect(problem.detail).toContain("more than 262144 values");
    }
    expectProblem(await exchange(unix(), `${head}content-length: 2000000\r\n\r\n"${"\\".repeat(1_999_999)}`), 400);
  });
});

describe("framing that others read differently", () => {
  const smuggled = "0\r\n\r\nGET /v1/info HTTP/1.1\r\nhost: localhost\r\n\r\n";
  const heads: [string, string][] = [
    ["both lengths", `content-length: ${smuggled.length}\r\ntransfer-encoding: chunked\r\n`],
    ["both lengths, the other way round", `transfer-encoding: chunked\r\ncontent-length: ${smuggled.length}\r\n`],
    ["two lengths", "content-length: 2\r\ncontent-length: 3\r\n"],
    ["a signed length", "content-length: +2\r\n"],
    ["a length in hex", "content-length: 0x2\r\n"],
    ["an encoding before chunked", "transfer-encoding: identity, chunked\r\ntransfer-encoding: x\r\n"],
    ["white space before the colon", "content-length : 2\r\n"],
    ["a folded line", "x-a: b\r\n c: d\r\ncontent-length: 2\r\n"],
    ["a bare LF", "x-a: b\ncontent-length: 2\r\n"],
    ["a NUL in a value", "x-a: b\0c\r\ncontent-length: 2\r\n"],
  ];
  it.each(heads)("is refused: %s (check 61)", async (_, lines) => {
    using wire = await Wire.open(unix());
    wire.write(post(lines, smuggled));
    expectProblem(await wire.reply(), 400);
    expect(await wire.reply(2_000)).toBe(null);
  });

  it.each(["GARBAGE\r\n\r\n", "GET /healthz HTTP/9.9\r\nhost: a\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])(
    "is refused: %j",
    async (bytes) => {
      expectProblem(await exchange(unix(), Buffer.from(bytes, "latin1")), 400);
    },
  );

  it("is refused where two Host headers are sent", async () => {
    expectProblem(await exchange(tcp(), `GET /healthz HTTP/1.1\r\nhost: localhost:${tcpPort(daemon)}\r\nhost: evil.example\r\n\r\n`), 400);
  });
});

describe("what HTTP has besides", () => {
  it("is answered by problems, or passed over: expectations, upgrades, tunnels", async () => {
    const lines = "host: localhost\r\n";
    expectProblem(await exchange(unix(), `GET /no HTTP/1.1\r\n${lines}expect: the-unexpected\r\n\r\n`), [404, 417]);
    using patient = await Wire.open(unix());
    patient.write(post("content-length: 2\r\nexpect: 100-continue\r\n", ""));
    expect((await patient.reply())?.status).toBe(100);
    patient.write("[]");
    expectProblem(await patient.reply(), 400);
    const upgrade =
      "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    expectProblem(await exchange(unix(), `GET /no HTTP/1.1\r\n${lines}${upgrade}\r\n`), 404);
    expect((await exchange(unix(), `GET /healthz HTTP/1.1\r\n${lines}${upgrade}\r\n`))?.status).toBe(200);
    expectProblem(await exchange(unix(), `CONNECT example.com:443 HTTP/1.1\r\n${lines}\r\n`), [400, 404, 405]);
    expect((await exchange(unix(), "GET /healthz HTTP/1.0\r\n\r\n"))?.status).toBe(200);
  });
});

describe("who waits to be told to send the body", () => {
  const patient = (lines: string) =>
    `POST /v1/sandboxes HTTP/1.1\r\nhost: localhost:${tcpPort(daemon)}\r\ncontent-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue\r\n${lines}\r\n`;

  it("is told so once let in", async () => {
    using wire = await Wire.open(tcp());
    wire.write(patient(`authorization: Bearer ${adminToken(daemon)}\r\n`));
    expect((await wire.reply())?.status).toBe(100);
    wire.write("[]");
    expectProblem(await wire.reply(), 400);
  });

  it.each([
    ["without a token", "", 401],
    ["with a wrong one", "authorization: Bearer wrong\r\n", 401],
    ["from another origin", "origin: http://evil.example\r\n", 403],
  ])("is refused in its place %s, and what it sends all the same is no request (check 59)", async (_, lines, status) => {
    using wire = await Wire.open(tcp());
    wire.write(patient(lines));
    expectProblem(await wire.reply(), status);
    wire.write(`{}${get("/healthz")}`);
    await wire.closed();
    expect(await wire.reply()).toBe(null);
  });
});

describe("connections", () => {
  it.each(doors)("are used again, by %s", async (_, address) => {
    using wire = await Wire.open(address());
    const head = `GET /healthz HTTP/1.1\r\nhost: localhost:${tcpPort(daemon)}\r\n\r\n`;
    for (let turn = 0; turn < 50; turn++) {
      wire.write(head);
      expect((await wire.reply())?.status).toBe(200);
    }
  });

  it("take requests one after the other, answered in order (check 60)", async () => {
    using wire = await Wire.open(unix());
    wire.write(get("/v1/info") + get("/no/such") + post("content-length: 2\r\n", "{x") + get("/v1/sandboxes"));
    const statuses = [await wire.reply(), await wire.reply(), await wire.reply()].map((reply) => reply?.status);
    expect(statuses).toEqual([200, 404, 400]);
  });

  it("are not lost by 500 that idle (check 60)", async () => {
    const idle = await Promise.all(Array.from({ length: 500 }, (_, index) => Wire.open(index % 2 === 0 ? unix() : tcp())));
    for (const [index, wire] of idle.entries()) if (index % 4 === 0) wire.write("GET /healthz HT");
    for (let turn = 0; turn < 20; turn++) expect((await daemon.request("GET", "/v1/sandboxes")).status).toBe(200);
    for (const wire of idle) wire[Symbol.dispose]();
  });
});
