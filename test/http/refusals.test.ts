/** A refusal tells who reads it what would have been taken. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon, tcpPort } from "./small-daemon.ts";
import { exchange } from "./wire.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon();
});
afterAll(() => daemon[Symbol.asyncDispose]());

it("names the values that a field, and a parameter, may have", async () => {
  const body = expectProblem(await daemon.request("POST", "/v1/sandboxes", { restart: { policy: "sometimes" } }), 400);
  expect(body.errors).toEqual([{ pointer: "/restart/policy", detail: 'must be "never" or "on-failure" or "always"' }]);
  const long = expectProblem(await daemon.request("POST", "/v1/sandboxes", { capabilities: ["CAP_NONE"] }), 400);
  expect(long.errors?.map(({ detail }) => detail)).toEqual([expect.stringMatching(/^must be one of \d+ values, such as "CAP_/)]);
  const query = expectProblem(await daemon.request("GET", "/v1/diagram?format=png"), 400);
  expect(query.errors).toEqual([{ pointer: "format", detail: 'must be "svg" or "mermaid" or "json"' }]);
});

it("names the size and the type that a body may have", async () => {
  const post = (headers: string) => exchange({ path: daemon.socket }, `POST /v1/sandboxes HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n`);
  expect(expectProblem(await post("content-type: application/json\r\ncontent-length: 1048577\r\n"), 413).detail).toContain("1 MiB");
  expect(expectProblem(await post("content-type: text/plain\r\ncontent-length: 0\r\n"), 415).detail).toContain("application/json");
});

it("says of another host that it is the Host header", async () => {
  const at = { host: "127.0.0.1", port: tcpPort(daemon) };
  expect(expectProblem(await exchange(at, "GET /v1/info HTTP/1.1\r\nhost: example.org\r\n\r\n"), 421).detail).toContain("Host header");
});
