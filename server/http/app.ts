import Fastify, { type FastifyInstance, LogController } from "fastify";
import { DomainError } from "../domain/errors.ts";
import { type AccessPolicy, authorization } from "./access.ts";
import { documentation } from "./documentation.ts";
import { idempotency } from "./idempotency.ts";
import { answerClientError, createHttpServer } from "./listeners.ts";
import { methodTable } from "./methods.ts";
import { problemOf, refusalOf } from "./problems.ts";
import { healthRoutes } from "./routes/health.ts";
import { infoRoutes } from "./routes/info.ts";
import { namespaceRoutes } from "./routes/namespaces.ts";
import { operationRoutes } from "./routes/operations.ts";
import { rootRoutes } from "./routes/roots.ts";
import { sandboxRoutes } from "./routes/sandboxes.ts";
import { Problem } from "./schemas/shared.ts";
import type { Services } from "./services.ts";
import { validators } from "./validation.ts";

export type App = FastifyInstance;

/** Each takes the services and gives a fastify plugin; a new room of routes is added to this list. */
const routes = [healthRoutes, infoRoutes, sandboxRoutes, namespaceRoutes, rootRoutes, operationRoutes];

/** Bodies of requests: bytes. */
export const bodyLimit = 1_048_576;

/** Builds the application: routes, checks, documents. It never listens; see `listeners.ts`. */
export const buildApp = async (services: Services, access: AccessPolicy): Promise<App> => {
  const app = Fastify({
    loggerInstance: services.logger,
    // One line for each request is written by the hook below; fastify's own pair would be two.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit,
    serverFactory: (handler) => createHttpServer(handler),
    clientErrorHandler: (error, socket) => answerClientError(error, socket),
    // NUL, and parameters longer than any id or name, end as 404 before a handler sees them.
    routerOptions: { maxParamLength: 128, ignoreTrailingSlash: false },
    requestIdHeader: false,
    exposeHeadRoutes: true,
  }) as unknown as FastifyInstance;

  app.setValidatorCompiler(validators());
  app.addSchema(Problem);
  app.setErrorHandler((error, request, reply) => {
    const refusal = refusalOf(error);
    if (refusal === null) request.log.error({ err: error }, "a request failed unexpectedly");
    else if (refusal.code === "internal" || refusal.code === "launch-failed")
      request.log.error({ err: refusal, code: refusal.code }, "a request failed");
    const missingInPath = refusal?.code === "root-not-found" && request.routeOptions.url?.startsWith("/v1/roots/:") === true;
    const shown = refusal ?? new DomainError("internal", "an unexpected failure; the daemon's log has the cause");
    const problem = problemOf(shown, pathOf(request.url), missingInPath ? 404 : undefined);
    if (problem.code === "unauthorized") void reply.header("www-authenticate", 'Bearer realm="unshared"');
    if (problem.retryable) void reply.header("retry-after", "1");
    return reply.code(problem.status).type("application/problem+json").serializer(JSON.stringify).send(problem);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request.url);
    const allowed = methods.allowed(path);
    if (allowed.length === 0) throw new DomainError("not-found", `nothing answers at ${path}`);
    void reply.header("allow", allowed.join(", "));
    throw new DomainError("method-not-allowed", `${path} answers ${allowed.join(", ")}, not ${request.method}`, { members: { allowed } });
  });
  // A POST without a body means the defaults.
  app.addHook("preValidation", async (request) => {
    if (request.method === "POST" && request.body === undefined) request.body = {};
  });
  app.addHook("onResponse", async (request, reply) => {
    request.log.info(
      { method: request.method, url: request.url, status: reply.statusCode, milliseconds: Math.round(reply.elapsedTime * 100) / 100 },
      "request",
    );
  });

  const methods = methodTable(app);
  authorization(app, access);
  idempotency(app, services.idempotency);
  await documentation(app);
  for (const room of routes) await app.register(room(services));
  return app;
};

/** The path without its query: what a problem names as its instance, so that no parameter's value is echoed. */
const pathOf = (url: string): string => url.split("?", 1)[0]?.slice(0, 1024) ?? "/";
