import { Type } from "typebox";
import type { WebhookRow } from "../../domain/webhooks.ts";
import { Nullable, named, Reference, Timestamp } from "./shared.ts";

const strict = { additionalProperties: false } as const;

export const WebhookPath = Type.Object({ webhook: Reference });

const Url = Type.String({ minLength: 8, maxLength: 2_048, pattern: "^https?://[\\x21-\\x7e]+$", examples: ["https://example.com/hook"] });
const Types = Type.Array(Type.String({ pattern: "^[a-z]{1,32}\\.(\\*|[a-z-]{1,32})$" }), {
  maxItems: 64,
  description: "Types of events, or prefixes such as `sandbox.*`; empty: all.",
});
const Attempts = Type.Integer({ minimum: 1, maximum: 30, description: "Attempts for an event, after which it is a dead letter." });
const Timeout = Type.Integer({ minimum: 1, maximum: 60, description: "How long an answer may take." });

export const WebhookBody = Type.Object(
  {
    url: Url,
    secret: Type.Optional(
      Type.String({
        pattern: "^whsec_[A-Za-z0-9+/]{32,88}={0,2}$",
        description:
          "The key of the signatures in the form of Standard Webhooks: `whsec_` and 24 to 64 bytes as base64. Made where it is left out.",
      }),
    ),
    types: Type.Optional(Types),
    sandbox: Type.Optional({ ...Reference, description: "Only events of this sandbox: id or name." }),
    maxAttempts: Type.Optional({ ...Attempts, default: 12 }),
    timeoutSeconds: Type.Optional({ ...Timeout, default: 10 }),
  },
  { ...strict, examples: [{ url: "https://example.com/hook", types: ["sandbox.*"] }] },
);

const members = {
  id: Type.String(),
  url: Type.String(),
  types: Types,
  sandbox: Nullable(Type.String({ description: "Id of the sandbox whose events are sent." })),
  maxAttempts: Attempts,
  timeoutSeconds: Timeout,
  createdAt: Timestamp,
  lastEvent: Type.Integer({ description: "Number of the last event that was dealt with." }),
  delivered: Type.Integer({ description: "Events that were answered with a status of 2xx." }),
  deadLetters: Type.Integer({ description: "Events that were given up." }),
  gaps: Type.Integer({ description: "How often events were kept no more before they could be sent." }),
  lastDeliveredAt: Nullable(Timestamp),
  lastFailure: Nullable(Type.String({ description: "Why the last attempt failed; null when it did not." })),
};

const example = {
  id: "01jd9f4d7k3m5n8p0q2r4s6t8v",
  url: "https://example.com/hook",
  types: ["sandbox.*"],
  sandbox: null,
  maxAttempts: 12,
  timeoutSeconds: 10,
  createdAt: "2026-11-24T10:00:00.000Z",
  lastEvent: 42,
  delivered: 7,
  deadLetters: 0,
  gaps: 0,
  lastDeliveredAt: "2026-11-24T10:05:00.000Z",
  lastFailure: null,
};

export const Webhook = named("Webhook", Type.Object(members, { examples: [example] }));
export const WebhookList = Type.Object(
  { items: Type.Array(Webhook), nextCursor: Nullable(Type.String()) },
  { examples: [{ items: [example], nextCursor: null }] },
);
export const NewWebhook = Type.Object(
  { ...members, secret: Type.String({ description: "The key of the signatures. It is told once." }) },
  { examples: [{ ...example, secret: "whsec_..." }] },
);

export const webhookBody = (row: WebhookRow) => ({
  id: row.id,
  url: row.url,
  types: [...row.types],
  sandbox: row.sandbox,
  maxAttempts: row.maxAttempts,
  timeoutSeconds: row.timeoutSeconds,
  createdAt: new Date(row.createdAt).toISOString(),
  lastEvent: row.cursor,
  delivered: row.delivered,
  deadLetters: row.deadLetters,
  gaps: row.gaps,
  lastDeliveredAt: row.lastDeliveredAt === null ? null : new Date(row.lastDeliveredAt).toISOString(),
  lastFailure: row.lastFailure,
});
