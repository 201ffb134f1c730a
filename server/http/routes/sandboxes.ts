import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import type { DefinitionInput } from "../../domain/definition.ts";
import { DomainError, type ErrorCode } from "../../domain/errors.ts";
import type { Report } from "../../domain/reports.ts";
import { cursorOf, positionOf } from "../cursors.ts";
import * as schemas from "../schemas/sandboxes.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const tags = ["sandboxes"];
const launchCodes: readonly ErrorCode[] = [
  "command-not-found",
  "command-not-executable",
  "working-directory-invalid",
  "launch-failed",
  "host-not-ready",
  "launcher-unavailable",
  "idempotency-key-reused",
];

const tagged = (reply: FastifyReply, report: Report): Report => {
  void reply.header("etag", `"${report.generation}"`);
  return report;
};

/** The generation of If-Match; null where there is none, or it is `*`. */
const generationOf = (header: string | undefined): number | null => {
  if (header === undefined || header === "*") return null;
  const match = /^"(\d{1,15})"$/.exec(header);
  if (match === null) throw new DomainError("precondition-failed", 'If-Match takes one ETag of this sandbox, such as "3"');
  return Number(match[1]);
};

export const sandboxRoutes =
  ({ sandboxes }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.post(
      "/v1/sandboxes",
      {
        schema: {
          tags,
          summary: "Create a sandbox; with start=true also start it",
          description: "Every field has a default: {} is a bash in the root named default. A start that is refused leaves nothing behind.",
          querystring: Type.Object({ start: Type.Boolean({ default: false }) }, { additionalProperties: false }),
          body: schemas.DefinitionInputBody,
          response: {
            201: schemas.SandboxReport,
            ...problemResponses(
              "invalid-request",
              "invalid-definition",
              "namespace-combination",
              "unsupported",
              "root-not-found",
              "root-not-ready",
              "name-taken",
              ...launchCodes,
            ),
          },
        },
      },
      async (request, reply) => {
        const report = await sandboxes.create(request.body as DefinitionInput, request.query.start, request.scope);
        return reply.code(201).header("location", `/v1/sandboxes/${report.id}`).send(tagged(reply, report));
      },
    );

    app.get(
      "/v1/sandboxes",
      {
        schema: {
          tags,
          summary: "List sandboxes, oldest first",
          querystring: schemas.SandboxQuery,
          response: { 200: schemas.SandboxList, ...problemResponses("invalid-request") },
        },
      },
      async (request) => {
        const { limit, cursor, state = [], name = null, label = [] } = request.query;
        const labels = Object.fromEntries(label.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]));
        const { items, nextCursor } = sandboxes.list({ limit, after: positionOf(cursor), states: state, name, labels });
        return { items, nextCursor: cursorOf(nextCursor) };
      },
    );

    app.get(
      "/v1/sandboxes/:sandbox",
      {
        schema: {
          tags,
          summary: "The report on a sandbox",
          params: schemas.SandboxPath,
          response: { 200: schemas.SandboxReport, ...problemResponses("invalid-request", "sandbox-not-found") },
        },
      },
      async (request, reply) => tagged(reply, sandboxes.get(request.params.sandbox)),
    );

    app.patch(
      "/v1/sandboxes/:sandbox",
      {
        schema: {
          tags,
          summary: "Change name or labels",
          description: "With If-Match only when the definition still has that generation.",
          params: schemas.SandboxPath,
          headers: Type.Object({ "if-match": Type.Optional(Type.String({ maxLength: 64, examples: ['"1"'] })) }),
          body: schemas.PatchBody,
          response: {
            200: schemas.SandboxReport,
            ...problemResponses("invalid-request", "sandbox-not-found", "name-taken", "precondition-failed"),
          },
        },
      },
      async (request, reply) =>
        tagged(reply, await sandboxes.patch(request.params.sandbox, request.body, generationOf(request.headers["if-match"]))),
    );

    app.delete(
      "/v1/sandboxes/:sandbox",
      {
        schema: {
          tags,
          summary: "End what runs and remove the sandbox with its files",
          description: "Accepted in every state. Answers what was removed.",
          params: schemas.SandboxPath,
          response: { 200: schemas.TeardownReceipt, ...problemResponses("invalid-request", "sandbox-not-found", "launcher-unavailable") },
        },
      },
      async (request) => sandboxes.remove(request.params.sandbox),
    );

    app.post(
      "/v1/sandboxes/:sandbox/start",
      {
        schema: {
          tags,
          summary: "Start; on a running sandbox, its report",
          params: schemas.SandboxPath,
          body: schemas.EmptyBody,
          response: {
            200: schemas.SandboxReport,
            ...problemResponses("invalid-request", "sandbox-not-found", "state-conflict", ...launchCodes),
          },
        },
      },
      async (request, reply) => tagged(reply, await sandboxes.start(request.params.sandbox)),
    );

    app.post(
      "/v1/sandboxes/:sandbox/stop",
      {
        schema: {
          tags,
          summary: "TERM to the main process, KILL to all after the grace; answers when nothing is left",
          params: schemas.SandboxPath,
          body: schemas.StopBody,
          response: {
            200: schemas.SandboxReport,
            ...problemResponses("invalid-request", "sandbox-not-found", "launcher-unavailable", "idempotency-key-reused"),
          },
        },
      },
      async (request, reply) => tagged(reply, await sandboxes.stop(request.params.sandbox, request.body.graceSeconds ?? 10)),
    );

    app.post(
      "/v1/sandboxes/:sandbox/kill",
      {
        schema: {
          tags,
          summary: "End all processes at once",
          params: schemas.SandboxPath,
          body: schemas.EmptyBody,
          response: {
            200: schemas.SandboxReport,
            ...problemResponses("invalid-request", "sandbox-not-found", "launcher-unavailable", "idempotency-key-reused"),
          },
        },
      },
      async (request, reply) => tagged(reply, await sandboxes.kill(request.params.sandbox)),
    );

    app.post(
      "/v1/sandboxes/:sandbox/restart",
      {
        schema: {
          tags,
          summary: "Stop with grace where it runs, then start",
          params: schemas.SandboxPath,
          body: schemas.StopBody,
          response: {
            200: schemas.SandboxReport,
            ...problemResponses("invalid-request", "sandbox-not-found", "state-conflict", ...launchCodes),
          },
        },
      },
      async (request, reply) => tagged(reply, await sandboxes.restart(request.params.sandbox, request.body.graceSeconds ?? 10)),
    );

    app.get(
      "/v1/sandboxes/:sandbox/receipt",
      {
        schema: {
          tags,
          summary: "What the last teardown removed",
          params: schemas.SandboxPath,
          response: { 200: schemas.TeardownReceipt, ...problemResponses("invalid-request", "sandbox-not-found", "not-found") },
        },
      },
      async (request) => sandboxes.receipt(request.params.sandbox),
    );
  };
