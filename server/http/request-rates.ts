import type { FastifyInstance } from "fastify";
import { DomainError } from "../domain/errors.ts";

/** Requests that a token may send at once after it was quiet: as many as in so many seconds. */
const burstSeconds = 2;

/** A bucket for each token, which fills at its rate, and holds what comes in a burst. One that is full again is forgotten: it is as a new one. */
export class RequestRates {
  /** In the order of their last request. Times are milliseconds. */
  readonly #buckets = new Map<string, { left: number; at: number }>();

  /** How many tokens are remembered: no more than have asked within the time of a burst. */
  get size(): number {
    return this.#buckets.size;
  }

  /** @param rate requests a second @throws DomainError `too-many-requests` (members quota, limit, retryAfterSeconds) */
  take(id: string, rate: number, now: number = performance.now()): void {
    this.#forgetFull(now);
    const most = rate * burstSeconds;
    const { left: before, at } = this.#buckets.get(id) ?? { left: most, at: now };
    const left = Math.min(most, before + (rate * (now - at)) / 1000);
    this.#buckets.delete(id);
    this.#buckets.set(id, { left: left < 1 ? left : left - 1, at: now });
    if (left >= 1) return;
    const members = { quota: "requestsPerSecond", limit: rate, retryAfterSeconds: Math.ceil((1 - left) / rate) };
    throw new DomainError("too-many-requests", `the token may send ${rate} requests a second`, { members });
  }

  #forgetFull(now: number): void {
    for (const [id, { at }] of this.#buckets) {
      if (now - at < burstSeconds * 1000) return;
      this.#buckets.delete(id);
    }
  }
}

/** Holds each token that has a quota of `requestsPerSecond` to it. */
export const requestRates = (app: FastifyInstance): void => {
  const rates = new RequestRates();
  app.addHook("onRequest", ({ caller }, _reply, done) => {
    const rate = caller?.quotas.requestsPerSecond;
    if (rate !== undefined) rates.take(caller.id, rate);
    done();
  });
};
