import { Client, type ClientOptions } from "./client.ts";
import { fetchTransport, type WireSocket } from "./transport.ts";

export * from "./exports.ts";

export interface ConnectOptions extends ClientOptions {
  /** The page's own origin by default; the daemon refuses pages of others. */
  url?: string | undefined;
  token?: string | undefined;
}

/** A client for a page. A browser's WebSocket sends no token: `url` must then let terminals in by itself. */
export const connect = (options: ConnectOptions = {}): Client => {
  const url = options.url ?? globalThis.location.origin;
  return new Client(
    fetchTransport(url, options.token, async (address, protocol) => new WebSocket(address, protocol) as unknown as WireSocket),
    options,
  );
};
