import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import type { FastifyInstance } from "fastify";
import { DomainError } from "../domain/errors.ts";
import { guideRoutes } from "./guide/routes.ts";
import { problemKinds } from "./problems.ts";

const project = resolve(import.meta.dirname, "../..");
export const version = (JSON.parse(readFileSync(`${project}/package.json`, "utf8")) as { version: string }).version;

const description = `Manages sandboxes: processes in Linux namespaces of their own, with a root of their own.
The [guides](/docs/guide) begin with the quick start. Every failure is a problem document (RFC 9457); \`GET /problems/{code}\` explains its code.
\`Idempotency-Key\` is honoured on every POST.`;

/** All that the page of the contract loads is this daemon's; the pictures of its buttons are within its style. */
const pagePolicy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

declare module "fastify" {
  interface FastifyContextConfig {
    /** The documented problems of a route. They are kept from fastify, which would compile a serializer for each, and none is used. */
    problems?: Record<string, unknown>;
    /** Media types of a body that is taken as a stream, which fastify neither parses nor validates. */
    streams?: readonly string[];
  }
}

interface QuerySchema {
  properties: Record<string, { default?: unknown }>;
  required?: string[];
}

/** What the routes read always has its default, and callers need not send it: the contract is the callers'. */
const withoutRequiredDefaults = (query: QuerySchema): QuerySchema => ({
  ...query,
  required: (query.required ?? []).filter((name) => query.properties[name]?.default === undefined),
});

const isProblem = ([status]: [string, unknown]): boolean => Number(status) >= 400;

const setProblemsAside = (app: FastifyInstance): void => {
  app.addHook("onRoute", (route) => {
    const responses = Object.entries((route.schema?.response ?? {}) as Record<string, unknown>);
    if (!responses.some(isProblem)) return;
    route.config = { ...route.config, problems: Object.fromEntries(responses.filter(isProblem)) };
    route.schema = { ...route.schema, response: Object.fromEntries(responses.filter((each) => !isProblem(each))) };
  });
};

/** The contract as OpenAPI 3.1 from the routes' schemas at /openapi.json, its page at /docs, the guides, and the page of each problem. */
export const documentation = async (app: FastifyInstance): Promise<void> => {
  setProblemsAside(app);
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "unshared", version, description, license: { name: "MIT", identifier: "MIT" } },
      tags: [
        { name: "sandboxes", description: "Definitions, and the instances that run" },
        { name: "processes", description: "Commands in sandboxes, their input and output" },
        { name: "files", description: "Files of sandboxes, running or not: by the native side, inside, never by a path of the host" },
        { name: "roots", description: "Root filesystems" },
        { name: "operations", description: "Long jobs" },
        { name: "namespaces", description: "From inodes and pids back to sandboxes" },
        { name: "daemon", description: "The daemon and its host" },
      ],
      components: {
        securitySchemes: {
          token: {
            type: "http",
            scheme: "bearer",
            description: "On TCP. Over the unix socket no token is needed, and the scope is admin.",
          },
        },
      },
      security: [{ token: [] }],
    },
    transform: ({ schema, url, route }) => ({
      schema: {
        ...schema,
        ...(schema?.querystring !== undefined && { querystring: withoutRequiredDefaults(schema.querystring as QuerySchema) }),
        ...(route.config?.streams && { consumes: [...route.config.streams], body: { type: "string", format: "binary" } }),
        response: { ...(schema?.response as object | undefined), ...route.config?.problems },
      },
      url,
    }),
    refResolver: {
      buildLocalReference: (json, _base, _fragment, index) => (typeof json["$id"] === "string" ? json["$id"] : `def-${index}`),
    },
  });
  const open = { config: { open: true } };
  app.addHook("onRoute", (route) => {
    if (route.url.startsWith("/docs")) route.config = { ...route.config, ...open.config };
  });
  await app.register(swaggerUi, {
    routePrefix: "/docs",
    theme: { title: "unshared API" },
    // Without the bar of the usual layout, which loads contracts of others.
    uiConfig: { docExpansion: "list", deepLinking: true, layout: "BaseLayout" },
    staticCSP: pagePolicy,
  });
  guideRoutes(app);

  // Made once: it takes milliseconds, and whoever reaches a door may ask for it.
  let contract: Buffer | null = null;
  app.get("/openapi.json", { ...open, schema: { hide: true } }, async (_request, reply) => {
    contract ??= Buffer.from(JSON.stringify(app.swagger()));
    return reply.type("application/json; charset=utf-8").send(contract);
  });
  app.get("/problems/:code", { ...open, schema: { hide: true } }, async (request, reply) => {
    const { code } = request.params as { code: string };
    if (!Object.hasOwn(problemKinds, code)) throw new DomainError("not-found", "no problem has this code");
    return reply.type("text/markdown; charset=utf-8").send(problemText(code));
  });
};

/** The section of openapi/problems.md on this code. */
const problemText = (code: string): string => {
  const text = readFileSync(`${project}/openapi/problems.md`, "utf8");
  const section = text.split(/^(?=## )/m).find((part) => part.startsWith(`## ${code}\n`));
  return section ?? `## ${code}\n`;
};
