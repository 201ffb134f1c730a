import { timingSafeEqual } from "node:crypto";
import type { Socket } from "node:net";
import { isIP } from "node:net";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { administrator, type Caller } from "../domain/callers.ts";
import { DomainError } from "../domain/errors.ts";
import type { PeerScopes } from "../domain/peer-scopes.ts";
import { digestOf, type Tokens } from "../domain/tokens.ts";
import type { ConnectedPeers } from "./connected-peers.ts";
import { FailedTokens } from "./failed-tokens.ts";
import { PeerCallers } from "./peer-callers.ts";
import { checkScope } from "./scopes.ts";
import { isTerminalHandshake } from "./terminal-handshake.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Who asks. On routes that are open to all it says nothing. */
    caller: Caller;
  }
  interface FastifyContextConfig {
    /** Answered without a token: says nothing about what is managed here. */
    open?: boolean;
  }
}

/** Who may do what, and which names this daemon goes by. */
export interface AccessPolicy {
  /** Connections that came over the unix socket. */
  fromUnix: WeakSet<Socket>;
  /** What those may do; null: access to the socket is the authority. */
  peerScopes: PeerScopes | null;
  /** SHA-256 of the token in the daemon's token file. */
  tokenDigest: Buffer;
  /** Host and port of TCP, once it is listened to; by TLS, where it has names of a certificate. */
  tcp: { host: string; port: number; isNamed: ((host: string) => boolean) | null } | null;
}

/** Host and port of a Host header or an origin; null when it is neither. */
const authorityOf = (text: string, usualPort: number): { host: string; port: number } | null => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return null;
  return { host: (match[1] ?? match[2] ?? "").toLowerCase(), port: match[3] === undefined ? usualPort : Number(match[3]) };
};

/**
 * Whether the name is one of ours. A page of another site that a browser was lured to can make its own name resolve to this
 * address, but not change the name it sends.
 */
const isOwn = (policy: AccessPolicy, text: string): boolean => {
  const found = authorityOf(text, policy.tcp?.isNamed ? 443 : 80);
  if (found === null || policy.tcp === null || found.port !== policy.tcp.port) return false;
  if (isUnspecified(found.host)) return false;
  if (found.host === "localhost" || found.host === policy.tcp.host.toLowerCase()) return true;
  if (isIP(found.host) === 0) return policy.tcp.isNamed?.(found.host) === true;
  // Which addresses lead to a listener that is not on loopback alone, the daemon need not know.
  return isLoopback(found.host) || !isLoopback(policy.tcp.host);
};

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);

/** It leads to this host too, and is nobody's name: browsers took it for a way around their own rules. */
const isUnspecified = (host: string): boolean => host === "0.0.0.0" || /^[0:]+$/.test(host);

/** The host that a request is meant for: a target in absolute form has precedence over the Host header (RFC 9112, section 3.2.2). */
const targetHost = ({ raw }: FastifyRequest): string | undefined =>
  /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(raw.url ?? "")?.[1] ?? raw.headers.host;

/** What browsers say of requests by pages of this daemon, and of addresses typed by people (https://www.w3.org/TR/fetch-metadata/). */
const ownSites: readonly (string | string[] | undefined)[] = [undefined, "same-origin", "none"];

const checkOrigin = (policy: AccessPolicy, request: FastifyRequest, unix: boolean): void => {
  const { origin } = request.headers;
  const host = targetHost(request);
  const hosts = request.raw.headersDistinct["host"]?.length ?? 0;
  if (hosts > 1 || (hosts === 0 && request.raw.httpVersion === "1.1"))
    throw new DomainError("invalid-request", "HTTP/1.1 needs one Host header");
  if (!unix && !isOwn(policy, host ?? ""))
    throw new DomainError("misdirected-request", "the Host header names another host or port than those this daemon listens to");
  if (!ownSites.includes(request.headers["sec-fetch-site"]))
    throw new DomainError("forbidden", "requests from pages of other sites are refused");
  if (origin === undefined) return;
  const scheme = policy.tcp?.isNamed ? "https://" : "http://";
  const named = origin.slice(scheme.length);
  const own = origin.startsWith(scheme) && isOwn(policy, named) && (unix || named === host);
  if (!own) throw new DomainError("forbidden", "requests from pages of other origins are refused");
};

/** Browsers let pages set no header of a WebSocket but its subprotocols: there the token is one of them, in base64url. */
const bearerOfHandshake = ({ raw }: FastifyRequest): string | null => {
  if (!isTerminalHandshake(raw.url, raw.headers.upgrade)) return null;
  const [, encoded] =
    /(?:^|,)\s*unshared\.bearer\.([A-Za-z0-9_-]{1,684})\s*(?:,|$)/.exec(raw.headers["sec-websocket-protocol"] ?? "") ?? [];
  return encoded === undefined ? null : Buffer.from(encoded, "base64url").toString("latin1");
};

const bearer = (header: string | undefined): string | null => /^Bearer ([A-Za-z0-9._~+/=-]{1,512})$/i.exec(header ?? "")?.[1] ?? null;

/**
 * Refuses before the body is read: names and origins of others, on TCP whoever has no token, on the unix socket whom no rule is about where
 * there are rules, and whose scope does not reach so far.
 */
export const authorization = (app: FastifyInstance, policy: AccessPolicy, tokens: Tokens, peers: ConnectedPeers): void => {
  const failed = new FailedTokens();
  const connected = policy.peerScopes === null ? null : new PeerCallers(policy.peerScopes, peers);
  app.decorateRequest("caller");
  app.addHook("onRequest", (request, _reply, done) => {
    const { socket } = request.raw;
    const unix = policy.fromUnix.has(socket);
    checkOrigin(policy, request, unix);
    const admit = (caller: Caller): void => {
      request.caller = caller;
      checkScope(request);
    };
    if (unix && connected === null) request.caller = administrator("unix");
    else if (request.routeOptions.config.open !== true) {
      if (!unix || connected === null) admit(holderOf(policy, tokens, failed, request));
      else {
        const known = connected.known(socket);
        if (known === null)
          return void connected
            .find(socket)
            .then(admit)
            .then(() => done(), done);
        admit(known);
      }
    }
    done();
  });
};

/** @throws DomainError `unauthorized`, `too-many-requests` */
const holderOf = (policy: AccessPolicy, tokens: Tokens, failed: FailedTokens, request: FastifyRequest): Caller => {
  const secret = bearer(request.headers.authorization) ?? bearerOfHandshake(request);
  if (secret === null)
    throw new DomainError(
      "unauthorized",
      "TCP needs the header Authorization: Bearer TOKEN; the first token is in the daemon's token file",
    );
  if (timingSafeEqual(digestOf(secret), policy.tokenDigest)) return administrator("token");
  const caller = tokens.caller(secret);
  if (caller !== null) return caller;
  failed.count(request.raw.socket.remoteAddress ?? "");
  throw new DomainError("unauthorized", "the token is not valid");
};
