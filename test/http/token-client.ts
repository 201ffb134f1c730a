import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import type { Daemon, Reply } from "../fixtures/daemon.ts";
import { tcpPort } from "./small-daemon.ts";

/** The token of the daemon's token file. */
export const adminToken = (daemon: Daemon): string => readFileSync(join(daemon.stateDir, "admin.token"), "utf8").trim();

/** Whoever asks over TCP with this token. */
export class TokenClient {
  readonly daemon: Daemon;
  readonly id: string;
  readonly secret: string;

  constructor(daemon: Daemon, id: string, secret: string) {
    this.daemon = daemon;
    this.id = id;
    this.secret = secret;
  }

  /** Makes a token over the unix socket. @throws Error with the problem when it is refused */
  static async make(daemon: Daemon, definition: object): Promise<TokenClient> {
    const { status, text, body } = await daemon.request("POST", "/v1/tokens", definition);
    if (status !== 201) throw new Error(`no token: ${text}`);
    return new TokenClient(daemon, body.id, body.token);
  }

  /** One request. A body is sent as JSON. */
  request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    const payload = body === undefined ? null : JSON.stringify(body);
    const type = payload === null ? {} : { "content-type": "application/json", "content-length": `${Buffer.byteLength(payload)}` };
    const options = { host: "127.0.0.1", port: tcpPort(this.daemon), method, path, agent: false };
    return new Promise((done, failed) => {
      const request = httpRequest(
        { ...options, headers: { authorization: `Bearer ${this.secret}`, ...type, ...headers } },
        async (response) => {
          let text = "";
          for await (const chunk of response.setEncoding("utf8")) text += chunk;
          const isJson = /\bjson\b/.test(response.headers["content-type"] ?? "");
          done({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            body: isJson && text !== "" ? JSON.parse(text) : null,
          });
        },
      );
      request.once("error", failed);
      request.end(payload ?? undefined);
    });
  }
}
