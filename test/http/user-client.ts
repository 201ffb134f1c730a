import { execFile } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Daemon, Reply } from "../fixtures/daemon.ts";

/** Lets all users of the host get at the daemon's socket. */
export const openSocket = (daemon: Daemon): void => {
  for (const path of [daemon.directory, join(daemon.directory, "run")]) chmodSync(path, 0o711);
  chmodSync(daemon.socket, 0o666);
};

/** A user of the host, as whom curl(1) asks over the unix socket: with this uid, gid and supplementary groups for real. */
export class UserClient {
  readonly daemon: Daemon;
  readonly #identity: readonly string[];

  constructor(daemon: Daemon, uid: number, gid: number = uid, groups: readonly number[] = []) {
    this.daemon = daemon;
    this.#identity = [`--reuid=${uid}`, `--regid=${gid}`, groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`];
  }

  /** One request over a connection of its own. A body is sent as JSON. */
  async request(method: string, path: string, body?: unknown): Promise<Reply> {
    const sent = body === undefined ? [] : ["--json", JSON.stringify(body)];
    const curl = ["curl", "-sS", "-g", "--path-as-is", "--max-time", "60", "--unix-socket", this.daemon.socket, "-X", method, ...sent];
    const { stdout } = await promisify(execFile)(
      "setpriv",
      [...this.#identity, ...curl, "-w", "\n%{http_code} %{content_type} %header{retry-after}", `http://localhost${path}`],
      { maxBuffer: 64 * 1024 * 1024 },
    );
    const end = stdout.lastIndexOf("\n");
    const [status, type = "", retryAfter = ""] = stdout.slice(end + 1).split(/ (?!charset)/);
    const text = stdout.slice(0, end);
    return {
      status: Number(status),
      headers: { "content-type": type, "retry-after": retryAfter },
      text,
      body: /\bjson\b/.test(type) && !type.includes("ndjson") && text !== "" ? JSON.parse(text) : null,
    };
  }
}
