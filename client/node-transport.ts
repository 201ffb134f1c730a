import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fetchTransport, type Transport, type WireRequest, type WireSocket } from "./transport.ts";

const withoutBody = new Set([204, 205, 304]);

const responseOf = (message: IncomingMessage): Response => {
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers)) for (const each of [value ?? []].flat()) headers.append(name, each);
  const status = message.statusCode ?? 500;
  if (withoutBody.has(status)) {
    message.resume();
    return new Response(null, { status, headers });
  }
  return new Response(Readable.toWeb(message) as ReadableStream, { status, headers });
};

const sourceOf = (body: NonNullable<WireRequest["body"]>): Readable => {
  if (typeof body === "string") return Readable.from([Buffer.from(body)]);
  if (body instanceof Uint8Array) return Readable.from([body]);
  if (body instanceof ReadableStream) return Readable.fromWeb(body as never);
  return Readable.from(body as AsyncIterable<Uint8Array>, { objectMode: false });
};

/** What TLS trusts and shows, in place of what the machine's authorities say; each is PEM. */
export interface TlsFiles {
  /** Authorities that the daemon's certificate may come from. */
  ca?: string | undefined;
  /** This client's certificate, with its key, where the daemon asks for one. */
  cert?: string | undefined;
  key?: string | undefined;
}

type Dial = (options: RequestOptions) => ClientRequest;

const send = (dial: Dial, common: Record<string, string>, { method, path, headers, body, signal }: WireRequest): Promise<Response> =>
  new Promise((resolve, reject) => {
    const length: Record<string, number> =
      typeof body === "string"
        ? { "content-length": Buffer.byteLength(body) }
        : body instanceof Uint8Array
          ? { "content-length": body.byteLength }
          : {};
    const request = dial({ method, path, signal, headers: { ...common, ...headers, ...length } });
    request.once("response", (message) => resolve(responseOf(message)));
    request.on("error", reject);
    if (body === undefined) request.end();
    // A refusal may come before the whole body was sent: then the answer counts, not the broken pipe.
    else pipeline(sourceOf(body), request).catch((error: Error) => setImmediate(reject, error));
  });

/** Few programs open a terminal: the others do without what it needs. */
const openSocket = async (address: string, protocol: string, options: object): Promise<WireSocket> =>
  new (await import("ws")).WebSocket(address, protocol, options) as unknown as WireSocket;

/** Over a unix socket, which fetch does not know. */
export const unixTransport = (socketPath: string): Transport => {
  const agent = new HttpAgent({ keepAlive: true });
  const headers = { host: "localhost" };
  return {
    request: (request) => send((options) => httpRequest({ ...options, socketPath, agent }), headers, request),
    socket: (path, protocol) => openSocket(`ws+unix://${socketPath}:${path}`, protocol, { headers }),
    close: () => agent.destroy(),
  };
};

/** Over TLS with certificates of its own, which fetch does not take. @param url begins with https:// */
export const tlsTransport = (url: string, token: string | undefined, tls: TlsFiles): Transport => {
  const { hostname, port, pathname, host } = new URL(url);
  const base = pathname.replace(/\/+$/, "");
  const files = Object.fromEntries(Object.entries(tls).filter(([, text]) => text !== undefined));
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  // It is loaded by those who use it: the usual way is the unix socket.
  const agent = import("node:https").then(({ Agent, request }) => ({ request, agent: new Agent({ keepAlive: true, ...files }) }));
  return {
    request: async (wire) => {
      const https = await agent;
      const target = { hostname: hostname.replace(/^\[(.*)\]$/, "$1"), port, agent: https.agent };
      return send((options) => https.request({ ...options, ...target, path: base + options.path }), headers, wire);
    },
    socket: (path, protocol) => openSocket(`wss://${host}${base}${path}`, protocol, { headers, ...files }),
    close: () => void agent.then((https) => https.agent.destroy()),
  };
};

/** By fetch, with the WebSocket of Node's own clients, which sends the token as a header. */
export const tcpTransport = (url: string, token: string | undefined): Transport =>
  fetchTransport(url, token, (address, protocol, headers) => openSocket(address, protocol, { headers }));
