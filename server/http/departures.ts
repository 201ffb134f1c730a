import type { FastifyReply } from "fastify";

/** Aborts when the connection of the request is closed before it was answered in full. */
export const abortedBy = (reply: FastifyReply): AbortSignal => {
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort());
  return gone.signal;
};
