import { readFileSync } from "node:fs";
import { Client, type ClientOptions } from "./client.ts";
import { type TlsFiles, tcpTransport, tlsTransport, unixTransport } from "./node-transport.ts";

export * from "./exports.ts";
export type { TlsFiles };

export interface ConnectOptions extends ClientOptions {
  /** Path of the daemon's unix socket. `UNSHARED_SOCKET`, else /run/unshared/unshared.sock, by default. */
  socket?: string | undefined;
  /** Address over TCP in its place, such as http://127.0.0.1:7070. `UNSHARED_URL` by default. */
  url?: string | undefined;
  /** For TCP. `UNSHARED_TOKEN` by default. */
  token?: string | undefined;
  /** For an address with https: authorities and certificates as PEM. `UNSHARED_CA`, the path of a file of authorities, by default. */
  tls?: TlsFiles | undefined;
}

const defaultSocket = "/run/unshared/unshared.sock";

/**
 * A client of the daemon on this machine, or of the one that options or environment name. Nothing is sent until something is asked for.
 * @throws Error of the file system where `UNSHARED_CA` cannot be read
 */
export const connect = (options: ConnectOptions = {}): Client => {
  const env = process.env;
  const url = options.url ?? (options.socket === undefined ? env["UNSHARED_URL"] : undefined);
  if (url === undefined) return new Client(unixTransport(options.socket ?? env["UNSHARED_SOCKET"] ?? defaultSocket), options);
  const token = options.token ?? env["UNSHARED_TOKEN"];
  const ca = env["UNSHARED_CA"];
  const tls = options.tls ?? (ca ? { ca: readFileSync(ca, "utf8") } : undefined);
  const isTls = tls !== undefined && url.startsWith("https:");
  return new Client(isTls ? tlsTransport(url, token, tls) : tcpTransport(url, token), options);
};
