import type { FastifyInstance } from "fastify";
import type { Lifetimes } from "../domain/lifetimes.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Only tells of the sandbox: whoever looks on does not use it. */
    looks?: boolean;
  }
}

/** Counts every request on a sandbox as its use, from its beginning to the end of its answer: a stream or terminal until it is closed. */
export const use = (app: FastifyInstance, lifetimes: Lifetimes): void => {
  app.addHook("preHandler", (request, reply, done) => {
    const { sandbox } = (request.params ?? {}) as { sandbox?: string };
    if (sandbox === undefined || request.routeOptions.config.looks === true) return done();
    const answer = request.ws === true ? request.raw.socket : reply.raw;
    const over = lifetimes.use(sandbox);
    if (answer.closed) over();
    else answer.once("close", over);
    done();
  });
};
