import type { FastifyInstance } from "fastify";
import { DomainError } from "../domain/errors.ts";

/** Requests that a token may send at once after it was quiet: as many as in so many seconds. */
const burstSeconds = 2;

/** Holds each token that has a quota of `requestsPerSecond` to it: a bucket that fills at that rate, and holds what comes in a burst. */
export const requestRates = (app: FastifyInstance): void => {
  const buckets = new Map<string, { left: number; at: number }>();
  app.addHook("onRequest", (request, _reply, done) => {
    const { caller } = request;
    const rate = caller?.quotas.requestsPerSecond;
    if (rate === undefined) return done();
    const now = performance.now();
    const most = rate * burstSeconds;
    const bucket = buckets.get(caller.id) ?? { left: most, at: now };
    bucket.left = Math.min(most, bucket.left + (rate * (now - bucket.at)) / 1000);
    bucket.at = now;
    buckets.set(caller.id, bucket);
    if (bucket.left < 1) {
      const retryAfterSeconds = Math.ceil((1 - bucket.left) / rate);
      const members = { quota: "requestsPerSecond", limit: rate, retryAfterSeconds };
      return done(new DomainError("too-many-requests", `the token may send ${rate} requests a second`, { members }));
    }
    bucket.left -= 1;
    done();
  });
};
