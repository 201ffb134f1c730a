/** What processes are given to read: POST .../stdin. */
import { createHash } from "node:crypto";
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { statusLine } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let daemon: SandboxDaemon;
const base = "/v1/sandboxes/box/processes";
beforeAll(async () => {
  daemon = await SandboxDaemon.start("stdin", 1_725_000_000);
  await daemon.run({ name: "box", command: ["sleep", "infinity"] });
});
afterAll(() => daemon[Symbol.asyncDispose]());

const start = async (body: object): Promise<string> => {
  const reply = await daemon.request("POST", base, body);
  expect(reply.status, reply.text).toBe(201);
  return reply.body.id;
};
const send = (path: string, bodies: AsyncIterable<Buffer> | Buffer, headers: Record<string, string> = {}) =>
  new Promise<{ status: number; body: { bytesWritten: number; code?: string } }>((resolve, reject) => {
    const call = request(
      { socketPath: daemon.daemon.socket, method: "POST", path, headers: { host: "localhost", ...headers } },
      async (response) => {
        let text = "";
        for await (const chunk of response.setEncoding("utf8")) text += chunk;
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
      },
    );
    call.on("error", reject);
    const write = async () => {
      if (Buffer.isBuffer(bodies)) return call.end(bodies);
      for await (const piece of bodies) if (!call.write(piece)) await new Promise((next) => call.once("drain", next));
      return call.end();
    };
    write().catch(reject);
  });

describe("stdin", () => {
  it("takes a body of any type, streamed and closed at the end", { timeout: 60_000 }, async () => {
    const id = await start({ command: ["sha256sum"], stdin: true });
    const piece = Buffer.from(Array.from({ length: 65_536 }, (_, index) => (index * 7) % 251));
    const hash = createHash("sha256");
    async function* pieces() {
      for (let index = 0; index < 200; index += 1) {
        hash.update(piece);
        yield piece;
      }
    }
    const { status, body } = await send(`${base}/${id}/stdin?close=true`, pieces());
    expect([status, body]).toEqual([200, { bytesWritten: 200 * 65_536, closed: true }]);
    expect((await daemon.request("GET", `${base}/${id}?wait=true`)).body.output.stdout.data).toBe(`${hash.digest("hex")}  -\n`);
  });

  it("in several requests is one stream; JSON is bytes as well; an empty one closes", async () => {
    const id = await start({ command: ["cat"], stdin: true });
    await send(`${base}/${id}/stdin`, Buffer.from("one "));
    await send(`${base}/${id}/stdin`, Buffer.from('{"two"'), { "content-type": "application/json" });
    await send(`${base}/${id}/stdin?close=true`, Buffer.alloc(0));
    const { exit, output: collected } = (await daemon.request("GET", `${base}/${id}?wait=true`)).body;
    expect([exit.code, collected.stdout.data]).toEqual([0, 'one {"two"']);
  });

  it("that is closed says so, and how much went in", async () => {
    const deaf = await start({ command: ["sleep", "100"] });
    expect(await send(`${base}/${deaf}/stdin`, Buffer.from("x"))).toMatchObject({
      status: 409,
      body: { code: "stdin-closed", bytesWritten: 0 },
    });
    await daemon.request("DELETE", `${base}/${deaf}`);
    const early = await start({ command: ["/bin/bash", "-c", "head -c 100000 >/dev/null; exec <&-; exec sleep 100"], stdin: true });
    const reply = await send(`${base}/${early}/stdin`, Buffer.alloc(5_000_000));
    expect(reply).toMatchObject({ status: 409, body: { code: "stdin-closed" } });
    expect(reply.body.bytesWritten).toBeGreaterThanOrEqual(65_536);
    expect(reply.body.bytesWritten).toBeLessThan(1_000_000);
    await daemon.request("DELETE", `${base}/${early}`);
    expect(await send(`${base}/${early}/stdin`, Buffer.from("x"))).toMatchObject({ status: 409, body: { code: "state-conflict" } });
    expect(await send(`${base}/${early}/stdin`, Buffer.from("x"), { "idempotency-key": "k" })).toMatchObject({
      status: 422,
      body: { code: "unsupported" },
    });
  });

  it("of one that does not read holds up the writer and nobody else", async () => {
    const id = await start({ command: ["sleep", "100"], stdin: true });
    const rss = () => Number(statusLine(daemon.daemon.pid, "VmRSS").split(" ")[0]) * 1024;
    const before = rss();
    const writing = send(`${base}/${id}/stdin`, Buffer.alloc(50_000_000));
    await new Promise((next) => setTimeout(next, 500));
    expect(rss() - before).toBeLessThan(20_000_000);
    expect((await daemon.request("GET", `${base}/${id}`)).body.state).toBe("running");
    await daemon.request("DELETE", `${base}/${id}`);
    expect((await writing).status).toBe(409);
  });
});
