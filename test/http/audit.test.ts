/** Who asked for what, and what came of it: told once for each call, in order, and never what was in it. */
import { spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import SQLite from "better-sqlite3";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";
import { TerminalClient } from "../fixtures/terminal-client.ts";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon } from "./small-daemon.ts";
import { adminToken, TokenClient } from "./token-client.ts";

interface Call {
  id: number;
  method: string;
  path: string;
  sandbox: string | null;
  status: number | null;
  code: string | null;
  [member: string]: unknown;
}

// Daemons are restarted here, which takes its time on a loaded machine.
vi.setConfig({ testTimeout: 120_000 });

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon();
});
afterEach(async () => {
  for (const { id } of (await daemon.request("GET", "/v1/sandboxes")).body.items) await daemon.request("DELETE", `/v1/sandboxes/${id}`);
});
afterAll(() => daemon[Symbol.asyncDispose]());

const read = async (query = ""): Promise<Call[]> =>
  (await daemon.request("GET", `/v1/audit?${query}`)).text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
const last = async (): Promise<number> => (await read()).at(-1)?.id ?? 0;
const brief = (calls: Call[]) => calls.map(({ method, path, status, code }) => `${method} ${path} ${status} ${code}`);
const rows = (): Record<string, unknown>[] => {
  const database = new SQLite(join(daemon.stateDir, "state.db"), { readonly: true });
  try {
    return database.prepare<[], Record<string, unknown>>("SELECT * FROM audit ORDER BY id").all();
  } finally {
    database.close();
  }
};

describe("over the unix socket", () => {
  it("each call has the uid of who connected, also where a connection is shared by many calls, and where the launcher was just replaced", async () => {
    for (const [path, mode] of [
      [daemon.directory, 0o711],
      [join(daemon.directory, "run"), 0o711],
      [daemon.socket, 0o666],
    ] as const)
      chmodSync(path, mode);
    const asUser = (uid: number, ...names: string[]): void => {
      const calls = names.flatMap((name, n) => [
        ...(n > 0 ? ["--next"] : []),
        ...["-sS", "--fail-with-body", "--unix-socket", daemon.socket, "--json", JSON.stringify({ name }), "http://localhost/v1/sandboxes"],
      ]);
      const { status, stderr, stdout } = spawnSync("setpriv", [`--reuid=${uid}`, "--clear-groups", "curl", ...calls], { encoding: "utf8" });
      expect(status, stderr + stdout).toBe(0);
    };
    const after = await last();
    asUser(12_345, "first", "second");
    asUser(54_321, "third");
    await daemon.request("POST", "/v1/sandboxes", { name: "fourth" });
    const launcher = (await daemon.request("GET", "/v1/info")).body.launcher.pid;
    process.kill(launcher, "SIGKILL");
    await until(
      "another launcher",
      async () => ((await daemon.request("GET", "/v1/info")).body.launcher?.pid ?? launcher) !== launcher,
      20_000,
    );
    asUser(12_345, "fifth");
    expect((await read(`after=${after}`)).map(({ caller, callerName, address }) => [caller, callerName, address])).toEqual(
      [12_345, 12_345, 54_321, 0, 12_345].map((uid) => ["unix", `uid ${uid}`, null]),
    );
  });
});

describe("the audit of a sandbox", () => {
  it("has each call that may have changed it, refusals too, once and in order, and what came of it", async () => {
    const after = await last();
    const { id } = (await daemon.request("POST", "/v1/sandboxes?start=true", { name: "box" })).body;
    await daemon.request("GET", "/v1/sandboxes/box");
    await daemon.request("POST", "/v1/sandboxes/box/processes?wait=true", { command: ["/bin/bash", "-c", "exit 3"] });
    await daemon.request("PATCH", "/v1/sandboxes/box", { labels: {} }, { "if-match": '"7"' });
    await daemon.request("PATCH", "/v1/sandboxes/box", { colour: "red" });
    await daemon.request("POST", "/v1/sandboxes/nobody/kill", {});
    await daemon.request("DELETE", "/v1/sandboxes/box");
    const calls = await read(`after=${after}`);
    expect(brief(calls)).toEqual([
      "POST /v1/sandboxes 201 null",
      "POST /v1/sandboxes/box/processes 201 null",
      "PATCH /v1/sandboxes/box 412 precondition-failed",
      "PATCH /v1/sandboxes/box 400 invalid-request",
      "POST /v1/sandboxes/nobody/kill 404 sandbox-not-found",
      "DELETE /v1/sandboxes/box 200 null",
    ]);
    expect(calls[0]).toMatchObject({
      caller: "unix",
      address: null,
      route: "/v1/sandboxes",
      created: `/v1/sandboxes/${id}`,
      replayed: false,
    });
    expect(calls.map(({ sandbox }) => sandbox)).toEqual([id, id, id, id, null, id]);
    expect(await read(`after=${after}&sandbox=${id}`)).toEqual(calls.filter(({ sandbox }) => sandbox === id));
    expect(await read(`after=${after}&limit=2`)).toEqual(calls.slice(0, 2));
    // The table itself says the same.
    expect(
      rows()
        .slice(-calls.length)
        .map(({ id: number, path, status }) => [number, path, status]),
    ).toEqual(calls.map(({ id: number, path, status }) => [number, path, status]));
  });

  it("has a terminal, though that is a GET", async () => {
    const after = await last();
    const { id } = (await daemon.request("POST", "/v1/sandboxes?start=true", { name: "box", tty: true })).body;
    const client = await TerminalClient.open({ daemon }, "box", "main");
    client.close();
    await until("the terminal's record", async () => (await read(`after=${after}`)).length === 2, 20_000);
    expect((await read(`after=${after}`))[1]).toMatchObject({ method: "GET", sandbox: id, status: 101, code: null });
  });

  it("says where an answer was repeated, and what came of it where nobody waited", async () => {
    const after = await last();
    const key = { "idempotency-key": "audited" };
    await daemon.request("POST", "/v1/sandboxes?start=true", { name: "box" }, key);
    await daemon.request("POST", "/v1/sandboxes?start=true", { name: "box" }, key);
    expect((await read(`after=${after}`)).map(({ status, replayed }) => [status, replayed])).toEqual([
      [201, false],
      [201, true],
    ]);
    const path = "/v1/sandboxes/box/processes?wait=true";
    const leaving = httpRequest({ socketPath: daemon.socket, method: "POST", path, headers: { "content-type": "application/json" } });
    leaving.on("error", () => {});
    leaving.end(JSON.stringify({ command: ["/bin/sleep", "2"] }));
    const running = async () => (await daemon.request("GET", "/v1/sandboxes/box/processes")).body.items.length > 1;
    await until("the process", running, 20_000);
    leaving.destroy();
    await until("its record", async () => (await read(`after=${after}`)).length === 3, 20_000);
    expect((await read(`after=${after}`))[2]).toMatchObject({ method: "POST", status: 201, code: null });
  });
});

describe("over TCP", () => {
  it("tells which token asked, and what it was refused; who has none is told in the log alone", async () => {
    const after = await last();
    const ci = await TokenClient.make(daemon, { name: "ci", scopes: ["run"] });
    const nobody = new TokenClient(daemon, "", "wrong");
    const file = new TokenClient(daemon, "token", adminToken(daemon));
    expect((await nobody.request("POST", "/v1/sandboxes", {})).status).toBe(401);
    expect((await ci.request("POST", "/v1/sandboxes", {})).status).toBe(201);
    expect((await ci.request("POST", "/v1/backup", {})).status).toBe(403);
    expect((await file.request("POST", "/v1/sandboxes", {})).status).toBe(201);
    const calls = await read(`after=${after}`);
    expect(calls.map(({ caller, callerName, address, status, code }) => [caller, callerName, address, status, code])).toEqual([
      ["unix", "uid 0", null, 201, null],
      [ci.id, "ci", "127.0.0.1", 201, null],
      [ci.id, "ci", "127.0.0.1", 403, "forbidden"],
      ["token", "token", "127.0.0.1", 201, null],
    ]);
    for (const { secret } of [ci, file]) expect(JSON.stringify(rows())).not.toContain(secret);
    expectProblem(await ci.request("GET", "/v1/audit"), 403);
  });
});

it("keeps no body and no query", async () => {
  const marks = ["in-the-body", "in-the-query", "in-the-file"];
  await daemon.request("POST", "/v1/sandboxes?start=true", { name: "box", env: { PASSWORD: marks[0] } });
  await daemon.request("POST", `/v1/sandboxes?token=${marks[1]}`, {});
  expect((await daemon.request("PUT", "/v1/sandboxes/box/files?path=/in-the-query", Buffer.from(marks[2] ?? ""))).status).toBe(201);
  const told = JSON.stringify(await read());
  const stored = JSON.stringify(rows());
  for (const mark of marks) expect([stored.includes(mark), told.includes(mark)], mark).toEqual([false, false]);
  expect(stored).toContain("/v1/sandboxes/box/files");
});

it("has each of two hundred calls at once, also when the daemon is stopped right after", async () => {
  const after = await last();
  await daemon.request("POST", "/v1/sandboxes", { name: "box" });
  await Promise.all(Array.from({ length: 200 }, (_, index) => daemon.request("PATCH", "/v1/sandboxes/box", { labels: { n: `${index}` } })));
  await daemon.end("SIGTERM");
  const stored = rows().filter(({ id, method }) => (id as number) > after && method === "PATCH");
  expect(stored.map(({ status }) => status)).toEqual(Array.from({ length: 200 }, () => 200));
  await daemon.start();
  expect((await read(`after=${after}`)).filter(({ method }) => method === "PATCH").map(({ id }) => id)).toEqual(stored.map(({ id }) => id));
});

it("answers 410 with the first that is kept", async () => {
  for (let count = 0; count < 3; count += 1) await daemon.request("POST", "/v1/sandboxes/nobody/kill", {});
  await daemon.end();
  const database = new SQLite(join(daemon.stateDir, "state.db"));
  database.prepare("DELETE FROM audit WHERE id <= 2").run();
  database.close();
  await daemon.start();
  const problem = expectProblem(await daemon.request("GET", "/v1/audit?after=1"), 410);
  expect(problem).toMatchObject({ code: "audit-dropped", first: 3 });
  expect((await read("after=2"))[0]?.id).toBe(3);
});
