import { createHash } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { DomainError } from "../domain/errors.ts";
import type { IdempotencyStore, KeyUse, StoredReply } from "../domain/idempotency.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The key this request holds until it is answered. */
    keyUse: KeyUse | null;
  }
  interface FastifyContextConfig {
    /** Why no key can be honoured here. */
    unrepeatable?: string;
  }
}

const keyOf = (request: FastifyRequest): string | null => {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return null;
  if (typeof key !== "string" || !/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new DomainError("invalid-request", "Idempotency-Key takes 1 to 255 visible ASCII characters", {
      faults: [{ pointer: "Idempotency-Key", detail: "is not valid" }],
    });
  }
  return key;
};

const nameOf = ({ caller, route, key }: KeyUse): string => `${caller} ${route} ${key}`;

/**
 * `Idempotency-Key` on every POST: the first request with a key is done, and its answer stored for 24 hours; a retry with the
 * same body gets that answer, after waiting for the first where it still runs; another body is refused.
 * Answers of 500 and more are not stored: they free the key.
 */
export const idempotency = (app: FastifyInstance, store: IdempotencyStore): void => {
  const running = new Map<string, { promise: Promise<void>; resolve: () => void }>();
  app.decorateRequest("keyUse", null);

  const hold = (request: FastifyRequest, use: KeyUse) => {
    let resolve = () => {};
    const promise = new Promise<void>((done) => {
      resolve = done;
    });
    running.set(nameOf(use), { promise, resolve });
    request.keyUse = use;
  };

  const free = (use: KeyUse) => {
    running.get(nameOf(use))?.resolve();
    running.delete(nameOf(use));
  };

  app.addHook("preHandler", async (request, reply) => {
    if (request.method !== "POST") return;
    const key = keyOf(request);
    if (key === null) return;
    const { unrepeatable } = request.routeOptions.config;
    if (unrepeatable !== undefined) throw new DomainError("unsupported", unrepeatable);
    const bodyHash = createHash("sha256")
      .update(JSON.stringify(request.body ?? null))
      .digest("base64url");
    const use: KeyUse = { caller: request.caller.id, route: request.url, key, bodyHash };
    for (;;) {
      const claim = store.claim(use);
      if (claim.kind === "new") return hold(request, use);
      if (claim.kind === "reused") throw new DomainError("idempotency-key-reused", "this key came with another body before");
      if (claim.kind === "replied") return replay(reply, claim.reply);
      await running.get(nameOf(use))?.promise;
    }
  });

  app.addHook("onSend", async (request, reply, payload) => {
    const use = request.keyUse;
    if (use === null) return payload;
    request.keyUse = null;
    try {
      await store.settle(use, reply.statusCode < 500 && typeof payload === "string" ? storedReply(reply, payload) : null);
    } finally {
      free(use);
    }
    return payload;
  });

  // A client that went away before the answer was sent: the work was done, its answer is not known.
  app.addHook("onResponse", async (request) => {
    if (request.keyUse === null) return;
    await store.settle(request.keyUse, null);
    free(request.keyUse);
  });
};

const storedReply = (reply: FastifyReply, body: string): StoredReply => ({
  status: reply.statusCode,
  body,
  contentType: String(reply.getHeader("content-type") ?? "application/json"),
  location: (reply.getHeader("location") as string | undefined) ?? null,
});

const replay = (reply: FastifyReply, stored: StoredReply): FastifyReply => {
  if (stored.location !== null) void reply.header("location", stored.location);
  return reply
    .code(stored.status)
    .header("idempotency-replayed", "true")
    .type(stored.contentType)
    .serializer((body: unknown) => body as string)
    .send(stored.body);
};
