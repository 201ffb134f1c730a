import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { DomainError } from "../../domain/errors.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const tags = ["daemon"];
const config = { open: true };

export const healthRoutes =
  ({ info }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/healthz",
      {
        config,
        schema: {
          tags,
          security: [],
          operationId: "getHealth",
          summary: "The process answers",
          response: { 200: Type.Object({ status: Type.Literal("ok") }, { examples: [{ status: "ok" }] }), ...problemResponses() },
        },
      },
      async () => ({ status: "ok" as const }),
    );

    app.get(
      "/readyz",
      {
        config,
        schema: {
          tags,
          security: [],
          operationId: "getReadiness",
          summary: "Requests can be served",
          response: {
            200: Type.Object({ status: Type.Literal("ready") }, { examples: [{ status: "ready" }] }),
            ...problemResponses("shutting-down"),
          },
        },
      },
      async () => {
        const { ready, detail } = info.readiness();
        if (!ready) throw new DomainError("shutting-down", detail);
        return { status: "ready" as const };
      },
    );
  };
