/** The client and unsharectl at a daemon whose certificate comes from a private authority, and which asks for theirs. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ConnectionError, connect } from "../../client/index.ts";
import { Authority } from "../fixtures/authority.ts";
import type { Daemon } from "../fixtures/daemon.ts";
import { unsharectl } from "../fixtures/unsharectl.ts";
import { startSmallDaemon, tcpPort } from "../http/small-daemon.ts";
import { adminToken } from "../http/token-client.ts";

let folder: string;
let authority: Authority;
let daemon: Daemon;
let strict: Daemon;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "unshared-client-tls-"));
  authority = new Authority(folder);
  for (const name of ["server", "client"]) authority.certify(name, "IP:127.0.0.1");
  const flags = ["--tls-cert", authority.file("server.crt"), "--tls-key", authority.file("server.key")];
  [daemon, strict] = await Promise.all([
    startSmallDaemon(...flags),
    startSmallDaemon(...flags, "--tls-client-ca", authority.file("ca.crt")),
  ]);
}, 120_000);
afterAll(async () => {
  await Promise.all([daemon, strict].map((each) => each[Symbol.asyncDispose]()));
  rmSync(folder, { recursive: true });
});

const pem = (name: string): string => readFileSync(authority.file(name), "utf8");
const to = (of: Daemon) => ({ url: `https://127.0.0.1:${tcpPort(of)}`, token: adminToken(of), retries: { attempts: 1 } });

it("refuses an authority that it was not told of", async () => {
  using client = connect(to(daemon));
  await expect(client.info()).rejects.toThrow(ConnectionError);
  using other = connect({ ...to(daemon), tls: { ca: pem("client.crt") } });
  await expect(other.info()).rejects.toThrow(ConnectionError);
});

it("does all by TLS: requests, bodies both ways, streams and terminals", async () => {
  using client = connect({ ...to(daemon), tls: { ca: pem("ca.crt") } });
  await using sandbox = await client.sandboxes.create();
  const bytes = new Uint8Array(300_000).fill(7);
  await sandbox.files.write("/srv/data", bytes, { parents: true });
  expect(await sandbox.files.read("/srv/data")).toEqual(bytes);
  expect((await sandbox.run(["/bin/bash", "-c", "echo out"])).stdout).toBe("out\n");
  await using terminal = await sandbox.terminal(["/bin/bash", "-c", "read -r; echo shown; exit 4"]);
  terminal.write("\r");
  let shown = "";
  for await (const piece of terminal) shown += new TextDecoder().decode(piece);
  expect([shown, (await terminal.ended).exit?.code]).toEqual(["\r\nshown\r\n", 4]);
});

it("shows its own certificate where one is asked for", async () => {
  using without = connect({ ...to(strict), tls: { ca: pem("ca.crt") } });
  await expect(without.info()).rejects.toThrow(ConnectionError);
  using client = connect({ ...to(strict), tls: { ca: pem("ca.crt"), cert: pem("client.crt"), key: pem("client.key") } });
  expect((await client.info()).version).toMatch(/^\d/);
});

it("is told the authority by UNSHARED_CA, unsharectl too", async () => {
  const { url, token } = to(daemon);
  const env = { PATH: process.env["PATH"], UNSHARED_URL: url, UNSHARED_TOKEN: token };
  const call = (variables: object) => promisify(execFile)(process.execPath, [unsharectl, "roots", "ls"], { env: { ...env, ...variables } });
  expect((await call({ UNSHARED_CA: authority.file("ca.crt") })).stdout).toMatch(/^default +ready/m);
  await expect(call({})).rejects.toMatchObject({ code: 3, stderr: expect.stringContaining("certificate") });
  await expect(call({ UNSHARED_CA: join(folder, "none") })).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("none") });
});
