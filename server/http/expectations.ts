import type { RequestListener, Server, ServerResponse } from "node:http";
import type { FastifyInstance } from "fastify";

/** Answers to those who wait to be told whether to send a body (RFC 9110, section 10.1.1). */
const awaited = new WeakSet<ServerResponse>();

/** Node would tell them to before anybody has looked at the request; its refusal of other expectations has no body. */
export const passOnExpectations = (server: Server, handler: RequestListener): void => {
  server.on("checkContinue", (request, response) => {
    awaited.add(response);
    handler(request, response);
  });
  // One that is not known may be passed over.
  server.on("checkExpectation", handler);
};

/** Has a body sent once its sender is let in. Who is refused is told that in its place, and Node closes the connection. */
export const continueWhenAdmitted = (app: FastifyInstance): void => {
  app.addHook("preParsing", (_request, { raw }, payload, done) => {
    if (awaited.delete(raw)) raw.writeContinue();
    done(null, payload);
  });
};
