import { Client, type ClientOptions } from "./client.ts";
import { fetchTransport, type WireSocket } from "./transport.ts";

export * from "./exports.ts";

export interface ConnectOptions extends ClientOptions {
  /** The page's own origin by default; the daemon refuses pages of others. */
  url?: string | undefined;
  token?: string | undefined;
}

/** A browser's WebSocket sends no header of the page's choice: the daemon takes the token from a subprotocol, which it does not select. */
const protocolsOf = (protocol: string, token: string | undefined): string[] => {
  if (token === undefined) return [protocol];
  const encoded = btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return [protocol, `unshared.bearer.${encoded}`];
};

/** A client for a page. */
export const connect = (options: ConnectOptions = {}): Client => {
  const url = options.url ?? globalThis.location.origin;
  const openSocket = async (address: string, protocol: string) =>
    new WebSocket(address, protocolsOf(protocol, options.token)) as unknown as WireSocket;
  return new Client(fetchTransport(url, options.token, openSocket), options);
};
