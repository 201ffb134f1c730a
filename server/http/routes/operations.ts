import { PassThrough } from "node:stream";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { reaches } from "../../domain/callers.ts";
import { DomainError } from "../../domain/errors.ts";
import type { Operation } from "../../domain/operations.ts";
import { cursorOf, positionOf } from "../cursors.ts";
import { eventText } from "../output-stream.ts";
import { exampleOperation, OperationBody, operationBody, operationStates, Wait, waitMilliseconds } from "../schemas/operations.ts";
import { Nullable, OneOf, problemResponses, Reference } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const keepAliveMilliseconds = 15_000;
const tags = ["operations"];
const params = Type.Object({ operation: Reference });

/** Long jobs: list, look, wait, follow, cancel. */
export const operationRoutes =
  ({ operations, visibility }: Pick<Services, "operations" | "visibility">): FastifyPluginAsyncTypebox =>
  async (app) => {
    const query = Type.Object(
      {
        limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
        cursor: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9_-]{1,128}$" })),
        state: Type.Optional(OneOf(operationStates)),
        subject: Type.Optional(Reference),
      },
      { additionalProperties: false },
    );
    const list = Type.Object(
      { items: Type.Array(OperationBody), nextCursor: Nullable(Type.String()) },
      { examples: [{ items: [exampleOperation], nextCursor: null }] },
    );
    app.get(
      "/v1/operations",
      {
        schema: {
          tags,
          operationId: "listOperations",
          summary: "List operations",
          querystring: query,
          response: { 200: list, ...problemResponses("invalid-request") },
        },
      },
      async (request) => {
        const { limit, cursor, state, subject } = request.query;
        const after = positionOf(cursor);
        const found = operations.list({ after, limit: limit + 1, state: state ?? null, subject: subject ?? null });
        const page = found.slice(0, limit);
        const items = page.filter((each) => visibility.hasOperation(request.caller.view, each));
        const last = page.at(-1);
        return {
          items: items.map(operationBody),
          nextCursor: cursorOf(found.length > limit && last ? last.id : null),
        };
      },
    );

    const description = "With `Accept: text/event-stream`, each state is one event named `operation`, and the last is its end.";
    const one = {
      tags,
      params,
      operationId: "getOperation",
      summary: "Look at an operation, wait for its end, or follow it",
      description,
      querystring: Type.Object({ wait: Wait }, { additionalProperties: false }),
      response: { 200: OperationBody, ...problemResponses("invalid-request", "operation-not-found") },
    };
    app.get("/v1/operations/:operation", { schema: one }, async (request, reply) => {
      const id = request.params.operation;
      if (!/\btext\/event-stream\b/.test(request.headers.accept ?? ""))
        return operationBody(await operations.wait(id, waitMilliseconds(request.query.wait)));
      operations.get(id);
      const gone = new AbortController();
      reply.raw.once("close", () => gone.abort());
      return reply
        .type("text/event-stream")
        .header("cache-control", "no-store")
        .send(eventStream(operations.watch(id, gone.signal)) as never);
    });

    const cancel = {
      tags,
      params,
      operationId: "cancelOperation",
      summary: "Cancel an operation",
      description: [
        "Answers when nothing of it is left. One that has ended stays as it is. A restart is not started then, its stop goes on; a stop and a removal are",
        "not taken back (`state-conflict`).",
      ].join("\n"),
      response: { 200: OperationBody, ...problemResponses("invalid-request", "operation-not-found", "state-conflict") },
    };
    app.delete("/v1/operations/:operation", { schema: cancel }, async (request) => {
      const { operation } = request.params;
      const { kind } = operations.get(operation);
      if (kind.startsWith("root.") && !reaches(request.caller.scope, "admin"))
        throw new DomainError("forbidden", "cancelling what provisions a root needs the scope admin");
      return operationBody(await operations.cancel(operation));
    });
  };

/** The states as Server-Sent Events, with a comment now and then so that nobody takes a quiet stream for a dead one. */
const eventStream = (states: AsyncIterable<Operation>): PassThrough => {
  const stream = new PassThrough();
  const timer = setInterval(() => stream.write(":\n\n"), keepAliveMilliseconds);
  const pump = async () => {
    for await (const state of states) stream.write(eventText("operation", JSON.stringify(operationBody(state))));
    stream.end();
  };
  pump()
    .catch((error: Error) => stream.destroy(error))
    .finally(() => clearInterval(timer));
  return stream;
};
