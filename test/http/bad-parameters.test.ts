import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
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

const send = (method: string, path: string, body?: unknown) => {
  const json = body === undefined ? "" : JSON.stringify(body);
  const type = body === undefined ? "" : `content-type: application/json\r\ncontent-length: ${json.length}\r\n`;
  return exchange({ path: daemon.socket }, `${method} ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${type}\r\n${json}`);
};
const table = (some: typeof operations) => some.map((operation) => ({ name: nameOf(operation), operation }));

const badReferences = [
  "%2e%2e",
  "..",
  "%2f",
  "..%2f..%2fetc",
  "%00",
  "stored%00",
  "stored%2f",
  "%20",
  "STORED",
  "a_b",
  "%ff",
  "%",
  "%zz",
  "é",
  "'%20OR%201=1",
  "x".repeat(5_000),
  "%2e".repeat(1_500),
];

describe.each(table(operations.filter(({ path }) => path.includes("{"))))("the path of $name", ({ operation }) => {
  it("takes no name that cannot be one", async () => {
    const before = await inventory(daemon);
    for (const value of badReferences) {
      const problem = expectProblem(await send(operation.method, pathOf(operation, value), exampleOf(operation)), [400, 404], value);
      expect(problem.detail.length, value).toBeLessThan(2_000);
    }
    for (const value of ["", "/", "//", "stored/../stored", "stored//"])
      expectProblem(await send(operation.method, pathOf(operation, value), exampleOf(operation)), [400, 404, 405], value);
    expect(await inventory(daemon)).toEqual(before);
  });

  it("names what is not there", async () => {
    for (const value of ["nobody", "01jd9f2v7k3m5n8p0q2r4s6t8v", "constructor", "0"]) {
      const problem = expectProblem(await send(operation.method, pathOf(operation, value), exampleOf(operation)), 404, value);
      expect(problem.code).toMatch(/-not-found$/);
    }
  });
});

const badQueries: Record<string, string[]> = {
  limit: ["0", "-1", "1001", "1e9", "1.5", "x", "", "%00", "99999999999999999999", "1&limit=2"],
  cursor: [
    "x",
    "",
    "%00",
    "..",
    "MTox".repeat(500),
    Buffer.from("1:../x").toString("base64url"),
    Buffer.from("2:abc").toString("base64url"),
    "a&cursor=b",
  ],
  state: ["no-such", "", "RUNNING", "running,stopped", "%00"],
  name: ["", "..", "A", "%00", "x".repeat(5_000), "%25"],
  label: ["", "novalue", "=v", "%00=v", "k=%00", `${"k".repeat(300)}=v`, `k=${"v".repeat(5_000)}`],
  subject: ["", "..", "%00", "x".repeat(5_000)],
  start: ["x", "", "2", "yes", "true&start=true&start=x"],
  wait: ["x", "", "-1", "301", "1.5", "true&wait=true", "%00"],
  inode: ["0", "-1", "x", "", "1.5", "1e400", "99999999999999999999"],
  pid: ["0", "-1", "x", "", "1.5", "4194305", "1&pid=2"],
  type: ["x", "", "mount", "%00"],
  after: ["x", "", "-1", "1.5", "%00", "HELD", "9999999999999999", "1&after=2"],
  sandbox: ["", "..", "%00", "STORED", "x".repeat(5_000)],
  tail: ["-1", "x", "", "1.5", "1000001", "%00", "1&tail=2"],
  since: ["x", "", "yesterday", "0", "2026-13-01T00:00:00Z", "%00"],
  process: ["", "..", "MAIN", "a-b", "%00", "x".repeat(65)],
  follow: ["x", "", "2", "true&follow=true"],
  stream: ["x", "", "stdin", "stdout,", "stdout,stderr,stdout", "%00", "stdout&stream=stderr"],
  close: ["x", "", "2", "true&close=true"],
  all: ["x", "", "2", "true&all=true"],
  path: ["", "..", "relative", "%00", "/a%00", "/a%00%ff", "/%zz", "/%", "/a&path=/b", `/${"x".repeat(5_000)}`],
  stat: ["x", "", "2", "true&stat=true"],
  recursive: ["x", "", "2", "true&recursive=true"],
  parents: ["x", "", "2", "true&parents=true"],
  mode: ["", "x", "8", "99", "12345", "0o644", "-1", "%00", "0644&mode=0644"],
  uid: ["-1", "65536", "x", "", "1.5", "0&uid=0"],
  format: ["x", "", "SVG", "png", "%00", "svg&format=json"],
  gid: ["-1", "65536", "x", "", "1.5", "0&gid=0"],
};

const queryFields = operations.flatMap((operation) =>
  operation.parameters
    .filter((each) => each.in === "query")
    .map((parameter) => ({ name: `${nameOf(operation)} ?${parameter.name}`, operation, parameter: parameter.name })),
);

describe("query parameters", () => {
  it.each(queryFields)("$name refuses what it cannot use, by its name", async ({ operation, parameter }) => {
    const values = badQueries[parameter];
    if (values === undefined) throw new Error(`no bad values are known for the parameter ${parameter}`);
    const before = await inventory(daemon);
    for (const value of values) {
      const path = `${pathOf(operation, "stored")}?${parameter}=${value}`;
      const problem = expectProblem(await send(operation.method, path, exampleOf(operation)), 400, path);
      expect(
        problem.errors?.map(({ pointer }) => pointer.split("/")[0]),
        path,
      ).toContain(parameter);
    }
    expect(await inventory(daemon)).toEqual(before);
  });

  it.each(table(operations.filter(({ path }) => path.startsWith("/v1/"))))("$name refuses unknown ones", async ({ operation }) => {
    for (const name of ["surprise", "limits", "__proto__", "constructor"]) {
      const problem = expectProblem(
        await send(operation.method, `${pathOf(operation, "stored")}?${name}=1`, exampleOf(operation)),
        400,
        name,
      );
      expect(problem.errors?.map(({ pointer }) => pointer)).toContain(name);
    }
  });
});

describe("a root that is not there", () => {
  it.each(["none", "01jd9f2v7k3m5n8p0q2r4s6t8v"])("is a fault of the field: %s", async (root) => {
    const before = await inventory(daemon);
    const problem = expectProblem(await daemon.request("POST", "/v1/sandboxes?start=true", { root }), 422);
    expect([problem.code, problem.errors?.[0]?.pointer]).toEqual(["root-not-found", "/root"]);
    expect(await inventory(daemon)).toEqual(before);
  });
});
