import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { contract, documentedCodes, isEndless, nameOf, operations, pathOf } from "./contract.ts";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon, tcpPort } from "./small-daemon.ts";
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

const allMethods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/** The methods of every pattern that the path fits: `/v1/runs/batch` is also the run of that name. */
const answered = (path: string): string[] => {
  const fits = Object.keys(contract.paths).filter((pattern) => new RegExp(`^${pattern.replaceAll(/\{[^}]+\}/g, "[^/]+")}$`).test(path));
  const methods = fits.flatMap((pattern) => Object.keys(contract.paths[pattern] ?? {})).map((method) => method.toUpperCase());
  return methods.includes("GET") ? [...methods, "HEAD"] : methods;
};

describe.each(Object.keys(contract.paths))("%s", (path) => {
  const url = path.replaceAll(/\{[^}]+\}/g, "stored");

  it("answers 405 with Allow to the methods it does not have", async () => {
    for (const method of [...allMethods, "OPTIONS", "PROPFIND"].filter((each) => !answered(path).includes(each))) {
      const reply = await daemon.request(method, url, method === "GET" ? undefined : {});
      // The answer to HEAD has no body.
      if (method === "HEAD") expect(reply.status).toBe(405);
      else expect(expectProblem(reply, 405, method)).toMatchObject({ code: "method-not-allowed", instance: url });
      expect(String(reply.headers["allow"]).split(", ").sort(), method).toEqual(answered(path).sort());
    }
  });
});

describe("HEAD", () => {
  it.each(
    operations.filter((each) => each.method === "GET" && !isEndless(each)).map((operation) => ({ name: nameOf(operation), operation })),
  )("answers as $name without the body", async ({ operation }) => {
    const url = pathOf(operation, operation.path.startsWith("/v1/roots") ? "default" : "stored");
    const [get, head] = [await daemon.request("GET", url), await daemon.request("HEAD", url)];
    expect([head.status, head.text]).toEqual([get.status, ""]);
    expect(head.headers["content-type"]).toBe(get.headers["content-type"]);
  });
});

describe("what is not there", () => {
  it.each([
    "/v1",
    "/v1/",
    "/v1/nothing",
    "/V1/info",
    "/v1/info/",
    "//v1/info",
    "/v1//info",
    "/v1/./info",
    "/v1/x/../info",
    "/v1/info;a=b",
    "/%76%31/nothing",
    "/docs/nothing",
    "/problems",
    "/problems/constructor",
    "/problems/none",
    "/metrics/x",
    "/.env",
    `/${"a".repeat(4_000)}`,
  ])("is a 404 problem: %s", async (path) => {
    for (const method of ["GET", "POST", "DELETE"]) {
      const reply = await exchange({ path: daemon.socket }, `${method} ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n`);
      const problem = expectProblem(
        reply,
        path === "/docs/nothing" || path.startsWith("/problems/") ? [404, 405] : 404,
        `${method} ${path}`,
      );
      expect(["not-found", "method-not-allowed"]).toContain(problem.code);
    }
  });

  it("is a problem document whatever is accepted", async () => {
    for (const accept of ["*/*", "text/html", "application/xml", "application/problem+xml", "application/json;q=0", "nonsense", ""]) {
      expectProblem(await daemon.request("GET", "/v1/sandboxes/none", undefined, { accept }), 404, accept);
      const { status, headers } = await daemon.request("GET", "/v1/info", undefined, {
        accept,
        "accept-encoding": "br",
        "accept-language": "de",
      });
      expect([status, headers["content-type"]]).toEqual([200, "application/json; charset=utf-8"]);
    }
  });
});

describe("health", () => {
  it("is told without a token", async () => {
    expect(await daemon.request("GET", "/healthz")).toMatchObject({ status: 200, body: { status: "ok" } });
    expect(await daemon.request("GET", "/readyz")).toMatchObject({ status: 200, body: { status: "ready" } });
  });
});

describe("documents", () => {
  const fetched = async (path: string) => {
    const reply = await exchange(
      { host: "127.0.0.1", port: tcpPort(daemon) },
      `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${tcpPort(daemon)}\r\n\r\n`,
    );
    return { status: reply?.status, type: reply?.headers["content-type"] ?? "", body: reply?.body ?? "" };
  };

  it("have a page at /docs, whose parts all come from this daemon", async () => {
    const pages = ["/docs", "/docs/"];
    const seen = new Set<string>();
    for (const path of pages) {
      const { status, type, body } = await fetched(path);
      expect([status, type], path).toEqual([200, expect.stringContaining("text/html")]);
      expect(body, "names another host").not.toMatch(/(src|href|action)\s*=\s*["']?(https?:)?\/\//i);
      for (const [, link] of body.matchAll(/(?:src|href)="([^"#]+)"/g)) seen.add(new URL(link as string, "http://own/docs/").pathname);
    }
    expect(seen.size).toBeGreaterThan(3);
    for (const link of seen) {
      const { status, type, body } = await fetched(link);
      expect(status, link).toBe(200);
      if (type.includes("css")) expect(body, link).not.toMatch(/(@import|url\()\s*["']?(https?:)?\/\//i);
    }
    const { body } = await fetched("/docs/static/swagger-initializer.js");
    expect(body).not.toMatch(/validatorUrl: *"http/);
  });

  it("explain the code of every problem", async () => {
    for (const code of documentedCodes) {
      const { status, type, body } = await fetched(`/problems/${code}`);
      expect([status, type], code).toEqual([200, "text/markdown; charset=utf-8"]);
      expect(body).toMatch(new RegExp(`^## ${code}\n\nStatus \\d{3}`));
    }
  });
});
