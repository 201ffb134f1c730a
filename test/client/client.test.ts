/** The client against a real daemon, over the unix socket and over TCP. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer as createSocketServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, CommandError, ConnectionError, connect, ProblemError, TimeoutError, type UnsharedError } from "../../client/index.ts";
import { inodesOf, isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { tcpPort } from "../http/small-daemon.ts";

let host: SandboxDaemon;
let client: Client;
let overTcp: Client;
beforeAll(async () => {
  host = await SandboxDaemon.start("client", 1_945_000_000, "--listen", "127.0.0.1:0");
  client = connect({ socket: host.daemon.socket });
  const token = await client.tokens.create({ name: "run", scopes: ["run"] });
  overTcp = connect({ url: `http://127.0.0.1:${tcpPort(host.daemon)}`, token: token.token });
});
afterAll(async () => {
  client.close();
  await host[Symbol.asyncDispose]();
});

const failure = async <T extends UnsharedError>(work: Promise<unknown>, kind: abstract new (...args: never[]) => T): Promise<T> => {
  const error = await work.then(
    () => expect.fail("it succeeded"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(kind);
  return error as T;
};

describe.each(["unix socket", "TCP"])("a sandbox over %s", (way) => {
  const its = () => (way === "TCP" ? overTcp : client);

  it("is created, runs commands, and is deleted when it is disposed of", async () => {
    let id = "";
    {
      await using sandbox = await its().sandboxes.create({ labels: { made: "here" } });
      id = sandbox.id;
      expect(sandbox.report.status.state).toBe("running");
      const { stdout, code } = await sandbox.run("ls /");
      expect([stdout.split("\n").includes("bin"), code]).toEqual([true, 0]);
      const failed = await sandbox.run(["/bin/bash", "-c", "echo out; echo err >&2; exit 7"]);
      expect([failed.stdout, failed.stderr, failed.code, failed.signal]).toEqual(["out\n", "err\n", 7, null]);
      expect((await sandbox.run("cat", { input: "given" })).stdout).toBe("given");
      const pid = sandbox.report.process?.pid ?? 0;
      const namespaces = await sandbox.namespaces();
      expect(Object.fromEntries(Object.entries(namespaces ?? {}).map(([type, { inode }]) => [type, inode]))).toEqual(inodesOf(pid));
      expect((await its().namespaces({ pid })).process?.sandbox?.id).toBe(id);
    }
    expect((await failure(its().sandboxes.get(id), ProblemError)).code).toBe("sandbox-not-found");
  });

  it("gives output as it comes, stdin, signals and the exit", async () => {
    await using sandbox = await its().sandboxes.create();
    const cat = await sandbox.spawn(["/bin/cat"], { stdin: true });
    await cat.write("gr\u00fc\u00dfe");
    const seen: string[] = [];
    for await (const record of cat.output()) {
      if ("exit" in record) expect(record.exit).toMatchObject({ reason: "signaled", signal: "SIGTERM" });
      else {
        seen.push(record.text);
        if (seen.join("") === "gr\u00fc\u00dfe") await cat.signal("SIGTERM");
      }
    }
    expect(seen.join("")).toBe("gr\u00fc\u00dfe");
    expect(await cat.wait()).toMatchObject({ signal: "SIGTERM" });
  });

  it("has a terminal", async () => {
    await using sandbox = await its().sandboxes.create();
    await using terminal = await sandbox.terminal(["/bin/bash"], { rows: 33, columns: 99 });
    let shown = "";
    terminal.write("stty size; exit 5\n");
    for await (const bytes of terminal) shown += new TextDecoder().decode(bytes);
    expect(shown).toContain("33 99");
    expect(await terminal.ended).toMatchObject({ exit: { code: 5 }, closeCode: 1000 });
  });

  it("has files", async () => {
    await using sandbox = await its().sandboxes.create();
    const bytes = crypto.getRandomValues(new Uint8Array(50_000));
    await sandbox.files.write("/srv/a/b.bin", bytes, { parents: true, mode: "0600" });
    expect(await sandbox.files.read("/srv/a/b.bin")).toEqual(bytes);
    expect(await sandbox.files.stat("/srv/a/b.bin")).toMatchObject({ type: "file", mode: "0600", sizeBytes: 50_000 });
    expect(await Array.fromAsync(sandbox.files.list("/srv/a"), ({ name }) => name)).toEqual(["b.bin"]);
    await sandbox.files.move("/srv/a/b.bin", "/srv/a/c.bin");
    expect([await sandbox.files.exists("/srv/a/b.bin"), await sandbox.files.exists("/srv/a/c.bin")]).toEqual([false, true]);
    const tar = await sandbox.files.readArchive("/srv");
    await sandbox.files.mkdir("/copy");
    await sandbox.files.writeArchive("/copy", tar);
    expect((await sandbox.run("cmp /srv/a/c.bin /copy/a/c.bin")).code).toBe(0);
    expect((await failure(sandbox.files.write("/srv/a/c.bin", "x", { exclusive: true }), ProblemError)).code).toBe("precondition-failed");
    await sandbox.files.remove("/srv/a", { recursive: true });
    expect(await sandbox.files.exists("/srv/a")).toBe(false);
  });
});

describe("failures", () => {
  it("are problems with a code, status and the fields at fault", async () => {
    const error = await failure(client.sandboxes.create({ name: "NO" }), ProblemError);
    expect([error.code, error.status, error.retryable]).toEqual(["invalid-request", 400, false]);
    expect(error.errors[0]?.pointer).toBe("/name");
    expect((await failure(connect({ url: `http://127.0.0.1:${tcpPort(host.daemon)}`, token: "no" }).info(), ProblemError)).status).toBe(
      401,
    );
    expect((await failure(overTcp.roots.delete("default"), ProblemError)).code).toBe("forbidden");
  });

  it("of a command are data, unless it is to be checked", async () => {
    await using sandbox = await client.sandboxes.create();
    const error = await failure(sandbox.run("echo why >&2; exit 3", { check: true }), CommandError);
    expect([error.code, error.stderr, error.message]).toEqual([3, "why\n", "echo why >&2; exit 3 exited with 3: why"]);
  });

  it("of the terminal say why", async () => {
    await using sandbox = await client.sandboxes.create();
    expect((await failure(sandbox.process("main").terminal(), ProblemError)).code).toBe("no-terminal");
    expect((await failure(sandbox.process("nobody").terminal(), ProblemError)).code).toBe("process-not-found");
  });

  it("of the connection are told after all attempts", async () => {
    const away = connect({ socket: "/nonexistent/socket", retries: { attempts: 3, longestSeconds: 0.05 } });
    const error = await failure(away.info(), ConnectionError);
    expect(error.message).toContain("ENOENT");
  });
});

describe("time", () => {
  let silent: ReturnType<typeof createSocketServer>;
  let url = "";
  beforeAll(async () => {
    silent = createSocketServer(() => {}).listen(0, "127.0.0.1");
    await until("it listens", () => silent.listening);
    url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  });
  afterAll(() => void silent.close());

  it("runs out where nobody answers", async () => {
    const error = await failure(connect({ url, timeoutSeconds: 0.2 }).info(), TimeoutError);
    expect(error.message).toContain("0.2 s");
  });

  it("ends when the caller aborts: calls, waits and streams", async () => {
    const reason = new Error("enough");
    await expect(connect({ url }).info({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const stop = new AbortController();
    const asked = connect({ url }).info({ signal: stop.signal });
    setTimeout(() => stop.abort(reason), 50);
    await expect(asked).rejects.toBe(reason);
    await using sandbox = await client.sandboxes.create();
    const later = new AbortController();
    const reading = (async () => {
      for await (const _ of sandbox.process("main").output({ signal: later.signal })) expect.fail("bash writes nothing");
    })();
    setTimeout(() => later.abort(reason), 300);
    await expect(reading).rejects.toBe(reason);
  });
});

describe("repeats", () => {
  let server: Server;
  const asked: { method: string; key: string | undefined; at: number }[] = [];
  let answers: ((end: (status: number, headers?: Record<string, string>, body?: string) => void, drop: () => void) => void)[] = [];
  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push({ method: request.method ?? "", key: request.headers["idempotency-key"] as string | undefined, at: performance.now() });
      const answer = answers.shift();
      request.resume();
      request.on("end", () =>
        answer?.(
          (status, headers = {}, body = "{}") => response.writeHead(status, headers).end(body),
          () => request.socket.destroy(),
        ),
      );
    }).listen(0, "127.0.0.1");
    await until("it listens", () => server.listening);
  });
  afterAll(() => void server.close());
  const faulty = () => connect({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, retries: { longestSeconds: 2 } });
  const problem = JSON.stringify({ code: "shutting-down", detail: "", status: 503, retryable: true });

  it("a POST whose connection broke or that was put off, with the same key, and no sooner than it was told", async () => {
    asked.length = 0;
    answers = [(_, drop) => drop(), (end) => end(503, { "retry-after": "1" }, problem), (end) => end(201, {}, '{"id":"x"}')];
    expect((await faulty().call("createSandbox", { query: {}, body: {} })).id).toBe("x");
    expect(asked.map(({ method }) => method)).toEqual(["POST", "POST", "POST"]);
    expect(new Set(asked.map(({ key }) => key)).size).toBe(1);
    expect(asked[0]?.key).toMatch(/^[0-9a-f-]{36}$/);
    expect((asked[2]?.at ?? 0) - (asked[1]?.at ?? 0)).toBeGreaterThan(990);
  });

  it("not what the daemon refuses, nor what cannot be done twice", async () => {
    asked.length = 0;
    answers = [(end) => end(409, {}, JSON.stringify({ code: "name-taken", detail: "", status: 409, retryable: false }))];
    expect((await failure(faulty().call("createSandbox", { query: {}, body: {} }), ProblemError)).code).toBe("name-taken");
    answers = [(_, drop) => drop()];
    await failure(faulty().tokens.create({ name: "x", scopes: ["read"] }), ConnectionError);
    expect(asked.length).toBe(2);
    expect(asked[1]?.key).toBeUndefined();
  });
});

describe("lists, roots, runs", () => {
  it("lists by label and state, and stops early without reading on", async () => {
    const made = await Promise.all([1, 2, 3].map((n) => client.sandboxes.create({ labels: { list: "yes", n: `${n}` } }, { start: false })));
    const found = await Array.fromAsync(client.sandboxes.list({ labels: { list: "yes" }, states: ["created"] }), ({ id }) => id);
    expect(found.sort()).toEqual(made.map(({ id }) => id).sort());
    for await (const sandbox of client.sandboxes.list({ labels: { list: "yes" } })) {
      expect(sandbox.report.labels["list"]).toBe("yes");
      break;
    }
    await Promise.all(made.map((each) => each.delete()));
    expect(await made[0]?.delete()).toBeNull();
  });

  it("provisions a root with progress", async () => {
    const operation = await client.roots.create({ name: "tiny", source: { kind: "copy", binaries: ["/bin/bash"] } });
    const report = await operation.done();
    expect(report).toMatchObject({ state: "succeeded", progress: 1 });
    expect(await client.roots.get("tiny")).toMatchObject({ state: "ready" });
    expect((await Array.fromAsync(client.roots.list())).map(({ name }) => name)).toContain("tiny");
    await client.roots.delete("tiny");
    const wrong = client.roots.create({ name: "wrong", source: { kind: "copy", binaries: ["/nonexistent"] } });
    expect((await failure(wrong, ProblemError)).code).toBe("root-source-invalid");
  });

  it("runs one-shot jobs to their end", async () => {
    const run = await overTcp.runs.run({ command: ["/bin/bash", "-c", "read x; echo got $x; exit 4"], stdin: "it\n" });
    expect([run.stdout?.data, run.exit?.code]).toEqual(["got it\n", 4]);
  });

  it("leaves a process alone that it is not told to end, and ends one that is disposed of", async () => {
    await using sandbox = await client.sandboxes.create();
    const started = await sandbox.spawn(["/bin/sleep", "1000"]);
    const pid = started.report?.pid ?? 0;
    expect(isAlive(pid)).toBe(true);
    {
      await using again = sandbox.process(started.id);
      expect((await again.refresh()).state).toBe("running");
    }
    expect(isAlive(pid)).toBe(false);
  });

  it("draws", async () => {
    await using sandbox = await client.sandboxes.create({ name: "drawn" });
    expect((await client.diagram()).sandboxes.map(({ name }) => name)).toContain("drawn");
    expect((await sandbox.diagram()).sandboxes).toHaveLength(1);
    expect(await client.drawing("svg", "drawn")).toMatch(/^<svg /);
  });
});
