import type { FastifyInstance } from "fastify";
import type { Visibility } from "../domain/visibility.ts";

/** Before any route does its work: a sandbox, run or operation in the path that its caller does not see is not there. */
export const ownership = (app: FastifyInstance, visibility: Visibility): void => {
  app.addHook("preHandler", (request, _reply, done) => {
    const { caller, params } = request;
    // Routes that are open to all have no caller, and name nothing.
    const view = caller?.view ?? null;
    if (view === null) return done();
    const named = params as { sandbox?: string; run?: string; operation?: string };
    if (named.sandbox !== undefined) named.sandbox = visibility.sandbox(view, named.sandbox);
    if (named.run !== undefined) visibility.run(view, named.run);
    if (named.operation !== undefined) visibility.operation(view, named.operation);
    done();
  });
};
