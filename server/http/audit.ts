import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Audit, Call } from "../domain/audit.ts";
import type { Caller } from "../domain/callers.ts";
import type { ErrorCode } from "../domain/errors.ts";
import { pathOf } from "./failures.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The code of the problem that it was answered with. */
    problemCode: ErrorCode | null;
    /** The id of the sandbox in its path, looked up before that may be deleted. */
    sandboxId: string | null;
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

const callOf = (request: FastifyRequest, answer: Answer): Call => ({
  time: Date.now(),
  caller: request.caller.id,
  callerName: request.caller.name,
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
export const auditCalls = (app: FastifyInstance, audit: Audit): void => {
  app.decorateRequest("problemCode", null);
  app.decorateRequest("sandboxId", null);
  app.addHook("onRequest", (request, _reply, done) => {
    const { sandbox } = (request.params ?? {}) as { sandbox?: string };
    if (isKnown(request) && sandbox !== undefined && mayChange(request)) request.sandboxId = audit.sandboxOf(sandbox);
    done();
  });
  app.addHook("onSend", (request, reply, payload, done) => {
    if (isKnown(request) && request.routeOptions.url !== undefined && mayChange(request)) audit.record(callOf(request, answerOf(reply)));
    done(null, payload);
  });
};

/** Records a handshake that was taken: what follows it is no answer of HTTP. */
export const auditHandshake = (audit: Audit, request: FastifyRequest): void =>
  audit.record(callOf(request, { status: 101, created: null, replayed: false, milliseconds: 0 }));
