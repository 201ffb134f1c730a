import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { nameOf, operations, pathOf } from "./contract.ts";
import { expectProblem } from "./expect-problem.ts";
import { inventory } from "./inventory.ts";
import { startSmallDaemon } from "./small-daemon.ts";
import { exchange } from "./wire.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon();
  await daemon.request("POST", "/v1/sandboxes", { name: "stored" });
});
afterAll(async () => {
  await daemon.request("DELETE", "/v1/sandboxes/stored");
  await daemon[Symbol.asyncDispose]();
});

const send = (method: string, path: string, body: Buffer | string, type = "application/json") => {
  const bytes = Buffer.from(body);
  const head = `${method} ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${type}\r\n`;
  return exchange({ path: daemon.socket }, Buffer.concat([Buffer.from(`${head}content-length: ${bytes.length}\r\n\r\n`), bytes]));
};

const deep = 100_000;
const bodies: [string, Buffer | string, number[]][] = [
  ["no JSON", "{nope", [400]],
  ["half of a JSON", '{"name":"a"', [400]],
  ["two documents", "{}{}", [400]],
  ["white space alone", "  ", [400]],
  ["NaN", '{"name":NaN}', [400]],
  ["bytes that are not UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), [400]],
  [
    "bytes that are not UTF-8 in a value",
    Buffer.concat([Buffer.from('{"labels":{"k":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}}')]),
    [400],
  ],
  ["UTF-16", Buffer.from('{"name":"a"}', "utf16le"), [400]],
  ["a NUL between the tokens", '{\0"name":"a"}', [400]],
  ["a list 100,000 deep", "[".repeat(deep) + "]".repeat(deep), [400]],
  ["an object 100,000 deep", `${'{"env":'.repeat(deep)}1${"}".repeat(deep)}`, [400]],
  ["depth in a field", `{"labels":{"k":${"[".repeat(deep)}${"]".repeat(deep)}}}`, [400]],
  ["__proto__", '{"__proto__":{"name":"a"}}', [400]],
  ["__proto__ with an escape", '{"\\u005f_proto__":{"name":"a"}}', [400]],
  ["__proto__ within", '{"labels":{"__proto__":{"x":"y"}}}', [400]],
  ["constructor.prototype", '{"constructor":{"prototype":{"name":"a"}}}', [400]],
  ["a key twice", '{"name":"a","name":"b"}', [400]],
  ["a key twice within", '{"labels":{"k":"a","k":"b"}}', [400]],
  ["a key twice, once with an escape", '{"labels":{},"l\\u0061bels":{}}', [400]],
  ["half of a surrogate pair", '{"name":"a\\ud800"}', [400]],
  ["half of a surrogate pair within", '{"labels":{"k":"\\uDC00\\ud83d"}}', [400]],
  ["half of a surrogate pair in a name", '{"env":{"\\udfff":"v"}}', [400]],
  ["2 MB", JSON.stringify({ name: "x".repeat(2_000_000) }), [413]],
];

const types = [
  "text/plain",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "application/xml",
  "application/jsonp",
  "nonsense",
];

describe.each(operations.filter(({ body }) => body !== null).map((operation) => ({ name: nameOf(operation), operation })))(
  "$name",
  ({ operation }) => {
    const path = pathOf(operation, "stored");

    it("refuses what is no proper JSON, and makes nothing (check 61)", async () => {
      const before = await inventory(daemon);
      for (const [what, body, statuses] of bodies) {
        // Runs carry files, and may be larger: what is wrong with this one is its field.
        const wanted = what === "2 MB" && path.startsWith("/v1/runs") ? [400] : statuses;
        const problem = expectProblem(await send(operation.method, path, body), wanted, what);
        expect(problem.instance, what).toBe(path);
      }
      expect(await inventory(daemon)).toEqual(before);
    });

    it("refuses other media types, and makes nothing", async () => {
      const before = await inventory(daemon);
      for (const type of types) expectProblem(await send(operation.method, path, "{}", type), 415, type);
      const untyped = `${operation.method} ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}`;
      expectProblem(await exchange({ path: daemon.socket }, untyped), 415, "no type");
      for (const type of ["application/json; charset=latin1", "application/json; charset=utf-16"])
        expectProblem(await send(operation.method, path, "{}", type), 415, type);
      expect(await inventory(daemon)).toEqual(before);
    });
  },
);

describe("an empty body", () => {
  it("means the defaults on a POST whose fields are all optional", async () => {
    const head = "HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: 0\r\n\r\n";
    const reply = await exchange({ path: daemon.socket }, `POST /v1/sandboxes ${head}`);
    expect(reply?.status).toBe(201);
    expect((await daemon.request("DELETE", `/v1/sandboxes/${JSON.parse(reply?.body ?? "").id}`)).status).toBe(200);
    expectProblem(await daemon.request("POST", "/v1/roots"), 400);
    expectProblem(await daemon.request("PATCH", "/v1/sandboxes/stored"), 400);
  });
});

describe("half of a surrogate pair", () => {
  it("is refused where any text would do, with the field; whole pairs and what only looks like one are taken", async () => {
    for (const [field, value] of [
      ["env/K", '{"env":{"K":"\\ud800"}}'],
      ["command/1", '{"command":["a","\\uDFFFx"]}'],
      ["labels/k", '{"labels":{"k":"\\ude00\\ud83d"}}'],
    ] as const) {
      const { errors } = expectProblem(await send("POST", "/v1/sandboxes", value), 400, field);
      expect(errors).toEqual([{ pointer: `/${field}`, detail: "is no Unicode: half of a surrogate pair" }]);
    }
    const whole = '{"labels":{"pair":"\\ud83d\\ude00","backslash":"\\\\ud800","raw":"\u{1f600}"}}';
    const reply = await send("POST", "/v1/sandboxes", whole);
    expect(reply?.status).toBe(201);
    const { id, labels } = JSON.parse(reply?.body ?? "");
    expect(labels).toEqual({ pair: "\u{1f600}", backslash: "\\ud800", raw: "\u{1f600}" });
    await daemon.request("DELETE", `/v1/sandboxes/${id}`);
  });
});

describe("routes that take no body", () => {
  const bare = operations.filter(({ body }) => body === null);
  it.each(bare.map((operation) => ({ name: nameOf(operation), operation })))("$name never fails on one", async ({ operation }) => {
    for (const [what, body] of bodies.filter(([each]) => each !== "2 MB")) {
      const reply = await send(operation.method, pathOf(operation), body);
      expect(reply?.status, what).toBeLessThan(500);
      if ((reply?.status ?? 0) >= 400) expectProblem(reply, [400, 404], what);
    }
  });
});
