/** What fetch takes as a body, of all that it does. */
type WireBody = string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;

/** One request as it goes over the wire. */
export interface WireRequest {
  method: string;
  /** With its query. */
  path: string;
  headers: Record<string, string>;
  body?: WireBody | AsyncIterable<Uint8Array> | undefined;
  signal: AbortSignal;
}

/** What is used of a WebSocket, by the browser's own names. */
export interface WireSocket {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
  addEventListener(type: "open" | "close" | "error" | "message", listener: (event: never) => void): void;
}

/** The way to a daemon. */
export interface Transport {
  /** Resolves with the head of the answer. @throws whatever the network says */
  request(request: WireRequest): Promise<Response>;
  socket(path: string, protocol: string): Promise<WireSocket>;
  /** Closes connections that are idle. */
  close(): void;
}

/** Streams as fetch takes them. */
const bodyOf = (body: WireRequest["body"]): WireBody | null => {
  if (body === undefined) return null;
  const isIterable = typeof body === "object" && body !== null && Symbol.asyncIterator in body && !(body instanceof ReadableStream);
  return isIterable ? streamOf(body as AsyncIterable<Uint8Array>) : (body as WireBody);
};

const streamOf = (source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> => {
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream({
    pull: async (controller) => {
      const { done, value } = await iterator.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    cancel: async () => void (await iterator.return?.()),
  });
};

/** By fetch, to an address of TCP. In a browser the address may be the page's own. */
export const fetchTransport = (
  url: string,
  token: string | undefined,
  openSocket: (url: string, protocol: string, headers: Record<string, string>) => Promise<WireSocket>,
): Transport => {
  const base = url.replace(/\/+$/, "");
  const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return {
    request: ({ method, path, headers, body, signal }) => {
      const init = { method, headers: { ...headers, ...authorization }, body: bodyOf(body), signal, redirect: "error" as const };
      // Node asks for `duplex` with a body that is a stream; the types of fetch do not know it everywhere.
      return fetch(`${base}${path}`, { ...init, duplex: "half" } as RequestInit);
    },
    socket: (path, protocol) => openSocket(`${base.replace(/^http/, "ws")}${path}`, protocol, authorization),
    close: () => {},
  };
};
