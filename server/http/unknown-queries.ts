import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { problemResponses } from "./schemas/shared.ts";

const nothing = Type.Object({}, { additionalProperties: false });

/** Routes that say nothing of a query take none: a parameter that would do nothing is refused, never ignored. */
export const refuseUnknownQueries = (app: FastifyInstance): void => {
  app.addHook("onRoute", (route) => {
    if (!route.url.startsWith("/v1/") || route.schema?.querystring !== undefined) return;
    const response = { ...problemResponses("invalid-request"), ...(route.schema?.response as object | undefined) };
    route.schema = { ...route.schema, querystring: nothing, response };
  });
};
