import { Client, type ClientOptions } from "./client.ts";
import { fetchTransport, type WireSocket } from "./transport.ts";
import { unixTransport } from "./unix-transport.ts";

export * from "./exports.ts";

export interface ConnectOptions extends ClientOptions {
  /** Path of the daemon's unix socket. `UNSHARED_SOCKET`, else /run/unshared/unshared.sock, by default. */
  socket?: string | undefined;
  /** Address over TCP in its place, such as http://127.0.0.1:7070. `UNSHARED_URL` by default. */
  url?: string | undefined;
  /** For TCP. `UNSHARED_TOKEN` by default. */
  token?: string | undefined;
}

const defaultSocket = "/run/unshared/unshared.sock";

/** A client of the daemon on this machine, or of the one that options or environment name. Nothing is sent until something is asked for. */
export const connect = (options: ConnectOptions = {}): Client => {
  const env = process.env;
  const url = options.url ?? (options.socket === undefined ? env["UNSHARED_URL"] : undefined);
  if (url === undefined) return new Client(unixTransport(options.socket ?? env["UNSHARED_SOCKET"] ?? defaultSocket), options);
  // Few programs open a terminal: the others do without what it needs.
  const openSocket = async (address: string, protocol: string, headers: Record<string, string>) =>
    new (await import("ws")).WebSocket(address, protocol, { headers }) as unknown as WireSocket;
  return new Client(fetchTransport(url, options.token ?? env["UNSHARED_TOKEN"], openSocket), options);
};
