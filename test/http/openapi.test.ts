import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { contract, documentedCodes, exampleOf, isEndless, nameOf, type Operation, operations, pathOf, type Schema } from "./contract.ts";
import { startSmallDaemon } from "./small-daemon.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon();
});
afterAll(() => daemon[Symbol.asyncDispose]());

// OpenAPI 3.1 schemas are JSON Schema 2020-12; its own words beside them ("example") are annotations.
const ajv = new Ajv2020({ strict: false, allErrors: true });
(addFormats as unknown as (ajv: Ajv2020) => void)(ajv);
ajv.addSchema({ $id: "contract", components: contract.components });
const faultsOf = (schema: Schema, value: unknown): string => {
  const text = JSON.stringify(schema).replaceAll('"#/components/', '"contract#/components/');
  const validate = ajv.compile(JSON.parse(text));
  return validate(value) ? "" : ajv.errorsText(validate.errors);
};

const table = operations.map((operation) => ({ name: nameOf(operation), operation }));

describe("the contract", () => {
  it("is a valid OpenAPI 3.1 document, and the one that is served", async () => {
    const { text, body, headers } = await daemon.request("GET", "/openapi.json");
    expect(headers["content-type"]).toMatch(/^application\/json/);
    expect(body).toEqual(contract);
    expect(body.openapi).toMatch(/^3\.1\.\d+$/);
    const result = await new Validator().validate(JSON.parse(text));
    expect(result.errors ?? []).toEqual([]);
    expect(result.valid).toBe(true);
  });

  it("names each operation once", () => {
    const ids = operations.map(({ operationId }) => operationId);
    expect(ids.filter((id) => !/^[a-z][A-Za-z]+$/.test(id ?? ""))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(table)("says of $name what it does, takes and answers", ({ operation }) => {
    expect(operation.summary).toMatch(/./);
    expect(operation.tags?.length).toBe(1);
    const examples = [];
    for (const [status, { description, content = {} }] of Object.entries(operation.responses)) {
      expect(description, status).toMatch(/./);
      for (const [type, { schema, example, examples: named = {} }] of Object.entries(content)) {
        const given = [example, ...Object.values(named).map(({ value }) => value), ...((resolved(schema)["examples"] as unknown[]) ?? [])];
        const shown = given.filter((value) => value !== undefined);
        expect(shown.length, `no example of ${status}`).toBeGreaterThan(0);
        for (const value of shown) expect(faultsOf(schema, value), `example of ${status}`).toBe("");
        examples.push(...shown);
        if (Number(status) >= 400) expect(type, status).toBe("application/problem+json");
        else expect(bodyTypes, status).toContain(type);
      }
    }
    expect(examples.length).toBeGreaterThan(0);
    if (operation.body) expect(faultsOf(operation.body.schema, exampleOf(operation)), "example of the body").toBe("");
  });

  it.each(table)("tells every problem of $name by documented codes", ({ operation }) => {
    const problems = Object.entries(operation.responses).filter(([status]) => Number(status) >= 400);
    expect(problems.length).toBeGreaterThan(0);
    for (const [status, { description = "" }] of problems) {
      const codes = [...description.matchAll(/`([a-z-]+)`/g)].map(([, code]) => code as string);
      expect(codes.length, status).toBeGreaterThan(0);
      for (const code of codes) expect(documentedCodes, status).toContain(code);
    }
  });
});

/** What a success may be made of. */
const bodyTypes = [
  "application/json",
  "application/x-ndjson",
  "application/octet-stream",
  "application/x-tar",
  "text/event-stream",
  "image/svg+xml",
  "text/plain",
];

const resolved = (schema: Schema): Schema =>
  schema.$ref ? (contract.components.schemas[schema.$ref.split("/").at(-1) as string] as Schema) : schema;

/** One call of each operation in an order in which each succeeds. */
const calls: [string, string, unknown?][] = [
  ["POST", "/v1/sandboxes?start=true", { name: "box", labels: { a: "b" } }],
  ["GET", "/v1/sandboxes/box"],
  ["GET", "/v1/sandboxes/box/namespaces"],
  ["GET", "/v1/sandboxes/box/stats"],
  ["GET", "/v1/namespaces"],
  ["GET", "/v1/diagram?format=json"],
  ["GET", "/v1/sandboxes/box/diagram?format=json"],
  ["GET", "/v1/namespaces?pid=PID"],
  ["PATCH", "/v1/sandboxes/box", { labels: {} }],
  ["GET", "/v1/sandboxes?state=running"],
  ["POST", "/v1/sandboxes/box/pause"],
  ["POST", "/v1/sandboxes/box/resume"],
  ["POST", "/v1/sandboxes/box/keepalive"],
  ["POST", "/v1/sandboxes/box/restart", { graceSeconds: 0 }],
  ["POST", "/v1/sandboxes/box/stop", { graceSeconds: 0 }],
  ["GET", "/v1/sandboxes/box/receipt"],
  ["POST", "/v1/sandboxes/box/start"],
  ["POST", "/v1/sandboxes/box/processes?wait=true", { command: ["/bin/bash", "-c", "echo x; exit 3"] }],
  ["POST", "/v1/sandboxes/box/processes", { command: ["/bin/bash"], tty: true }],
  ["GET", "/v1/sandboxes/box/processes?all=true"],
  ["GET", "/v1/sandboxes/box/processes/PROCESS"],
  ["POST", "/v1/sandboxes/box/processes/PROCESS/resize", { rows: 40, columns: 120 }],
  ["POST", "/v1/sandboxes/box/processes/PROCESS/stdin", Buffer.from("typed\n")],
  ["POST", "/v1/sandboxes/box/processes/PROCESS/signal", { signal: "SIGWINCH" }],
  ["GET", "/v1/sandboxes/box/processes/PROCESS/output"],
  ["GET", "/v1/sandboxes/box/logs?tail=1"],
  ["DELETE", "/v1/sandboxes/box/processes/PROCESS"],
  ["PUT", "/v1/sandboxes/box/files?path=/notes/first&parents=true", Buffer.from("text")],
  ["PUT", "/v1/sandboxes/box/files?path=/notes/first", Buffer.from("other")],
  ["GET", "/v1/sandboxes/box/files?path=/notes/first"],
  ["GET", "/v1/sandboxes/box/files?path=/notes/first&stat=true"],
  ["GET", "/v1/sandboxes/box/files?path=/notes"],
  ["POST", "/v1/sandboxes/box/files", { op: "symlink", path: "/notes/link", target: "first" }],
  ["GET", "/v1/sandboxes/box/archive?path=/notes"],
  ["PUT", "/v1/sandboxes/box/archive?path=/notes", Buffer.alloc(1024)],
  ["DELETE", "/v1/sandboxes/box/files?path=/notes&recursive=true"],
  ["POST", "/v1/sandboxes/box/stop?wait=0", { graceSeconds: 0 }],
  ["POST", "/v1/sandboxes/box/kill"],
  ["DELETE", "/v1/sandboxes/box"],
  ["GET", "/v1/sandboxes"],
  ["GET", "/v1/events"],
  ["GET", "/v1/audit"],
  ["POST", "/v1/backup"],
  ["POST", "/v1/runs", { command: ["/bin/sleep", "60"] }],
  ["POST", "/v1/runs?wait=true", { command: ["/bin/bash", "-c", "echo x >out/y"], cwd: "/job", collect: ["/job/out/*"] }],
  ["POST", "/v1/runs?wait=true", { command: ["/bin/bash", "-c", "printf '%2000000d' 1 >y"], cwd: "/job", collect: ["/job/y"] }],
  ["GET", "/v1/runs/ARCHIVE/archive"],
  ["POST", "/v1/runs/batch", { runs: [{ command: ["/bin/bash", "-c", ":"] }] }],
  ["GET", "/v1/runs"],
  ["GET", "/v1/runs/RUN"],
  ["DELETE", "/v1/runs/RUN"],
  ["POST", "/v1/roots", { name: "later", source: { kind: "copy", binaries: ["/bin/ls"] } }],
  ["POST", "/v1/roots?wait=true", { name: "now", source: { kind: "copy", binaries: ["/bin/ls"] } }],
  ["GET", "/v1/roots"],
  ["GET", "/v1/roots/now"],
  ["GET", "/v1/roots/now/manifest"],
  ["DELETE", "/v1/roots/now"],
  ["GET", "/v1/operations"],
  ["GET", "/v1/operations/OPERATION"],
  ["DELETE", "/v1/operations/OPERATION"],
  ["POST", "/v1/tokens", { name: "key", scopes: ["run"] }],
  ["GET", "/v1/tokens"],
  ["DELETE", "/v1/tokens/key"],
  ["POST", "/v1/webhooks", { url: "http://127.0.0.1:9/", types: ["root.none"] }],
  ["GET", "/v1/webhooks"],
  ["GET", "/v1/webhooks/WEBHOOK"],
  ["DELETE", "/v1/webhooks/WEBHOOK"],
  ["GET", "/v1/info"],
  ["GET", "/v1/preflight"],
  ["GET", "/metrics"],
  ["GET", "/healthz"],
  ["GET", "/readyz"],
];
const operationOf = (method: string, url: string): Operation | undefined => {
  const path = url.split("?", 1)[0] as string;
  return operations.find((each) => each.method === method && new RegExp(`^${each.path.replaceAll(/\{[^}]+\}/g, "[^/]+")}$`).test(path));
};

describe("answers", () => {
  it("fit the contract, for a call of every operation", async () => {
    const called = new Set<string>();
    const seen = { PID: "", OPERATION: "", PROCESS: "", RUN: "", ARCHIVE: "", WEBHOOK: "" };
    for (const [method, path, body] of calls) {
      const url = path
        .replace("PID", seen.PID)
        .replace("OPERATION", seen.OPERATION)
        .replace("PROCESS", seen.PROCESS)
        .replace("RUN", seen.RUN)
        .replace("ARCHIVE", seen.ARCHIVE)
        .replace("WEBHOOK", seen.WEBHOOK);
      const operation = operationOf(method, url) as Operation;
      called.add(nameOf(operation));
      const reply = await daemon.request(method, url, body);
      expect(reply.status, `${method} ${url} ${reply.text}`).toBeLessThan(300);
      const media = operation.responses[`${reply.status}`];
      expect(media, `${method} ${url} answers ${reply.status}, which is not in the contract`).toBeDefined();
      const schema = reply.body === null ? undefined : media?.content?.["application/json"]?.schema;
      if (schema) expect(faultsOf(schema as Schema, reply.body), `${method} ${url}`).toBe("");
      if (method === "POST" && url === "/v1/webhooks") seen.WEBHOOK = reply.body.id;
      if (method === "POST" && /\/processes(\?|$)/.test(url)) seen.PROCESS = reply.body.id;
      if (reply.body?.process?.pid) seen.PID = `${reply.body.process.pid}`;
      if (url === "/v1/runs" && method === "POST") seen.RUN = reply.body.id;
      if (reply.body?.archive) seen.ARCHIVE = reply.body.id;
      if (url === "/v1/operations") seen.OPERATION = reply.body.items[0].id;
    }
    expect(operations.filter((each) => !isEndless(each) && !called.has(nameOf(each))).map(nameOf)).toEqual([]);
  });

  it.each(operations.filter(({ path }) => path.includes("{")).map((operation) => ({ name: nameOf(operation), operation })))(
    "fit the contract where what $name names is not there",
    async ({ operation }) => {
      const reply = await daemon.request(operation.method, pathOf(operation), exampleOf(operation));
      const media = operation.responses[`${reply.status}`]?.content?.["application/problem+json"];
      expect(media, `${reply.status}`).toBeDefined();
      expect(operation.responses[`${reply.status}`]?.description).toContain(`\`${reply.body.code}\``);
      expect(faultsOf(media?.schema as Schema, reply.body)).toBe("");
    },
  );
});
