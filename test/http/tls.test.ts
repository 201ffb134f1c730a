import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type TLSSocket, connect as tlsConnect } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { readTls } from "../../server/host/tls-files.ts";
import { Authority } from "../fixtures/authority.ts";
import { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon, tcpPort } from "./small-daemon.ts";
import { adminToken } from "./token-client.ts";

let folder: string;
let authority: Authority;
let daemon: Daemon;
let silent: Promise<number>;
const file = (name: string): string => join(folder, name);
const flags = (name = "server"): string[] => ["--tls-cert", file(`${name}.crt`), "--tls-key", file(`${name}.key`)];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "unshared-tls-"));
  authority = new Authority(folder);
  authority.certify("server", "DNS:boxes.example,DNS:*.many.example,IP:127.0.0.1");
  authority.certify("other", "DNS:boxes.example,IP:127.0.0.1");
  authority.certify("client", "DNS:client.example");
  // The address of all interfaces, which in clear is refused.
  daemon = await startSmallDaemon("--listen", "0.0.0.0:0", ...flags());
  silent = silence();
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** Connects and says nothing; gives the milliseconds that the other side had patience with that. */
const silence = (): Promise<number> =>
  new Promise((done) => {
    const began = performance.now();
    connect(tcpPort(daemon), "127.0.0.1")
      .on("error", () => {})
      .once("close", () => done(performance.now() - began));
  });

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: unknown;
  fingerprint: string;
}

const ask = (of: Daemon, headers: Record<string, string> = {}, options: RequestOptions = {}): Promise<Answer> =>
  new Promise((done, failed) => {
    const target = {
      host: "127.0.0.1",
      port: tcpPort(of),
      path: "/v1/info",
      ca: readFileSync(file("ca.crt")),
      agent: false,
      checkServerIdentity: () => undefined,
      ...options,
    };
    const sent = { authorization: `Bearer ${adminToken(of)}`, ...headers };
    httpsRequest({ ...target, headers: sent }, async (response) => {
      const fingerprint = (response.socket as TLSSocket).getPeerCertificate().fingerprint256;
      let text = "";
      for await (const chunk of response.setEncoding("utf8")) text += chunk;
      done({ status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(text), fingerprint });
    })
      .once("error", failed)
      .end();
  });

describe("TCP by TLS", () => {
  it("asks for the token as in clear, and goes by the names of its certificate", async () => {
    const port = tcpPort(daemon);
    expect((await ask(daemon)).status).toBe(200);
    expectProblem(await ask(daemon, { authorization: "" }), 401);
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `boxes.example:${port}`, `a.many.example:${port}`])
      expect((await ask(daemon, { host })).status, host).toBe(200);
    for (const host of [
      "boxes.example",
      `evil.example:${port}`,
      `many.example:${port}`,
      `boxes.example.evil.example:${port}`,
      `a.b.many.example:${port}`,
    ])
      expectProblem(await ask(daemon, { host }), 421, host);
    const host = `boxes.example:${port}`;
    expect((await ask(daemon, { host, origin: `https://${host}` })).status).toBe(200);
    for (const origin of [`http://${host}`, "https://boxes.example", `https://evil.example:${port}`, "null"])
      expectProblem(await ask(daemon, { host, origin }), 403, origin);
  });

  it("answers nothing in clear", async () => {
    const said = await new Promise<string>((done) => {
      let text = "";
      const socket = connect(tcpPort(daemon), "127.0.0.1", () => socket.write("GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"));
      socket.on("data", (chunk) => {
        text += chunk.toString("latin1");
      });
      socket.on("error", () => {}).once("close", () => done(text));
    });
    expect(said).not.toContain("HTTP/1.1 200");
  });

  it("carries terminals", async () => {
    const { id } = (await daemon.request("POST", "/v1/sandboxes?start=true", { tty: true })).body;
    const url = `wss://127.0.0.1:${tcpPort(daemon)}/v1/sandboxes/${id}/processes/main/terminal`;
    const socket = new WebSocket(url, "unshared.terminal.v1", {
      ca: readFileSync(file("ca.crt")),
      headers: { authorization: `Bearer ${adminToken(daemon)}` },
    });
    let seen = "";
    socket.on("message", (data) => {
      seen += String(data);
    });
    await new Promise((done, failed) => socket.once("open", done).once("error", failed));
    socket.send(Buffer.from("echo $((6 * 7))\n"));
    await until("the answer", () => /\n42\r/.test(seen));
    socket.terminate();
    await daemon.request("DELETE", `/v1/sandboxes/${id}`);
  });

  it("reads its files again on SIGHUP, and keeps the former where they are no good", async () => {
    const { fingerprint } = await ask(daemon);
    const messages = () => daemon.log.map(({ msg }) => String(msg));
    const put = (name: string) => {
      for (const kind of ["crt", "key"]) {
        copyFileSync(file(`${name}.${kind}`), file("next"));
        renameSync(file("next"), file(`server.${kind}`));
      }
    };
    for (const kind of ["crt", "key"]) copyFileSync(file(`server.${kind}`), file(`first.${kind}`));
    put("other");
    process.kill(daemon.pid, "SIGHUP");
    await until("they are read", () => messages().includes("TLS files read again"));
    const renewed = await ask(daemon);
    expect([renewed.status, renewed.fingerprint === fingerprint]).toEqual([200, false]);
    writeFileSync(file("server.crt"), "nonsense");
    process.kill(daemon.pid, "SIGHUP");
    await until("they are refused", () => messages().some((message) => message.includes("cannot be used")));
    expect((await ask(daemon)).fingerprint).toBe(renewed.fingerprint);
    put("first");
  });
});

describe("certificates of clients", () => {
  it("are asked for before anything else, and a token besides", async () => {
    await using strict = await Daemon.start(
      ...["--ready-shells", "0", "--default-root", "off", "--listen", "127.0.0.1:0", "--tls-client-ca", file("ca.crt"), ...flags("other")],
    );
    await expect(ask(strict)).rejects.toThrow();
    const own = { cert: readFileSync(file("client.crt")), key: readFileSync(file("client.key")) };
    expect((await ask(strict, {}, own)).status).toBe(200);
    expectProblem(await ask(strict, { authorization: "" }, own), 401);
    authority.selfSign("self");
    const foreign = { cert: readFileSync(file("self.crt")), key: readFileSync(file("self.key")) };
    await expect(ask(strict, {}, foreign)).rejects.toThrow();
    // Old versions are not spoken.
    const old = await new Promise<string>((done) => {
      tlsConnect({ port: tcpPort(strict), host: "127.0.0.1", maxVersion: "TLSv1.1", minVersion: "TLSv1", rejectUnauthorized: false })
        .once("secureConnect", () => done("spoken"))
        .once("error", () => done("refused"));
    });
    expect(old).toBe("refused");
  });
});

describe("a start is refused", () => {
  const main = resolve(import.meta.dirname, "../../server/main.ts");

  it("with a key that all can read, of another certificate, or that is none", () => {
    copyFileSync(file("client.key"), file("loose.key"));
    chmodSync(file("loose.key"), 0o644);
    chmodSync(file("client.crt"), 0o600);
    const cases: [string, string, string][] = [
      ["client.crt", "loose.key", "can be read or written by others"],
      ["client.crt", "other.key", "is not the key of"],
      ["client.crt", "client.crt", "holds none"],
      ["client.key", "client.key", "holds none"],
      ["client.crt", "no-such.key", "cannot be read (ENOENT)"],
    ];
    for (const [cert, key, message] of cases)
      expect(() => readTls({ cert: file(cert), key: file(key), clientCa: null }), key).toThrow(message);
    const args = ["--state-dir", file("state"), "--run-dir", file("run"), "--listen", "127.0.0.1:0", ...flags("client")];
    chmodSync(file("client.key"), 0o604);
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: "utf8", timeout: 20_000 });
    expect([status, stdout + stderr]).toEqual([1, expect.stringContaining("can be read or written by others")]);
  });
});

describe("a client that connects and says nothing", () => {
  it("gives no handshake more than 10 s", async () => {
    expect(await silent).toBeLessThan(20_000);
  });
});
