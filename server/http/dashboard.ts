/** The dashboard: the files that the build of web/ makes. It holds no secret: the person brings the token. */
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join, relative } from "node:path";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { DomainError } from "../domain/errors.ts";

const folder = join(import.meta.dirname, "../../web/dist");

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Nothing but its own files, no frame around it, no form to anywhere (https://www.w3.org/TR/CSP3/). Images may be made by the page itself. */
const contentPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const headers = {
  "content-security-policy": contentPolicy,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  vary: "accept-encoding",
};

const takesGzip = (request: FastifyRequest): boolean =>
  /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(String(request.headers["accept-encoding"] ?? ""));

/** Names below the folder, as they are in an address. */
const filesOf = (): Set<string> =>
  new Set(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name))),
  );

/** Serves it at `/`, without a token; where it was not built, nothing is there. */
export const dashboard = (app: FastifyInstance): void => {
  if (!existsSync(folder)) return;
  const files = filesOf();

  const send = async (name: string, request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    if (!files.has(name)) throw new DomainError("not-found", "the dashboard has no such file");
    const isGzip = takesGzip(request) && files.has(`${name}.gz`);
    // The names in assets/ hold a digest of what is in them.
    const cache = name.startsWith("assets/") ? "public, max-age=31536000, immutable" : "no-cache";
    void reply.headers({ ...headers, "cache-control": cache, ...(isGzip ? { "content-encoding": "gzip" } : {}) });
    return reply.type(types[extname(name)] ?? "application/octet-stream").send(await readFile(join(folder, isGzip ? `${name}.gz` : name)));
  };

  const options = { config: { open: true }, schema: { hide: true } };
  app.get("/", options, (request, reply) => send("index.html", request, reply));
  app.get("/favicon.svg", options, (request, reply) => send("favicon.svg", request, reply));
  app.get("/assets/*", options, (request, reply) => send(`assets/${(request.params as { "*": string })["*"]}`, request, reply));
};
