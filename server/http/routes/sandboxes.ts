import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { confinedLabels, ownerOf } from "../../domain/callers.ts";
import type { DefinitionInput } from "../../domain/definition.ts";
import { DomainError } from "../../domain/errors.ts";
import type { Receipt } from "../../domain/receipt.ts";
import { cursorOf, positionOf } from "../cursors.ts";
import { launchCodes, PatientQuery, tagged, whenDone } from "../sandbox-replies.ts";
import { DefinitionInputBody } from "../schemas/definitions.ts";
import { OperationBody } from "../schemas/operations.ts";
import * as schemas from "../schemas/sandboxes.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const tags = ["sandboxes"];

/** The generation of If-Match; null where there is none, or it is `*`. */
const generationOf = (header: string | undefined): number | null => {
  if (header === undefined || header === "*") return null;
  const match = /^"(\d{1,15})"$/.exec(header);
  if (match === null) throw new DomainError("precondition-failed", 'If-Match takes one ETag of this sandbox, such as "3"');
  return Number(match[1]);
};

export const sandboxRoutes =
  ({ sandboxes, sandboxOperations, operations }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.post(
      "/v1/sandboxes",
      {
        schema: {
          tags,
          operationId: "createSandbox",
          summary: "Create a sandbox; with start=true also start it",
          description: "Every field has a default: {} is a bash in the root named default. A start that is refused leaves nothing behind.",
          querystring: Type.Object({ start: Type.Boolean({ default: false }) }, { additionalProperties: false }),
          body: DefinitionInputBody,
          response: {
            201: schemas.SandboxReport,
            ...problemResponses(
              "invalid-request",
              "invalid-definition",
              "unsupported",
              "namespace-combination",
              "unsupported",
              "root-not-found",
              "root-not-ready",
              "name-taken",
              "quota-exceeded",
              ...launchCodes,
            ),
          },
        },
      },
      async (request, reply) => {
        const { id, scope, view } = request.caller;
        const input = request.body as DefinitionInput;
        const labelled = { ...input, labels: confinedLabels(view, input.labels ?? {}) };
        const report = await sandboxes.create(labelled, request.query.start, scope, ownerOf(id));
        return reply.code(201).header("location", `/v1/sandboxes/${report.id}`).send(tagged(reply, report));
      },
    );

    app.get(
      "/v1/sandboxes",
      {
        schema: {
          tags,
          operationId: "listSandboxes",
          summary: "List sandboxes, oldest first",
          querystring: schemas.SandboxQuery,
          response: { 200: schemas.SandboxList, ...problemResponses("invalid-request") },
        },
      },
      async (request) => {
        const { limit, cursor, state = [], name = null, label = [] } = request.query;
        const labels = Object.fromEntries(label.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]));
        const { items, nextCursor } = sandboxes.list({
          view: request.caller.view,
          limit,
          after: positionOf(cursor),
          states: state,
          name,
          labels,
        });
        return { items, nextCursor: cursorOf(nextCursor) };
      },
    );

    app.get(
      "/v1/sandboxes/:sandbox",
      {
        config: { looks: true },
        schema: {
          tags,
          operationId: "getSandbox",
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
          operationId: "patchSandbox",
          summary: "Change name, labels, limits, lifetime or restarts",
          description: [
            "With If-Match only when the definition still has that generation. What is not named stays; null takes a limit or time away. On a running sandbox it holds at",
            "once: `openFiles` and `outputBytes` for processes that are started later, `pids` below what is alive stops forks only. `ttlSeconds` and `idleSeconds` that",
            "are named count from the change. Another policy of restarts comes with its own usual `maxRetries`; one that is waited for is cancelled by `never`.",
          ].join("\n"),
          params: schemas.SandboxPath,
          headers: Type.Object({ "if-match": Type.Optional(Type.String({ maxLength: 64, examples: ['"1"'] })) }),
          body: schemas.PatchBody,
          response: {
            200: schemas.SandboxReport,
            ...problemResponses(
              "invalid-request",
              "invalid-definition",
              "sandbox-not-found",
              "name-taken",
              "precondition-failed",
              "limit-in-use",
              "quota-exceeded",
              "unsupported",
              "launcher-unavailable",
            ),
          },
        },
      },
      async (request, reply) => {
        const { labels, ...rest } = request.body;
        const changes = labels === undefined ? rest : { ...rest, labels: confinedLabels(request.caller.view, labels) };
        return tagged(reply, await sandboxes.patch(request.params.sandbox, changes, generationOf(request.headers["if-match"])));
      },
    );

    app.delete(
      "/v1/sandboxes/:sandbox",
      {
        schema: {
          tags,
          operationId: "deleteSandbox",
          summary: "End what runs and remove the sandbox with its files",
          description: "Accepted in every state. Answers what was removed.",
          params: schemas.SandboxPath,
          querystring: PatientQuery,
          response: {
            200: schemas.TeardownReceipt,
            202: OperationBody,
            ...problemResponses("invalid-request", "sandbox-not-found", "launcher-unavailable"),
          },
        },
      },
      async (request, reply) => {
        const { wait } = request.query;
        if (wait === undefined) return sandboxes.remove(request.params.sandbox);
        const operation = await sandboxOperations.begin("sandbox.delete", request.params.sandbox);
        return whenDone(operations, operation, wait, reply, ({ result }) => result as unknown as Receipt);
      },
    );

    app.get(
      "/v1/sandboxes/:sandbox/receipt",
      {
        config: { looks: true },
        schema: {
          tags,
          operationId: "getSandboxReceipt",
          summary: "What the last teardown removed",
          params: schemas.SandboxPath,
          response: { 200: schemas.TeardownReceipt, ...problemResponses("invalid-request", "sandbox-not-found", "not-found") },
        },
      },
      async (request) => sandboxes.receipt(request.params.sandbox),
    );
  };
