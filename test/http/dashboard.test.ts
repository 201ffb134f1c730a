import { readdirSync, readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Daemon } from "../fixtures/daemon.ts";
import { expectProblem } from "./expect-problem.ts";
import { tcpPort } from "./small-daemon.ts";

const dist = resolve(import.meta.dirname, "../../web/dist");
const assets = readdirSync(join(dist, "assets"));
const sizeOf = (names: readonly string[]): number => names.reduce((sum, name) => sum + readFileSync(join(dist, name)).length, 0);

let daemon: Daemon;
beforeAll(async () => {
  daemon = await Daemon.start("--ready-shells", "0", "--default-root", "off", "--listen", "127.0.0.1:0");
});
afterAll(() => daemon[Symbol.asyncDispose]());

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** Over TCP, without a token. */
const get = (path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> =>
  new Promise((done, failed) => {
    const request = httpRequest({ host: "127.0.0.1", port: tcpPort(daemon), path, method, headers }, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      done({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
    });
    request.once("error", failed);
    request.end();
  });

describe("the dashboard", () => {
  it("is at /, without a token, under a policy that lets nothing in but its own files", async () => {
    const { status, headers, body } = await get("/");
    expect([status, headers["content-type"], headers["cache-control"]]).toEqual([200, "text/html; charset=utf-8", "no-cache"]);
    expect(body).toEqual(readFileSync(join(dist, "index.html")));
    const policy = String(headers["content-security-policy"]);
    expect(policy.split("; ")).toEqual(
      expect.arrayContaining([
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
      ]),
    );
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect([headers["x-content-type-options"], headers["referrer-policy"]]).toEqual(["nosniff", "no-referrer"]);
  });

  it("names nothing of another host, and has nothing inline", () => {
    const html = readFileSync(join(dist, "index.html"), "utf8");
    expect(html).not.toMatch(/<style|style=|<script(?![^>]* src="\/assets\/)|\bon\w+=|https?:/);
  });

  it.each(assets.filter((name) => !name.endsWith(".gz")))("has %s for ever, as it is or compressed", async (name) => {
    const plain = await get(`/assets/${name}`);
    expect([plain.status, plain.headers["cache-control"]]).toEqual([200, "public, max-age=31536000, immutable"]);
    expect(plain.body).toEqual(readFileSync(join(dist, "assets", name)));
    const compressed = await get(`/assets/${name}`, { "accept-encoding": "br, gzip;q=0.9" });
    expect([compressed.headers["content-encoding"], compressed.headers["vary"]]).toEqual(["gzip", "accept-encoding"]);
    expect(compressed.headers["content-type"]).toBe(plain.headers["content-type"]);
    expect(gunzipSync(compressed.body)).toEqual(plain.body);
    expect((await get(`/assets/${name}`, { "accept-encoding": "gzip;q=0" })).headers["content-encoding"]).toBeUndefined();
  });

  it("answers HEAD as GET, without the body", async () => {
    const { status, headers, body } = await get("/", {}, "HEAD");
    expect([status, Number(headers["content-length"]) > 0, body.length]).toEqual([200, true, 0]);
  });

  it.each(["/assets/nothing.js", "/assets/../index.html", "/assets/..%2f..%2fpackage.json", "/assets/%2e%2e/favicon.svg"])(
    "has no %s",
    async (path) => {
      const answer = await get(path);
      expect(expectProblem({ ...answer, body: answer.body.toString() }, 404, path).code).toBe("not-found");
    },
  );

  it("is refused to other names and to pages of other sites", async () => {
    expect((await get("/", { host: "evil.example:7070" })).status).toBe(421);
    expect((await get("/", { "sec-fetch-site": "cross-site" })).status).toBe(403);
  });

  it("is under 400 KB compressed, without the terminal", () => {
    const page = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".gz") && !/\/xterm-/.test(name));
    expect(page.length).toBeGreaterThan(3);
    expect(sizeOf(page)).toBeLessThan(400_000);
  });
});
