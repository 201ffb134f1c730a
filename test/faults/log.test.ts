/** The disk that the daemon's own log goes to is full: it serves, says afterwards how much of the log is missing, and ends when it is told to. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";

const patience = 20_000;
const main = resolve(import.meta.dirname, "../../server/main.ts");

/** Status of a GET by the socket; null where nobody answers. */
const get = (socketPath: string, path: string): Promise<number | null> =>
  new Promise((answer) => {
    const sent = request({ socketPath, path, headers: { host: "localhost" } }, (reply) => {
      reply.resume();
      reply.once("end", () => answer(reply.statusCode ?? null));
    });
    sent.once("error", () => answer(null));
    sent.end();
  });

it("a full disk under the log costs its lines and nothing else", { timeout: 90_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "unshared-log-"));
  const [run, disk, parent] = [join(directory, "run"), join(directory, "disk"), `unshared-log-${process.pid}`];
  const settings = ["--state-dir", join(directory, "state"), "--run-dir", run, "--cgroup-parent", parent, "--id-base", "1650000000"];
  const flags = ["--listen", "none", "--default-root", "off", "--ready-shells", "0", "--log-format", "json", "--log-level", "trace"];
  // The small disk is mounted in a namespace of the daemon's own: a shell executes it there.
  const script = `mkdir ${disk} && mount -t tmpfs -o size=64k none ${disk} && exec "$@" >> ${disk}/log`;
  const command = ["--mount", "--propagation", "private", "sh", "-c", script, "sh", process.execPath, main, ...settings, ...flags];
  const daemon = spawn("unshare", command, { stdio: ["ignore", "ignore", "inherit"] });
  const ended = once(daemon, "exit");
  const seen = (name: string): string => join(`/proc/${daemon.pid}/root${disk}`, name);
  const socket = join(run, "unshared.sock");
  const log = (): string => readFileSync(seen("log"), "utf8");
  const fill = (): void => {
    expect(() => {
      for (;;) writeFileSync(seen("ballast"), Buffer.alloc(4096), { flag: "a" });
    }).toThrow("ENOSPC");
  };
  try {
    await until("it listens", async () => (await get(socket, "/healthz")) === 200, patience);
    await until("its log", () => log().includes("listening"), patience);
    fill();
    const before = log().length;
    // What the last block of the file has room for comes to an end.
    for (let n = 0; n < 400; n += 1) expect(await get(socket, "/v1/sandboxes")).toBe(200);
    expect(log().length).toBeLessThan(before + 4096);
    rmSync(seen("ballast"));
    const lost = await until(
      "the log goes on, and says what is missing",
      async () => {
        expect(await get(socket, "/v1/sandboxes")).toBe(200);
        return /"lost":(\d+)/.exec(log())?.[1];
      },
      patience,
    );
    expect(Number(lost)).toBeGreaterThan(100);
    fill();
    expect(await get(socket, "/v1/sandboxes")).toBe(200);
    daemon.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
    await until("its launcher ended", () => readFileSync(join(run, "launcher.log"), "utf8").includes("launcher ended"), patience);
  } finally {
    if (isAlive(daemon.pid ?? 0)) daemon.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  }
});
