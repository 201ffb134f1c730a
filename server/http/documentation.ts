import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import type { FastifyInstance } from "fastify";
import { DomainError } from "../domain/errors.ts";
import { problemKinds } from "./problems.ts";

const project = resolve(import.meta.dirname, "../..");
export const version = (JSON.parse(readFileSync(`${project}/package.json`, "utf8")) as { version: string }).version;

const description = `Manages sandboxes: processes in Linux namespaces of their own, with a root of their own.
Every failure is a problem document (RFC 9457); \`GET /problems/{code}\` explains its code.
\`Idempotency-Key\` is honoured on every POST.`;

/** The contract as OpenAPI 3.1 from the routes' schemas at /openapi.json, its page at /docs, and the page of each problem. */
export const documentation = async (app: FastifyInstance): Promise<void> => {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "unshared", version, description, license: { name: "MIT", identifier: "MIT" } },
      tags: [
        { name: "sandboxes", description: "Definitions, and the instances that run" },
        { name: "roots", description: "Root filesystems" },
        { name: "operations", description: "Long jobs" },
        { name: "namespaces", description: "From inodes and pids back to sandboxes" },
        { name: "daemon", description: "The daemon and its host" },
      ],
      components: {
        securitySchemes: { token: { type: "http", scheme: "bearer", description: "On TCP. Over the unix socket no token is needed." } },
      },
      security: [{ token: [] }],
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, index) => (typeof json["$id"] === "string" ? json["$id"] : `def-${index}`),
    },
  });
  const open = { config: { open: true } };
  app.addHook("onRoute", (route) => {
    if (route.url.startsWith("/docs")) route.config = { ...route.config, ...open.config };
  });
  await app.register(swaggerUi, { routePrefix: "/docs", uiConfig: { docExpansion: "list", deepLinking: true } });

  app.get("/openapi.json", { ...open, schema: { hide: true } }, async () => app.swagger());
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
