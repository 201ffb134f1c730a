import { chmodSync, chownSync, lstatSync, unlinkSync } from "node:fs";
import type { IncomingMessage, RequestListener, Server } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import { DomainError } from "../domain/errors.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import { passOnExpectations } from "./expectations.ts";
import { problemOf } from "./problems.ts";
import { isUntimed } from "./streamed-bodies.ts";
import { isTerminalHandshake } from "./terminal-handshake.ts";

/** By an import Node would make all exports of this module ready, its WebSocket with the whole of undici among them: 2 MB. */
const { createServer } = process.getBuiltinModule("node:http");

/** How long a request's head may take to arrive, where the whole of it may take longer; how long a connection may be idle: milliseconds. */
const headMilliseconds = 10_000;
const idleMilliseconds = 75_000;
/** How long a client that was refused may take to close a connection that is closed from here. */
const lingerMilliseconds = 5_000;
/** Connections that wait to be accepted; the kernel's own bound (net.core.somaxconn) is below it. */
const backlog = 65_535;

const timeouts = ({ milliseconds }: ConnectionLimits) => ({
  headersTimeout: Math.min(headMilliseconds, milliseconds),
  requestTimeout: milliseconds,
  keepAliveTimeout: idleMilliseconds,
  connectionsCheckingInterval: Math.min(1_000, milliseconds / 4),
  // A peer whose host is gone is found out by the kernel (tcp(7)).
  keepAlive: true,
  keepAliveInitialDelay: idleMilliseconds,
});

/** PEM: certificate chain, key, and the authority of clients where they need a certificate. */
export interface TlsKeys {
  cert: Buffer;
  key: Buffer;
  ca: Buffer | null;
}

const secureContext = ({ cert, key, ca }: TlsKeys) => ({ cert, key, minVersion: "TLSv1.2" as const, ...(ca === null ? {} : { ca }) });

/** A handshake has as long as a head. */
const tlsOptions = (keys: TlsKeys) => ({
  ...secureContext(keys),
  requestCert: keys.ca !== null,
  rejectUnauthorized: true,
  handshakeTimeout: headMilliseconds,
});

/**
 * A server with limits that hold on every listener. Fastify sets `requestTimeout` 0 on servers it makes itself, and so
 * turns Node's own limit off (https://nodejs.org/api/http.html#serverrequesttimeout).
 */
export const createHttpServer = (handler: RequestListener, limits: ConnectionLimits, tls: TlsKeys | null = null): Server => {
  // A missing Host is refused by the application, as a problem document; Node's own refusal has no body.
  const shouldUpgradeCallback = ({ url, headers }: IncomingMessage) => isTerminalHandshake(url, headers.upgrade);
  const options = { ...timeouts(limits), maxHeaderSize: 16_384, requireHostHeader: false, shouldUpgradeCallback };
  const bounded = limits.bounded(handler);
  const server = tls === null ? createServer(options, bounded) : createTlsServer({ ...options, ...tlsOptions(tls) }, bounded);
  limits.watch(server);
  // Who does not get through the handshake cannot be answered.
  server.on("tlsClientError", (_error, socket: Socket) => socket.destroy());
  passOnExpectations(server, bounded);
  server.on("connect", (_request, socket) => answerOnSocket(new DomainError("method-not-allowed", "this is no proxy"), socket as Socket));
  return server;
};

/** What Node's parser refuses before there is a request: answered as a problem document all the same. */
export const answerClientError = (limits: ConnectionLimits, error: NodeJS.ErrnoException, socket: Socket): void => {
  // A streamed body has a limit of its own (streamed-bodies.ts).
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT" && isUntimed(socket)) return;
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") limits.counted("request-late");
  const refusal =
    error.code === "HPE_HEADER_OVERFLOW"
      ? new DomainError("headers-too-large", "the headers are larger than 16,384 bytes")
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? new DomainError("request-timeout", "the request did not arrive in time")
        : new DomainError("invalid-request", "this is not HTTP/1.1 as RFC 9112 has it");
  answerOnSocket(refusal, socket);
};

/** Answers where there is no request to reply to, and closes the connection, also where the other side never does. */
const answerOnSocket = (refusal: DomainError, socket: Socket): void => {
  const problem = problemOf(refusal, "/");
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    "Content-Type: application/problem+json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  setTimeout(() => socket.destroy(), lingerMilliseconds).unref();
};

/** A socket file that somebody answers on. */
export class SocketTakenError extends Error {}

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });

/** Removes the socket that a daemon left behind when it was killed. @throws SocketTakenError when it is in use, or no socket at all */
const clearStale = async (path: string): Promise<void> => {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new SocketTakenError(`${path} is there and is no socket; it is left as it is`);
  if (await answers(path)) throw new SocketTakenError(`${path} is in use by another process`);
  unlinkSync(path);
};

const listening = (server: Server, listen: () => void): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      resolve();
    });
    listen();
  });

/** The two doors of one application: the unix socket, whose connections are marked as such, and TCP. */
export class Listeners {
  readonly #app: FastifyInstance;
  readonly #fromUnix: WeakSet<Socket>;
  readonly #limits: ConnectionLimits;
  readonly #servers: Server[] = [];
  #secured: TlsServer | null = null;

  constructor(app: FastifyInstance, fromUnix: WeakSet<Socket>, limits: ConnectionLimits) {
    this.#app = app;
    this.#fromUnix = fromUnix;
    this.#limits = limits;
  }

  /** Listens on the socket, 0660 for root and the group. Whoever can reach it has the admin scope. @throws SocketTakenError */
  async openUnix(path: string, gid: number | null): Promise<void> {
    await clearStale(path);
    const server = this.#app.server as Server;
    server.on("connection", (socket) => this.#fromUnix.add(socket));
    const mask = process.umask(0o177);
    try {
      await listening(server, () => server.listen({ path, backlog }));
    } finally {
      process.umask(mask);
    }
    if (gid !== null) chownSync(path, process.getuid?.() ?? 0, gid);
    chmodSync(path, gid === null ? 0o600 : 0o660);
    this.#servers.push(server);
  }

  /** Takes over a unix socket that a service manager listens on and keeps. @throws SocketTakenError when it is another kind of socket */
  async adoptUnix(fd: number): Promise<void> {
    const server = this.#app.server as Server;
    server.on("connection", (socket) => this.#fromUnix.add(socket));
    await listening(server, () => server.listen({ fd }));
    // Node knows no path of a socket that it did not bind, but ports.
    if (typeof server.address() === "object" && server.address() !== null)
      throw new SocketTakenError("the socket that was handed over is no unix socket");
    this.#servers.push(server);
  }

  /** Listens on TCP, by TLS where there are keys; gives the port, which the kernel chose where 0 was asked for. */
  async openTcp(host: string, port: number, tls: TlsKeys | null = null): Promise<number> {
    const server = createHttpServer(this.#app.routing as RequestListener, this.#limits, tls);
    if (tls !== null) this.#secured = server as TlsServer;
    server.on("clientError", (error, socket) => answerClientError(this.#limits, error, socket as Socket));
    // Handshakes of terminals are taken by the plugin that listens on the application's own server, which is the other door.
    server.on("upgrade", (...handshake) => this.#app.server.emit("upgrade", ...handshake));
    await listening(server, () => server.listen({ host, port, backlog }));
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  /** New connections by TLS get these; those that are open keep theirs. */
  renew(tls: TlsKeys): void {
    this.#secured?.setSecureContext(secureContext(tls));
  }

  /** Takes in nothing new, lets what runs finish within `milliseconds`, then cuts it off. */
  async close(milliseconds: number): Promise<void> {
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const server of this.#servers) server.closeIdleConnections();
    const cut = setTimeout(() => {
      for (const server of this.#servers) server.closeAllConnections();
    }, milliseconds);
    // A keep-alive connection turns idle when its request is answered.
    const sweep = setInterval(() => {
      for (const server of this.#servers) server.closeIdleConnections();
    }, 50);
    await Promise.all(closed);
    clearTimeout(cut);
    clearInterval(sweep);
  }
}
