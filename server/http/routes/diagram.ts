import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { FastifyReply } from "fastify";
import type { Diagram } from "../../domain/diagram.ts";
import { mermaidOf } from "../diagram/mermaid.ts";
import { svgOf } from "../diagram/svg.ts";
import { DiagramQuery, drawn } from "../schemas/diagrams.ts";
import { SandboxPath } from "../schemas/sandboxes.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const tags = ["namespaces"];
/** The texts in it are escaped; were one not, a browser that shows the image alone would still run nothing. */
const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

const answer = (reply: FastifyReply, diagram: Diagram, format: "svg" | "mermaid" | "json") => {
  void reply.headers({ "cache-control": "no-store", "x-content-type-options": "nosniff" });
  if (format === "json") return reply.send(diagram as never);
  if (format === "mermaid") return reply.type("text/plain; charset=utf-8").send(mermaidOf(diagram) as never);
  return reply
    .type("image/svg+xml; charset=utf-8")
    .header("content-security-policy", contentPolicy)
    .send(svgOf(diagram) as never);
};

export const diagramRoutes =
  ({ diagrams }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/v1/diagram",
      {
        schema: {
          tags,
          operationId: "getDiagram",
          summary: "The host, its namespaces and all that runs, drawn from the live system",
          description: "Each namespace is there once, by its inode: those that are shared connect.",
          querystring: DiagramQuery,
          response: { 200: drawn, ...problemResponses("invalid-request") },
        },
      },
      async (request, reply) => answer(reply, await diagrams.ofHost(request.caller.view), request.query.format),
    );

    app.get(
      "/v1/sandboxes/:sandbox/diagram",
      {
        config: { looks: true },
        schema: {
          tags,
          operationId: "getSandboxDiagram",
          summary: "One sandbox, its root, processes and namespaces beside the host's",
          params: SandboxPath,
          querystring: DiagramQuery,
          response: { 200: drawn, ...problemResponses("invalid-request", "sandbox-not-found") },
        },
      },
      async (request, reply) => answer(reply, await diagrams.ofSandbox(request.params.sandbox), request.query.format),
    );
  };
