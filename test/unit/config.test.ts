import { expect, test } from "vitest";
import { type Config, helpText, readConfig } from "../../server/config.ts";
import { ConfigError } from "../../server/config-error.ts";

const config = (argv: string[], env: Record<string, string> = {}): Config => {
  const request = readConfig(argv, env);
  if (request.kind !== "run") throw new Error("not a run");
  return request.config;
};

test("paths follow from the state and run directory", () => {
  const found = config(["--state-dir", "/s", "--run-dir", "/r"]);
  expect(found).toMatchObject({
    socket: "/r/unshared.sock",
    tokenFile: "/s/admin.token",
    listen: { host: "127.0.0.1", port: 7070 },
    readyShells: 4,
    defaultRoot: true,
  });
  expect(Object.isFrozen(found)).toBe(true);
});

test("rules about users of the socket, with what they may have", () => {
  const own = { seesAll: false, quotas: {} };
  expect(config([]).peerScopes).toEqual([]);
  expect(
    config([], { UNSHARED_PEER_SCOPE: "uid:1000=admin,gid:ci-1=run:sandboxes=5:requestsPerSecond=0.5,uid:a.b_c=read:all" }).peerScopes,
  ).toEqual([
    { kind: "uid", name: "1000", scope: "admin", ...own },
    { kind: "gid", name: "ci-1", scope: "run", seesAll: false, quotas: { sandboxes: 5, requestsPerSecond: 0.5 } },
    { kind: "uid", name: "a.b_c", scope: "read", seesAll: true, quotas: {} },
  ]);
});

test("a flag wins over its environment variable, and that over the default", () => {
  const env = { UNSHARED_READY_SHELLS: "0", UNSHARED_LISTEN: "none" };
  expect(config([], env)).toMatchObject({ readyShells: 0, listen: null });
  expect(config(["--ready-shells", "9"], env).readyShells).toBe(9);
});

test.each([
  [["--bogus"], "--bogus"],
  [["positional"], "positional"],
  [["--ready-shells", "65"], "0 to 64"],
  [["--ready-shells", "1.5"], "whole number"],
  [["--id-base", "0"], "--id-base"],
  [["--log-level", "loud"], "trace, debug"],
  [["--max-limits", "pids"], "pids takes a number"],
  [["--max-limits", "disk=3"], "memoryBytes, cpus"],
  [["--max-limits", "pids=0"], "1 to 4194304"],
  [["--default-limits", "cpus=1e3"], "0.01 to 1024"],
  [["--default-limits", "pids=9", "--max-limits", "pids=8"], "--max-limits"],
  [["--peer-scope", "1000=run"], "uid:NAME=SCOPE"],
  [["--peer-scope", "uid:1000=root"], "read, run, admin"],
  [["--peer-scope", "uid:4294967295=run"], "4294967294"],
  [["--peer-scope", "uid:1x=run"], "neither a name nor an id"],
  [["--peer-scope", "gid:ci=run:everything"], "a quota of sandboxes"],
  [["--peer-scope", "gid:ci=run:sandboxes=-1"], "SCOPE"],
  [["--peer-scope", "gid:ci=run:sandboxes=1.5"], "0 to 1000000"],
  [["--peer-scope", "gid:ci=run:requestsPerSecond=0"], "0.01 to"],
  [["--peer-scope", "uid:5=run,gid:5=run,uid:5=read"], "two rules about uid:5"],
  [["--listen", "example.com:1"], "ADDRESS:PORT"],
  [["--listen", "127.0.0.1:99999"], "65535"],
  [["--listen", "0.0.0.0:7070"], "--insecure-listen"],
  [["--listen", "[::]:7070"], "--insecure-listen"],
  [["--tls-cert", "a.crt"], "--tls-key is needed"],
  [["--tls-client-ca", "a.crt"], "--tls-cert is needed"],
  [["--cgroup-parent", "../x"], "--cgroup-parent"],
  [["--cgroup-parent", ".."], "--cgroup-parent"],
  [["--run-dir", `/${"x".repeat(70)}`], "65 bytes"],
  [["--socket", `/${"x".repeat(110)}`], "107 bytes"],
])("%j is refused with a word on %s", (argv, word) => {
  expect(() => config(argv)).toThrow(ConfigError);
  expect(() => config(argv)).toThrow(word);
});

test("addresses that are not loopback are taken when that is asked for", () => {
  expect(config(["--listen", "0.0.0.0:1", "--tls-cert", "/a", "--tls-key", "/b"]).tls).toEqual({ cert: "/a", key: "/b", clientCa: null });
  expect(config(["--listen", "0.0.0.0:1", "--insecure-listen"]).listen).toEqual({ host: "0.0.0.0", port: 1 });
  expect(config(["--listen", "[::1]:0"]).listen).toEqual({ host: "::1", port: 0 });
});

test("help names each flag with its variable", () => {
  for (const name of ["state-dir", "run-dir", "socket", "listen", "cgroup-parent", "id-base", "log-level", "token-file", "ready-shells"]) {
    expect(helpText()).toContain(`--${name}`);
    expect(helpText()).toContain(`UNSHARED_${name.toUpperCase().replaceAll("-", "_")}`);
  }
});
