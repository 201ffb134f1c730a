import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from "fastify";
import { DomainError } from "../domain/errors.ts";
import { type AccessPolicy, authorization } from "./access.ts";
import { auditCalls } from "./audit.ts";
import { bodies, bodyLimit } from "./bodies.ts";
import { bodyBudget } from "./body-budget.ts";
import { ConnectedPeers } from "./connected-peers.ts";
import { dashboard } from "./dashboard.ts";
import { documentation } from "./documentation.ts";
import { continueWhenAdmitted } from "./expectations.ts";
import { answerFailure, failures } from "./failures.ts";
import { idempotency } from "./idempotency.ts";
import { answerClientError, createHttpServer } from "./listeners.ts";
import { ownership } from "./ownership.ts";
import { requestRates } from "./request-rates.ts";
import { archiveRoutes } from "./routes/archive.ts";
import { auditRoutes } from "./routes/audit.ts";
import { backupRoutes } from "./routes/backup.ts";
import { diagramRoutes } from "./routes/diagram.ts";
import { eventRoutes } from "./routes/events.ts";
import { fileChangeRoutes } from "./routes/file-changes.ts";
import { fileUploadRoutes } from "./routes/file-uploads.ts";
import { fileRoutes } from "./routes/files.ts";
import { healthRoutes } from "./routes/health.ts";
import { infoRoutes } from "./routes/info.ts";
import { logRoutes } from "./routes/logs.ts";
import { metricsRoutes } from "./routes/metrics.ts";
import { namespaceRoutes } from "./routes/namespaces.ts";
import { operationRoutes } from "./routes/operations.ts";
import { outputRoutes } from "./routes/output.ts";
import { processRoutes } from "./routes/processes.ts";
import { rootRoutes } from "./routes/roots.ts";
import { runArchiveRoutes } from "./routes/run-archive.ts";
import { runRoutes } from "./routes/runs.ts";
import { sandboxLifecycleRoutes } from "./routes/sandbox-lifecycle.ts";
import { sandboxRoutes } from "./routes/sandboxes.ts";
import { statsRoutes } from "./routes/stats.ts";
import { terminalRoutes } from "./routes/terminal.ts";
import { tokenRoutes } from "./routes/tokens.ts";
import { watchRoutes } from "./routes/watch.ts";
import { webhookRoutes } from "./routes/webhooks.ts";
import { sharedSchemas } from "./schemas/shared.ts";
import { requireScopes } from "./scopes.ts";
import { buildSerializer } from "./serializers.ts";
import type { Services } from "./services.ts";
import { streams } from "./streams.ts";
import { refuseUnknownQueries } from "./unknown-queries.ts";
import { use } from "./use.ts";
import { validators } from "./validation.ts";

export type App = FastifyInstance;

/** Each takes the services and gives a fastify plugin; a new room of routes is added to this list. */
const routes = [
  healthRoutes,
  infoRoutes,
  metricsRoutes,
  sandboxRoutes,
  sandboxLifecycleRoutes,
  fileRoutes,
  fileUploadRoutes,
  fileChangeRoutes,
  archiveRoutes,
  watchRoutes,
  namespaceRoutes,
  diagramRoutes,
  statsRoutes,
  rootRoutes,
  operationRoutes,
  processRoutes,
  outputRoutes,
  logRoutes,
  terminalRoutes,
  runRoutes,
  runArchiveRoutes,
  eventRoutes,
  auditRoutes,
  backupRoutes,
  tokenRoutes,
  webhookRoutes,
];

/** One line for each request. A token that somebody put into the query by mistake is not written down. */
const logRequest = (request: FastifyRequest, reply: FastifyReply): void => {
  const milliseconds = Math.round(reply.elapsedTime * 100) / 100;
  const url = request.url.replaceAll(/([?&][^=&]*token=)[^&]*/gi, "$1...");
  request.log.info({ method: request.method, url, status: reply.statusCode, milliseconds }, "request");
};

/** Builds the application: routes, checks, documents. It never listens; see `listeners.ts`. */
export const buildApp = async (services: Services, access: AccessPolicy): Promise<App> => {
  const { connectionLimits: limits } = services;
  const app = Fastify({
    loggerInstance: services.logger,
    // One line for each request is written by the hook below; fastify's own pair would be two.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit,
    serverFactory: (handler) => createHttpServer(handler, limits),
    clientErrorHandler: (error, socket) => answerClientError(limits, error, socket),
    // What the router itself refuses, such as a path with a broken escape, has no route and no hooks.
    frameworkErrors: (error, request, reply) => {
      answerFailure(error, request as never, reply as never);
      logRequest(request as never, reply as never);
    },
    // Longer than any head: what a parameter may be is said by its schema.
    routerOptions: { maxParamLength: 16_384 },
    requestIdHeader: false,
    exposeHeadRoutes: true,
    schemaController: { compilersFactory: { buildSerializer } },
  }) as unknown as FastifyInstance;

  app.setValidatorCompiler(validators());
  for (const schema of sharedSchemas) app.addSchema(schema);
  app.addHook("onResponse", (request, reply, done) => {
    logRequest(request, reply);
    services.measurements.answered(request.method, request.routeOptions.url ?? "none", reply.statusCode, reply.elapsedTime);
    done();
  });
  // On connections that are open already, requests still come when the listeners take no new ones.
  app.addHook("onRequest", (request, reply, done) => {
    const { ready, detail } = services.info.readiness();
    if (ready || request.routeOptions.url === "/healthz") return done();
    void reply.header("connection", "close");
    done(new DomainError("shutting-down", detail));
  });
  failures(app);
  bodies(app);
  const peers = new ConnectedPeers(services.peers);
  authorization(app, access, services.tokens, peers);
  requestRates(app);
  bodyBudget(app);
  ownership(app, services.visibility);
  streams(app, services.tokens);
  continueWhenAdmitted(app);
  idempotency(app, services.idempotency);
  auditCalls(app, services.audit, peers);
  use(app, services.lifetimes);
  refuseUnknownQueries(app);
  await documentation(app);
  requireScopes(app);
  dashboard(app);
  for (const room of routes) await app.register(room(services));
  return app;
};
