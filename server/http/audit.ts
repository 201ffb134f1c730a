import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Audit, Call } from "../domain/audit.ts";
import type { Caller } from "../domain/callers.ts";
import type { ErrorCode } from "../domain/errors.ts";
import type { ConnectedPeers } from "./connected-peers.ts";
import { pathOf } from "./failures.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The code of the problem that it was answered with. */
    problemCode: ErrorCode | null;
    /** The id of the sandbox in its path, looked up before that may be deleted. */
    sandboxId: string | null;
    /** What whoever came over the unix socket is called; null for others. */
    peerName: Promise<string | null> | null;
  }
  interface FastifyContextConfig {
    /** May change something although it is a GET. */
    changes?: boolean;
  }
}

const mayChange = (request: FastifyRequest): boolean =>
  request.routeOptions.config.changes === true || !["GET", "HEAD", "OPTIONS"].includes(request.method);

/** Whether whoever asks could say who they are. */
const isKnown = ({ caller }: FastifyRequest): boolean => (caller as Caller | undefined) !== undefined;

const header = (reply: FastifyReply, name: string): string | null => (reply.getHeader(name) as string | undefined) ?? null;

type Answer = Pick<Call, "status" | "created" | "replayed" | "milliseconds">;

const answerOf = (reply: FastifyReply): Answer => ({
  status: reply.statusCode,
  created: reply.statusCode < 300 ? header(reply, "location") : null,
  replayed: header(reply, "idempotency-replayed") !== null,
  milliseconds: Math.round(reply.elapsedTime * 100) / 100,
});

const callOf = (request: FastifyRequest, answer: Answer, peerName: string | null): Call => ({
  time: Date.now(),
  caller: request.caller.id,
  callerName: peerName ?? request.caller.name,
  address: request.raw.socket.remoteAddress ?? null,
  method: request.method,
  route: request.routeOptions.url ?? "",
  path: pathOf(request.url),
  sandbox: request.sandboxId ?? /^\/v1\/sandboxes\/([^/]+)$/.exec(answer.created ?? "")?.[1] ?? null,
  code: request.problemCode,
  ...answer,
});

/**
 * Records each call that may change something when its answer is made, refusals included, and whether or not the caller is still there
 * to hear it. Who could not say who they are are left to the log: they could push everybody else's calls out of what is kept.
 */
export const auditCalls = (app: FastifyInstance, audit: Audit, peers: ConnectedPeers): void => {
  app.decorateRequest("problemCode", null);
  app.decorateRequest("sandboxId", null);
  app.decorateRequest("peerName", null);
  app.addHook("onRequest", (request, _reply, done) => {
    const { sandbox } = (request.params ?? {}) as { sandbox?: string };
    if (isKnown(request) && mayChange(request)) {
      if (sandbox !== undefined) request.sandboxId = audit.sandboxOf(sandbox);
      // Found out while the call does its work.
      if (request.caller.id === "unix") request.peerName = peers.of(request.raw.socket).then((peer) => peer && `uid ${peer.uid}`);
    }
    done();
  });
  app.addHook("onSend", (request, reply, payload, done) => {
    if (!isKnown(request) || request.routeOptions.url === undefined || !mayChange(request)) return done(null, payload);
    const record = (peerName: string | null): void => {
      audit.record(callOf(request, answer, peerName));
      done(null, payload);
    };
    const answer = answerOf(reply);
    if (request.peerName === null) record(null);
    else void request.peerName.then(record);
  });
};

/** Records a handshake that was taken: what follows it is no answer of HTTP. */
export const auditHandshake = async (audit: Audit, request: FastifyRequest): Promise<void> =>
  audit.record(callOf(request, { status: 101, created: null, replayed: false, milliseconds: 0 }, await request.peerName));
