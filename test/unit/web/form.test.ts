import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { kindOf, resolved, type Schema } from "../../../web/src/form/schema.ts";
import { bodyOf, parseBytes, UnreadableField } from "../../../web/src/form/values.ts";

const contract = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../../openapi/openapi.json"), "utf8"));
const body = contract.paths["/v1/sandboxes"].post.requestBody.content["application/json"].schema as Schema;
const schema = resolved(body, contract.components.schemas);

describe("sizes as a person writes them", () => {
  it.each([
    ["4096", 4096],
    ["256 MiB", 268_435_456],
    ["256mb", 268_435_456],
    ["1.5g", 1_610_612_736],
    ["1 KiB", 1024],
    ["7 B", 7],
  ])("%s", (text, bytes) => expect(parseBytes(text)).toBe(bytes));
  it.each(["", "x", "-1", "1 XiB", "1e3", "1 2", "MiB"])("refuses %j", (text) => expect(parseBytes(text)).toBeNull());
});

describe("a form of the contract's own definition", () => {
  it("has a way to fill in each of its fields", () => {
    const names = Object.entries(schema.properties ?? {}).flatMap(([name, each]) =>
      each.properties === undefined ? [[name, each] as const] : Object.entries(each.properties),
    );
    expect(names.length).toBeGreaterThan(25);
    expect(names.filter(([name, each]) => kindOf(name, each) === null)).toEqual([]);
  });

  it("sends what was filled in, each in its own type, and nothing else", () => {
    const values = {
      name: "web-1",
      command: "/bin/sh\n-c\nls /",
      env: "A=1\nB=x=y",
      tty: "false",
      init: "",
      capabilities: "CAP_CHOWN\n",
      "limits.memoryBytes": "64 MiB",
      "limits.cpus": "0.5",
      "user.uid": " ",
      "restart.policy": "always",
      seccomp: "strict",
    };
    expect(bodyOf(schema, values)).toEqual({
      name: "web-1",
      command: ["/bin/sh", "-c", "ls /"],
      env: { A: "1", B: "x=y" },
      tty: false,
      capabilities: ["CAP_CHOWN"],
      limits: { memoryBytes: 67_108_864, cpus: 0.5 },
      restart: { policy: "always" },
      seccomp: "strict",
    });
    expect(bodyOf(schema, {})).toEqual({});
  });

  it.each([
    [{ "limits.memoryBytes": "much" }, "/limits/memoryBytes"],
    [{ "limits.cpus": "two" }, "/limits/cpus"],
    [{ env: "=x" }, "/env"],
  ])("says which field of %j cannot be read", (values, pointer) => {
    const failure = ((): unknown => {
      try {
        return bodyOf(schema, values as never);
      } catch (error) {
        return error;
      }
    })();
    expect(failure).toBeInstanceOf(UnreadableField);
    expect((failure as UnreadableField).pointer).toBe(pointer);
  });
});
