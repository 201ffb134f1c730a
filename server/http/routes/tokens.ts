import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { cursorOf, positionOf } from "../cursors.ts";
import { problemResponses } from "../schemas/shared.ts";
import * as schemas from "../schemas/tokens.ts";
import type { Services } from "../services.ts";

const tags = ["daemon"];

/** Keys to TCP: made, listed without their secrets, revoked. */
export const tokenRoutes =
  ({ tokens }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.post(
      "/v1/tokens",
      {
        config: {
          unrepeatable:
            "its answer holds a secret, which is kept nowhere; send it without Idempotency-Key: the name is taken once it is done",
        },
        schema: {
          tags,
          operationId: "createToken",
          summary: "Make a token",
          description:
            "The answer holds its secret, for `Authorization: Bearer`; the daemon keeps only a digest of it. For that reason Idempotency-Key is refused.",
          body: schemas.TokenBody,
          response: { 201: schemas.NewToken, ...problemResponses("invalid-request", "invalid-definition", "unsupported", "name-taken") },
        },
      },
      async (request, reply) => {
        const { row, secret } = await tokens.create(request.body);
        return reply
          .code(201)
          .header("cache-control", "no-store")
          .send({ ...schemas.tokenBody(row), token: secret });
      },
    );

    app.get(
      "/v1/tokens",
      {
        schema: {
          tags,
          operationId: "listTokens",
          summary: "List tokens, oldest first, without their secrets",
          description: "One that has expired is listed for 30 days more.",
          querystring: schemas.TokenQuery,
          response: { 200: schemas.TokenList, ...problemResponses("invalid-request") },
        },
      },
      async (request) => {
        const { limit, cursor } = request.query;
        const { items, nextCursor } = tokens.list({ limit, after: positionOf(cursor) });
        return { items: items.map(schemas.tokenBody), nextCursor: cursorOf(nextCursor) };
      },
    );

    app.delete(
      "/v1/tokens/:token",
      {
        schema: {
          tags,
          operationId: "revokeToken",
          summary: "Revoke a token",
          description: "Nobody gets in by it any more, and what is being streamed to it is cut off. What was made with it stays.",
          params: schemas.TokenPath,
          response: { 204: Type.Null({ description: "Revoked." }), ...problemResponses("invalid-request", "token-not-found") },
        },
      },
      async (request, reply) => {
        await tokens.revoke(request.params.token);
        return reply.code(204).send(null);
      },
    );
  };
