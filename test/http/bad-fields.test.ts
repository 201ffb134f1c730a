import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { badValuesOf, bodyWith, fieldsOf } from "./bad-values.ts";
import { exampleOf, nameOf, operations, pathOf } from "./contract.ts";
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

const send = (method: string, path: string, json: string) => {
  const head = `${method} ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n`;
  return exchange({ path: daemon.socket }, `${head}content-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`);
};

const fields = operations
  .filter(({ body }) => body !== null)
  .flatMap((operation) => fieldsOf(operation.body?.schema ?? {}).map((field) => ({ operation, field })))
  .map(({ operation, field }) => ({ name: `${nameOf(operation)} ${field.pointer || "(the body)"}`, operation, field }));

describe("wrong values of every field of every body", () => {
  it("are of many fields", () => {
    expect(fields.length).toBeGreaterThan(50);
  });

  it.each(fields)("$name: refused with its pointer, and nothing is made (check 61)", async ({ operation, field }) => {
    const before = await inventory(daemon);
    for (const bad of badValuesOf(field)) {
      const path = `${pathOf(operation, "stored")}${operation.path === "/v1/roots" ? "?wait=true" : ""}`;
      const reply = await send(operation.method, path, bodyWith(exampleOf(operation), bad));
      const { errors = [] } = expectProblem(reply, [400, 422], bad.what);
      const pointers = errors.map(({ pointer }) => pointer);
      const isNamed = pointers.some((pointer) => pointer === bad.pointer || pointer.startsWith(`${bad.pointer}/`));
      expect(isNamed, `${bad.what}: ${bad.pointer} is not among ${JSON.stringify(pointers).slice(0, 300)}`).toBe(true);
    }
    expect(await inventory(daemon)).toEqual(before);
  });
});
