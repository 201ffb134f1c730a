import { isUtf8 } from "node:buffer";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { DomainError } from "../domain/errors.ts";
import { checkJsonMarks, checkJsonText } from "./json-text.ts";

/** The most that the body of a request may have: bytes. */
export const bodyLimit = 1_048_576;
/** The same where a body carries files: runs. */
export const filesBodyLimit = 16_777_216;

/** The body as text. JSON between systems is UTF-8 (RFC 8259, section 8.1). @throws DomainError */
const textOf = (request: FastifyRequest, body: Buffer): string => {
  const charset = /;\s*charset\s*=\s*"?([^\s;"]*)/i.exec(request.headers["content-type"] ?? "")?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset))
    throw new DomainError("unsupported-media-type", "JSON is UTF-8; another charset is not taken");
  if (!isUtf8(body)) throw new DomainError("invalid-request", "the body is not UTF-8");
  return body.toString("utf8");
};

/** JSON only, with the keys that could reach a prototype refused; a POST with an empty body means the defaults. */
export const bodies = (app: FastifyInstance): void => {
  const parse = app.getDefaultJsonParser("error", "error");
  app.removeContentTypeParser("text/plain");
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, async (request: FastifyRequest, body: Buffer) => {
    const text = textOf(request, body);
    if (text === "") return undefined;
    if (text.length > bodyLimit) checkJsonMarks(text);
    const value = await new Promise((done, failed) => parse(request, text, (error, parsed) => (error ? failed(error) : done(parsed))));
    checkJsonText(text);
    return value;
  });
  app.addHook("preValidation", (request, _reply, done) => {
    if (request.method === "POST" && request.body === undefined) request.body = {};
    done();
  });
};
