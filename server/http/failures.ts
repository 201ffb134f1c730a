import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { DomainError, type ErrorCode } from "../domain/errors.ts";
import { methodTable } from "./methods.ts";
import { problemOf, refusalOf } from "./problems.ts";

/** The path without its query: what a problem names as its instance, so that no parameter's value is echoed. "/" for a target without a path. */
export const pathOf = (url: string): string => /^(?:[a-z][a-z0-9+.-]*:\/\/[^/?#]*)?(\/[^?#]*)/i.exec(url)?.[1]?.slice(0, 1024) ?? "/";

/** Refusals that the operator has to know of: the fault is the host's. */
const loud: ReadonlySet<ErrorCode> = new Set(["launch-failed", "storage-failed", "host-exhausted"]);

/** Answers any error as a problem document; what nobody foresaw becomes a generic 500, and its cause stays in the log. */
export const answerFailure = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
  const refusal = refusalOf(error);
  if (refusal === null) request.log.error({ err: error }, "a request failed unexpectedly");
  else if (loud.has(refusal.code)) request.log.error({ err: refusal, code: refusal.code }, "the host failed a request");
  const missingInPath = refusal?.code === "root-not-found" && request.routeOptions.url?.startsWith("/v1/roots/:") === true;
  const shown =
    refusal ?? new DomainError("internal", "an unexpected failure; the daemon's log has the cause", { members: { requestId: request.id } });
  const problem = problemOf(shown, pathOf(request.url), missingInPath ? 404 : undefined);
  request.problemCode = problem.code;
  if (problem.code === "unauthorized") void reply.header("www-authenticate", 'Bearer realm="unshared"');
  // Fastify would close the connection, and a client that is still sending would see a reset in place of the answer. Node reads
  // the rest of the body and throws it away, within the request's timeout.
  if (problem.code === "payload-too-large") void reply.removeHeader("connection");
  if (problem.retryable) void reply.header("retry-after", String(problem["retryAfterSeconds"] ?? 1));
  return reply.code(problem.status).type("application/problem+json").serializer(JSON.stringify).send(problem);
};

/** Every failure leaves as a problem: of handlers, of validation, and of paths and methods that nothing answers. */
export const failures = (app: FastifyInstance): void => {
  const methods = methodTable(app);
  app.setErrorHandler(answerFailure);
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request.url);
    const allowed = methods.allowed(path);
    if (allowed.length === 0) throw new DomainError("not-found", `nothing answers at ${path}`);
    void reply.header("allow", allowed.join(", "));
    throw new DomainError("method-not-allowed", `${path} answers ${allowed.join(", ")}, not ${request.method}`, { members: { allowed } });
  });
};
