import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Transport, WireRequest, WireSocket } from "./transport.ts";

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

/** Over a unix socket, which fetch does not know. */
export const unixTransport = (socketPath: string): Transport => {
  const agent = new Agent({ keepAlive: true });
  return {
    request: ({ method, path, headers, body, signal }) =>
      new Promise((resolve, reject) => {
        const length: Record<string, number> =
          typeof body === "string"
            ? { "content-length": Buffer.byteLength(body) }
            : body instanceof Uint8Array
              ? { "content-length": body.byteLength }
              : {};
        const request = httpRequest({ socketPath, agent, method, path, signal, headers: { host: "localhost", ...headers, ...length } });
        request.once("response", (message) => resolve(responseOf(message)));
        request.on("error", reject);
        if (body === undefined) request.end();
        // A refusal may come before the whole body was sent: then the answer counts, not the broken pipe.
        else pipeline(sourceOf(body), request).catch((error: Error) => setImmediate(reject, error));
      }),
    socket: async (path, protocol) =>
      new (await import("ws")).WebSocket(`ws+unix://${socketPath}:${path}`, protocol, {
        headers: { host: "localhost" },
      }) as unknown as WireSocket,
    close: () => agent.destroy(),
  };
};
