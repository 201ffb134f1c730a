import type { FastifyInstance, FastifyRequest } from "fastify";
import { checkInFlight } from "../domain/quotas.ts";
import type { Tokens } from "../domain/tokens.ts";

/** Streams that one token may have open where its definition does not say. */
const mostStreams = 1_000;
/** The longest time that a timer takes. */
const mostMilliseconds = 2 ** 31 - 1;

/** Whether the answer goes on for as long as something may happen. */
const isStream = ({ routeOptions: { url = "" }, query, headers }: FastifyRequest): boolean => {
  const { follow, stream } = query as { follow?: boolean; stream?: boolean };
  const isAsked = follow === true || stream === true || /\/(watch|terminal)$/.test(url);
  return isAsked || (url === "/v1/operations/:operation" && /\btext\/event-stream\b/.test(headers.accept ?? ""));
};

/**
 * Counts what is streamed to each token, and cuts it off when the token is revoked or expires. The unix socket has no bound: whoever has
 * that is root.
 */
export const streams = (app: FastifyInstance, tokens: Tokens | undefined): void => {
  const open = new Map<string, Set<() => void>>();
  tokens?.onRevoked((id) => {
    for (const cut of open.get(id) ?? []) cut();
  });
  app.addHook("preHandler", (request, reply, done) => {
    const { caller } = request;
    if ((caller?.id ?? "unix") === "unix" || !isStream(request)) return done();
    const own = open.get(caller.id) ?? new Set();
    checkInFlight(caller.quotas, "streams", own.size, 1, mostStreams);
    const { socket } = request.raw;
    const cut = () => socket.destroy();
    const left = caller.expiresAt === null ? null : Math.min(Math.max(0, caller.expiresAt - Date.now()), mostMilliseconds);
    const timer = left === null ? undefined : setTimeout(cut, left).unref();
    own.add(cut);
    open.set(caller.id, own);
    const answer = request.ws === true ? socket : reply.raw;
    answer.once("close", () => {
      clearTimeout(timer);
      own.delete(cut);
      if (own.size === 0) open.delete(caller.id);
    });
    done();
  });
};
