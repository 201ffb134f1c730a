import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { cursorOf, positionOf } from "../cursors.ts";
import { problemResponses } from "../schemas/shared.ts";
import { TokenQuery } from "../schemas/tokens.ts";
import * as schemas from "../schemas/webhooks.ts";
import type { Services } from "../services.ts";

const tags = ["daemon"];

const description = `Each event that fits is sent as a POST whose body is the record that \`GET /v1/events\` has, in order, from the moment the webhook was made; the next one
only after it was answered with a status of 2xx, or was given up. Failed attempts are repeated after 1 s, then twice as long each time, at most 300 s, less a random half.
Where it stands is stored, so a restart of the daemon goes on from there; an event may arrive twice, with the same \`webhook-id\`. Requests are signed as Standard Webhooks
(https://www.standardwebhooks.com) has it: \`webhook-signature\` is \`v1,\` and the base64 of HMAC-SHA256, by the secret, over \`webhook-id\`, \`webhook-timestamp\` and the body,
joined by dots. Redirects are not followed.`;

/** Events that are sent to whom they concern: made, listed without their secrets, removed. */
export const webhookRoutes =
  ({ webhooks }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.post(
      "/v1/webhooks",
      {
        config: { unrepeatable: "its answer holds a secret, which is not told again; send it without Idempotency-Key" },
        schema: {
          tags,
          operationId: "createWebhook",
          summary: "Have events sent to a URL",
          description,
          body: schemas.WebhookBody,
          response: {
            201: schemas.NewWebhook,
            ...problemResponses("invalid-request", "invalid-definition", "unsupported", "sandbox-not-found", "quota-exceeded"),
          },
        },
      },
      async (request, reply) => {
        const { row, secret } = await webhooks.create(request.body);
        return reply
          .code(201)
          .headers({ location: `/v1/webhooks/${row.id}`, "cache-control": "no-store" })
          .send({ ...schemas.webhookBody(row), secret });
      },
    );

    app.get(
      "/v1/webhooks",
      {
        schema: {
          tags,
          operationId: "listWebhooks",
          summary: "List webhooks, oldest first, without their secrets",
          querystring: TokenQuery,
          response: { 200: schemas.WebhookList, ...problemResponses("invalid-request") },
        },
      },
      async (request) => {
        const { limit, cursor } = request.query;
        const { items, nextCursor } = webhooks.list({ limit, after: positionOf(cursor) });
        return { items: items.map(schemas.webhookBody), nextCursor: cursorOf(nextCursor) };
      },
    );

    app.get(
      "/v1/webhooks/:webhook",
      {
        schema: {
          tags,
          operationId: "getWebhook",
          summary: "Look at a webhook: what was delivered, what was given up, and why the last attempt failed",
          params: schemas.WebhookPath,
          response: { 200: schemas.Webhook, ...problemResponses("invalid-request", "webhook-not-found") },
        },
      },
      async (request) => schemas.webhookBody(webhooks.get(request.params.webhook)),
    );

    app.delete(
      "/v1/webhooks/:webhook",
      {
        schema: {
          tags,
          operationId: "deleteWebhook",
          summary: "Send no more events there",
          params: schemas.WebhookPath,
          response: { 204: Type.Null({ description: "Removed." }), ...problemResponses("invalid-request", "webhook-not-found") },
        },
      },
      async (request, reply) => {
        await webhooks.delete(request.params.webhook);
        return reply.code(204).send(null);
      },
    );
  };
