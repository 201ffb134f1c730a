import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Daemon } from "../fixtures/daemon.ts";

const main = resolve(import.meta.dirname, "../../server/main.ts");
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "unshared-doors-"));
});
afterEach(() => {
  // A start that failed leaves no launcher behind, nor any other program that was started for it.
  expect(spawnSync("pgrep", ["-f", directory], { encoding: "utf8" }).stdout).toBe("");
  rmSync(directory, { recursive: true });
});

const ownFlags = (): string[] => [
  ...["--state-dir", join(directory, "state"), "--run-dir", join(directory, "run"), "--cgroup-parent", `unshared-test-${process.pid}`],
  ...["--listen", "none", "--log-format", "json", "--ready-shells", "0"],
];

/** Starts a daemon that is expected to end by itself, and gives its exit code and all it said. */
const refusedStart = (...flags: string[]): { code: number | null; said: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...ownFlags(), ...flags], { encoding: "utf8", timeout: 15_000 });
  return { code: status, said: stdout + stderr };
};
const modeOf = (path: string) => statSync(path).mode & 0o777;

describe("files of the daemon", () => {
  it("let in root and the group unshared, where there is one, and nobody else (check 64)", async () => {
    await using daemon = await Daemon.start("--ready-shells", "0", "--default-root", "off");
    const hasGroup = spawnSync("getent", ["group", "unshared"]).status === 0;
    expect(modeOf(daemon.socket)).toBe(hasGroup ? 0o660 : 0o600);
    expect(modeOf(join(daemon.directory, "run"))).toBe(0o750);
    expect(modeOf(daemon.stateDir)).toBe(0o700);
    for (const file of ["state.db", "admin.token", "daemon.lock", "daemon.pid"])
      expect(modeOf(join(daemon.stateDir, file)) & 0o077 & modeOf(daemon.stateDir), file).toBe(0);
    // Nobody else gets through the directories, whatever the modes of the files below them.
    const asNobody = (path: string) =>
      spawnSync("setpriv", ["--reuid", "65534", "--regid", "65534", "--clear-groups", "test", "-e", path]).status;
    chmodSync(daemon.directory, 0o755);
    expect(asNobody(daemon.directory)).toBe(0);
    expect([asNobody(daemon.socket), asNobody(join(daemon.stateDir, "admin.token"))]).toEqual([1, 1]);
  });
});

describe("the group unshared", () => {
  it("gets the socket and the run directory where it exists", async () => {
    // A mount namespace with an /etc/group of its own: the host's stays as it is.
    writeFileSync(join(directory, "group"), "root:x:0:\nunshared:x:4321:\n");
    const script = 'mount --bind "$0" /etc/group && exec "$@"';
    const flags = [...ownFlags(), "--default-root", "off"];
    const child = spawn("unshare", ["--mount", "sh", "-c", script, join(directory, "group"), process.execPath, main, ...flags]);
    const ended = once(child, "exit");
    for await (const line of createInterface({ input: child.stdout })) if (line.includes('"listening"')) break;
    const found = ["run", "run/unshared.sock"].map((name) => statSync(join(directory, name)));
    child.stdout.resume();
    child.kill("SIGTERM");
    expect((await ended)[0]).toBe(0);
    expect(found.map(({ mode, uid, gid }) => [mode & 0o777, uid, gid])).toEqual([
      [0o750, 0, 4321],
      [0o660, 0, 4321],
    ]);
  });
});

it("warns of directories that lie where others could put another in their place (check 64)", async () => {
  const [everybodys, anothers] = ["everybodys", "anothers"].map((name) => join(directory, name)) as [string, string];
  for (const path of [everybodys, anothers]) mkdirSync(path);
  chmodSync(everybodys, 0o777);
  chownSync(anothers, 65534, 0);
  const flags = ["--state-dir", join(everybodys, "state"), "--run-dir", join(anothers, "run"), "--default-root", "off"];
  const child = spawn(process.execPath, [main, ...ownFlags(), ...flags]);
  const ended = once(child, "exit");
  const warnings: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const { level, msg } = JSON.parse(line);
    if (level === "warn") warnings.push(msg);
    if (msg === "listening") break;
  }
  child.stdout.resume();
  child.kill("SIGTERM");
  expect((await ended)[0]).toBe(0);
  expect(warnings.filter((each) => each.includes("lies below"))).toEqual([
    `${everybodys}/state lies below ${everybodys}, where everybody can put another in its place: chmod o-w it`,
    `${anothers}/run lies below ${anothers}, which belongs to uid 65534, who can put another in its place`,
  ]);
});

describe("a start that is refused", () => {
  it.each([0o750, 0o755, 0o777, 0o701, 0o710])("with a state directory of mode %o (check 64)", (mode) => {
    mkdirSync(join(directory, "state"));
    chmodSync(join(directory, "state"), mode);
    const { code, said } = refusedStart();
    expect(code).toBe(1);
    expect(said).toMatch(/state directory .* can be entered by others/);
    expect(existsSync(join(directory, "state/state.db"))).toBe(false);
  });

  it("with a state directory of another user (check 64)", () => {
    mkdirSync(join(directory, "state"), { mode: 0o700 });
    execFileSync("chown", ["65534", join(directory, "state")]);
    const { code, said } = refusedStart();
    expect([code, said]).toEqual([1, expect.stringContaining("belongs to uid 65534")]);
  });

  it.each([0o770, 0o1777])("with a run directory of mode %o, where others could have put something (check 64)", (mode) => {
    mkdirSync(join(directory, "run"));
    chmodSync(join(directory, "run"), mode);
    const { code, said } = refusedStart();
    expect([code, said]).toEqual([1, expect.stringMatching(/run directory .* can be written to by others/)]);
    expect(modeOf(join(directory, "run"))).toBe(mode & 0o777);
  });

  it.each(["state", "run"])("with a %s directory that is a link (check 64)", (name) => {
    mkdirSync(join(directory, "real"), { mode: 0o700 });
    symlinkSync("real", join(directory, name));
    const { code, said } = refusedStart();
    expect([code, said]).toEqual([1, expect.stringContaining("is a link: give the directory that it leads to")]);
    expect(readdirSync(join(directory, "real"))).toEqual([]);
  });

  it("with a token file that others can read, or that holds none", () => {
    writeFileSync(join(directory, "token"), `${"a".repeat(43)}\n`, { mode: 0o644 });
    const loose = refusedStart("--token-file", join(directory, "token"));
    expect([loose.code, loose.said]).toEqual([1, expect.stringContaining("can be read or written by others")]);
    writeFileSync(join(directory, "short"), "abc\n", { mode: 0o600 });
    const short = refusedStart("--token-file", join(directory, "short"));
    expect([short.code, short.said]).toEqual([1, expect.stringContaining("holds no token")]);
    expect(loose.said + short.said).not.toContain("a".repeat(43));
  });

  it("over a file that is no socket, and leaves it as it is (check 73)", () => {
    writeFileSync(join(directory, "file"), "precious");
    symlinkSync(join(directory, "file"), join(directory, "link"));
    for (const name of ["file", "link"]) {
      const { code, said } = refusedStart("--socket", join(directory, name), "--default-root", "off");
      expect([code, said]).toEqual([1, expect.stringContaining("is no socket")]);
    }
    expect(execFileSync("cat", [join(directory, "file")], { encoding: "utf8" })).toBe("precious");
  });

  it.each(["0.0.0.0:0", "[::]:0", "192.0.2.1:7070", "128.0.0.1:0"])("on the address %s without --insecure-listen", (address) => {
    const { code, said } = refusedStart("--listen", address);
    expect([code, said]).toEqual([2, expect.stringContaining("--insecure-listen")]);
    expect(existsSync(join(directory, "state"))).toBe(false);
  });

  it("while another daemon has the state directory (check 73)", async () => {
    await using daemon = await Daemon.start("--ready-shells", "0", "--default-root", "off");
    const { code, said } = refusedStart("--state-dir", daemon.stateDir);
    expect([code, said]).toEqual([1, expect.stringContaining(`another daemon (pid ${daemon.pid}) uses the state directory`)]);
    expect((await daemon.request("GET", "/healthz")).status).toBe(200);
  });

  it("on a TCP port that is taken", async () => {
    await using daemon = await Daemon.start("--ready-shells", "0", "--default-root", "off", "--listen", "127.0.0.1:0");
    const { tcp } = daemon.log.find((line) => line["msg"] === "listening") as { tcp: { port: number } };
    const { code, said } = refusedStart("--listen", `127.0.0.1:${tcp.port}`, "--default-root", "off");
    expect([code, said]).toEqual([1, expect.stringContaining("EADDRINUSE")]);
  });
});
