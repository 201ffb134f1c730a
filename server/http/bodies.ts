import type { FastifyInstance } from "fastify";

/** Bodies of requests: bytes. */
export const bodyLimit = 1_048_576;

/** JSON only, with the keys that could reach a prototype refused; a POST with an empty body means the defaults. */
export const bodies = (app: FastifyInstance): void => {
  const parse = app.getDefaultJsonParser("error", "error");
  app.removeContentTypeParser("text/plain");
  app.addContentTypeParser("application/json", { parseAs: "string" }, (request, body, done) => {
    if (body === "") done(null, undefined);
    else parse(request, body as string, done);
  });
  app.addHook("preValidation", (request, _reply, done) => {
    if (request.method === "POST" && request.body === undefined) request.body = {};
    done();
  });
};
