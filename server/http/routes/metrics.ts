import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

export const metricsRoutes =
  ({ measurements }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/metrics",
      {
        schema: {
          tags: ["daemon"],
          operationId: "getMetrics",
          summary: "The daemon's numbers in the text format of Prometheus",
          response: {
            200: {
              description: "One sample a line",
              content: { "text/plain": { schema: Type.String({ examples: ['unshared_sandboxes{state="running"} 3\n'] }) } },
            },
            ...problemResponses(),
          },
        },
      },
      async (_request, reply) => {
        const { contentType, body } = await measurements.text();
        return reply.type(contentType).send(body);
      },
    );
  };
