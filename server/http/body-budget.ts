import type { FastifyInstance, FastifyRequest } from "fastify";
import { DomainError } from "../domain/errors.ts";
import { isUntimed } from "./streamed-bodies.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Gives back what is held for its body; null where nothing is. */
    releaseBody: (() => void) | null;
  }
}

/** What the bodies that are in memory at a time may have together, and those of one caller: bytes. */
const mostBytes = 134_217_728;
const mostBytesEach = mostBytes / 2;
/** Bodies up to this size are taken whatever others send. */
const smallBytes = 65_536;

/** The most that the body can have: as announced, else what the route takes. */
const bytesOf = ({ headers, routeOptions: { bodyLimit = 0 } }: FastifyRequest): number => {
  if (headers["transfer-encoding"] !== undefined) return bodyLimit;
  const length = Number(headers["content-length"] ?? 0);
  // One that is larger is refused, and not read.
  return length > bodyLimit ? 0 : length;
};

/** Bounds what bodies take of memory: who comes when there is no room is refused before the body is read. */
export const bodyBudget = (app: FastifyInstance): void => {
  const held = new Map<string, number>();
  let sum = 0;
  const add = (caller: string, bytes: number) => {
    sum += bytes;
    const own = (held.get(caller) ?? 0) + bytes;
    if (own > 0) held.set(caller, own);
    else held.delete(caller);
  };
  app.decorateRequest("releaseBody", null);
  app.addHook("preParsing", (request, reply, _payload, done) => {
    const bytes = bytesOf(request);
    if (bytes <= smallBytes || isUntimed(request.raw.socket)) return done();
    const caller = request.caller?.id ?? "none";
    if (sum + bytes > mostBytes || (held.get(caller) ?? 0) + bytes > mostBytesEach)
      return done(new DomainError("too-many-requests", `the bodies of requests that are under way leave no room for ${bytes} bytes more`));
    add(caller, bytes);
    request.releaseBody = () => {
      request.releaseBody = null;
      request.body = undefined;
      add(caller, -bytes);
    };
    // The answer is closed also when the client is gone before it had sent all.
    reply.raw.once("close", () => request.releaseBody?.());
    done();
  });
};
