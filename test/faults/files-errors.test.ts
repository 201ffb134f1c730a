/**
 * A call of the kernel fails in the file agent of a sandbox (strace(1), inject, which follows the supervisor's children; these calls are the agent's alone):
 * who asked is told which error it was, the files are as they were, and the next request is served.
 */
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { archiveUrl, filesUrl, sendBytes } from "../fixtures/files-client.ts";
import { injecting, tracing } from "../fixtures/injection.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
// biome-ignore lint/suspicious/noExplicitAny: a report, whose shape other tests state
let box: any;
beforeAll(async () => {
  host = await SandboxDaemon.start("fileserrors", 1_855_000_000, "--ready-shells", "0");
  box = await host.run({ name: "box" });
  expect((await sendBytes(host, "PUT", filesUrl("box", "/tmp/there"), Buffer.from("as it was"))).status).toBe(201);
}, 60_000);
afterAll(() => host[Symbol.asyncDispose](), 60_000);

const allIsWell = async (): Promise<void> => {
  expect(readdirSync(`/proc/${box.process.pid}/root/tmp`)).toEqual(["there"]);
  expect(String((await sendBytes(host, "GET", filesUrl("box", "/tmp/there"))).bytes)).toBe("as it was");
};

it.each([
  ["getdents64", "EIO", 5, "GET", "/tmp", null],
  ["pread64", "EIO", 5, "GET", "/tmp/there", null],
  ["fsync", "EIO", 5, "PUT", "/tmp/there", "something else"],
  ["renameat", "EMLINK", 31, "PUT", "/tmp/there", "something else"],
  ["unlinkat", "EIO", 5, "DELETE", "/tmp/there", null],
] as const)("for which %s answers %s", { timeout: 60_000 }, async (call, error, errno, method, path, body) => {
  const { result, injected } = await injecting(box.supervisor.pid, `${call}:error=${error}:when=1+`, () =>
    sendBytes(host, method, filesUrl("box", path), body === null ? null : Buffer.from(body)),
  );
  expect(injected).toBeGreaterThan(0);
  expect([result.status, result.body?.code, result.body?.errno]).toEqual([422, "file-failed", errno]);
  await allIsWell();
});

it("a file that is cut short while it is read is busy", { timeout: 60_000 }, async () => {
  const { result, injected } = await injecting(box.supervisor.pid, "pread64:retval=0:when=1+", () =>
    sendBytes(host, "GET", filesUrl("box", "/tmp/there")),
  );
  expect(injected).toBeGreaterThan(0);
  expect([result.status, result.body?.code, result.body?.errno]).toEqual([503, "files-busy", 116]);
  await allIsWell();
});

it("an agent that is killed before its last word is an interruption, though all bytes of a small file are there", {
  timeout: 60_000,
}, async () => {
  const get = () => sendBytes(host, "GET", filesUrl("box", "/tmp/there"));
  const { trace } = await tracing(box.supervisor.pid, "sendto", get);
  const words = trace.split("\n").filter((line) => line.includes("sendto(") && !line.startsWith(`${box.supervisor.pid} `)).length;
  expect(words).toBeGreaterThan(2);
  const { result } = await tracing(box.supervisor.pid, "sendto", get, ["-e", `inject=sendto:signal=KILL:when=${words}`]);
  expect([result.status, result.body?.code]).toEqual([503, "files-interrupted"]);
  await allIsWell();
});

it("an archive in whose midst a read fails is cut off", { timeout: 60_000 }, async () => {
  const { result, injected } = await injecting(box.supervisor.pid, "pread64:error=EIO:when=1+", () =>
    sendBytes(host, "GET", archiveUrl("box", "/tmp")).then(
      ({ status, body }) => [status, body?.code],
      (error: unknown) => (error as NodeJS.ErrnoException).code,
    ),
  );
  expect(injected).toBeGreaterThan(0);
  // Whether its head is on the way by then is open.
  expect([JSON.stringify([422, "file-failed"]), JSON.stringify("ECONNRESET")]).toContain(JSON.stringify(result));
  await allIsWell();
});
