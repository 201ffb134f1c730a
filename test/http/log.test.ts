import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startSmallDaemon, tcpPort } from "./small-daemon.ts";
import { exchange } from "./wire.ts";

it("has one JSON line for each request, and no token in any (check 59)", async () => {
  const daemon = await startSmallDaemon("--log-level", "trace");
  const token = (await readFile(join(daemon.stateDir, "admin.token"), "utf8")).trim();
  const address = { host: "127.0.0.1", port: tcpPort(daemon) };
  const head = `HTTP/1.1\r\nhost: 127.0.0.1:${address.port}\r\nauthorization: Bearer ${token}\r\n`;
  const sent: [string, string, number][] = [
    ["GET", "/v1/info", 200],
    ["GET", "/v1/sandboxes/none", 404],
    ["GET", "/v1/sandboxes?limit=0", 400],
    ["GET", "/nowhere", 404],
    ["PUT", "/v1/info", 405],
    ["POST", "/v1/sandboxes", 201],
    ["GET", "/v1/sandboxes/%zz", 400],
    ["GET", `/v1/info?token=${token}`, 400],
  ];
  for (const [method, path, status] of sent)
    expect((await exchange(address, `${method} ${path} ${head}content-length: 0\r\n\r\n`))?.status, path).toBe(status);
  await exchange(address, `GET /v1/info HTTP/1.1\r\nhost: 127.0.0.1:${address.port}\r\nauthorization: Bearer ${token}x\r\n\r\n`);
  await daemon[Symbol.asyncDispose]();

  const requests = daemon.log.filter((line) => line["msg"] === "request").slice(1);
  const expected = [
    ...sent.slice(0, -1).map(([method, url, status]) => ({ method, url, status })),
    { method: "GET", url: "/v1/info?token=...", status: 400 },
    { method: "GET", url: "/v1/info", status: 401 },
  ];
  // The first made the root.
  expect(requests).toMatchObject(expected);
  for (const line of requests)
    expect(line).toMatchObject({ level: "info", time: expect.stringMatching(/^\d{4}-.*Z$/), milliseconds: expect.any(Number) });
  expect(JSON.stringify(daemon.log)).not.toContain(token);
});
