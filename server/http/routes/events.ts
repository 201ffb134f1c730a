import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { StoredEvent } from "../../domain/events.ts";
import { abortedBy } from "../departures.ts";
import { journalFormats } from "../journal-format.ts";
import { lastEventId } from "../last-event-id.ts";
import { acceptedFormat, sendPieces } from "../output-stream.ts";
import { EventLine, EventsQuery } from "../schemas/events.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const description = `What happened to sandboxes, their processes, roots and tokens, one record each, in order; \`daemon.recovered\`: what a start of the daemon
found and did. Events are kept for 30 days, and the last 100,000 of them.
With \`Accept: text/event-stream\`, events named by their type (or \`gap\`), whose ids are the numbers; \`Last-Event-ID\` is taken as \`after\`. A quiet stream carries
an empty line (NDJSON) or a comment (SSE) every 15 seconds. A slow reader slows nobody down. What comes after \`after\` and is kept no more is answered 410;
where that happens in the middle of a stream, its last record is \`{"gap": {"first": N}}\`.`;

const textOf = ({ id, type, time, subject, data }: StoredEvent): string =>
  JSON.stringify({ id, type, time: new Date(time).toISOString(), subject, data });
const { ndjson, serverSentEvents } = journalFormats(textOf, ({ type }) => type);

export const eventRoutes =
  ({ eventLog }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/v1/events",
      {
        schema: {
          tags: ["daemon"],
          operationId: "readEvents",
          summary: "Read or follow what happens",
          description,
          querystring: EventsQuery,
          response: {
            200: {
              description: "The events.",
              content: {
                "application/x-ndjson": { schema: EventLine },
                "text/event-stream": { schema: Type.String({ examples: ['id: 12\nevent: sandbox.running\ndata: {"id":12,...}\n\n'] }) },
              },
            } as never,
            ...problemResponses("invalid-request", "sandbox-not-found", "events-dropped"),
          },
        },
      },
      async (request, reply) => {
        const { after, tail, follow, sandbox, type, limit = Number.POSITIVE_INFINITY } = request.query;
        const format = acceptedFormat(request.headers.accept, [serverSentEvents], ndjson);
        const from = lastEventId(request.headers["last-event-id"]) ?? after;
        const pieces = eventLog.open(
          {
            view: request.caller.view,
            after: from === undefined ? undefined : Number(from),
            tail,
            follow,
            sandbox,
            types: type?.split(",") ?? [],
            limit,
          },
          abortedBy(reply),
        );
        return sendPieces(reply as never, pieces, format) as never;
      },
    );
  };
