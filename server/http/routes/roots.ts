import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { Operations } from "../../domain/operations.ts";
import type { Roots } from "../../domain/roots.ts";
import { cursorOf, positionOf } from "../cursors.ts";
import { OperationBody, operationBody, operationFailure, Wait, waitMilliseconds } from "../schemas/operations.ts";
import { CreateRoot, exampleRoot, ManifestBody, missingRoot, RootBody, requestedSource, rootBody, rootStates } from "../schemas/roots.ts";
import { Name, Nullable, OneOf, problemResponses, Reference } from "../schemas/shared.ts";

const tags = ["roots"];
const params = Type.Object({ root: Reference });

/** Root filesystems: provision, list, inspect, remove. */
export const rootRoutes =
  ({ roots, operations }: { roots: Roots; operations: Operations }): FastifyPluginAsyncTypebox =>
  async (app) => {
    const create = {
      tags,
      operationId: "createRoot",
      summary: "Provision a root",
      description: "Answers 202 with the operation that does it; with `wait`, 201 with the root when it is ready in that time.",
      querystring: Type.Object({ wait: Wait }, { additionalProperties: false }),
      body: CreateRoot,
      response: {
        201: RootBody,
        202: OperationBody,
        ...problemResponses(
          "invalid-request",
          "root-source-invalid",
          "name-taken",
          "host-not-ready",
          "root-provision-failed",
          "quota-exceeded",
          "idempotency-key-reused",
        ),
      },
    };
    app.post("/v1/roots", { schema: create }, async (request, reply) => {
      const { root, operation } = await roots.create(request.body.name, requestedSource(request.body.source), request.caller);
      const now = await operations.wait(operation.id, waitMilliseconds(request.query.wait));
      if (now.state === "failed") throw operationFailure(now);
      if (now.state === "succeeded")
        return reply
          .code(201)
          .header("location", `/v1/roots/${root.id}`)
          .send(rootBody(roots.get(root.id)));
      return reply.code(202).header("location", `/v1/operations/${operation.id}`).send(operationBody(now));
    });

    const query = Type.Object(
      {
        limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
        cursor: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9_-]{1,128}$" })),
        name: Type.Optional(Name),
        state: Type.Optional(OneOf(rootStates)),
      },
      { additionalProperties: false },
    );
    const list = Type.Object(
      { items: Type.Array(RootBody), nextCursor: Nullable(Type.String()) },
      { examples: [{ items: [exampleRoot], nextCursor: null }] },
    );
    app.get(
      "/v1/roots",
      {
        schema: {
          tags,
          operationId: "listRoots",
          summary: "List roots",
          querystring: query,
          response: { 200: list, ...problemResponses("invalid-request") },
        },
      },
      async (request) => {
        const { limit, cursor, name, state } = request.query;
        const after = positionOf(cursor);
        const found = roots.list({ after, limit: limit + 1, name: name ?? null, state: state ?? null });
        const items = found.slice(0, limit);
        const last = items.at(-1);
        return { items: items.map(rootBody), nextCursor: cursorOf(found.length > limit && last ? last.id : null) };
      },
    );

    const one = {
      tags,
      params,
      operationId: "getRoot",
      summary: "Look at a root",
      response: { 200: RootBody, ...problemResponses("invalid-request"), ...missingRoot() },
    };
    app.get("/v1/roots/:root", { schema: one }, async (request) => rootBody(roots.get(request.params.root)));

    const manifest = {
      tags,
      params,
      operationId: "getRootManifest",
      summary: "What is in a root, and why",
      response: { 200: ManifestBody, ...problemResponses("invalid-request", "root-not-ready"), ...missingRoot() },
    };
    app.get("/v1/roots/:root/manifest", { schema: manifest }, async (request, reply) => {
      const { bytes, stream } = await roots.manifest(request.params.root);
      return reply
        .type("application/json")
        .header("content-length", bytes)
        .send(stream as never);
    });

    const remove = {
      tags,
      params,
      operationId: "deleteRoot",
      summary: "Remove a root, or cancel its provisioning",
      response: { 204: Type.Null({ description: "Removed." }), ...problemResponses("invalid-request", "root-in-use"), ...missingRoot() },
    };
    app.delete("/v1/roots/:root", { schema: remove }, async (request, reply) => {
      await roots.delete(request.params.root);
      return reply.code(204).send(null);
    });
  };
