import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { EventPiece, StoredEvent } from "../../domain/events.ts";
import { abortedBy } from "../departures.ts";
import { lastEventId } from "../last-event-id.ts";
import { acceptedFormat, eventText, type OutputFormat, sendPieces } from "../output-stream.ts";
import { EventLine, EventsQuery } from "../schemas/events.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const description = `What happened to sandboxes, their processes and roots, one record each, in order. Events are kept for 30 days, and the last 100,000 of them.
With \`Accept: text/event-stream\`, events named by their type (or \`gap\`), whose ids are the numbers; \`Last-Event-ID\` is taken as \`after\`. A quiet stream carries
an empty line (NDJSON) or a comment (SSE) every 15 seconds. A slow reader slows nobody down. What comes after \`after\` and is kept no more is answered 410;
where that happens in the middle of a stream, its last record is \`{"gap": {"first": N}}\`.`;

const textOf = ({ id, type, time, subject, data }: StoredEvent): string =>
  JSON.stringify({ id, type, time: new Date(time).toISOString(), subject, data });
const gapText = (first: number): string => JSON.stringify({ gap: { first } });

const ndjson: OutputFormat<EventPiece> = {
  mediaType: "application/x-ndjson",
  keepAlive: "\n",
  bodyOf: (piece) => (piece.kind === "gap" ? `${gapText(piece.first)}\n` : piece.events.map((event) => `${textOf(event)}\n`).join("")),
};

const serverSentEvents: OutputFormat<EventPiece> = {
  mediaType: "text/event-stream",
  keepAlive: ":\n\n",
  bodyOf: (piece) =>
    piece.kind === "gap"
      ? eventText("gap", gapText(piece.first))
      : piece.events.map((event) => eventText(event.type, textOf(event), event.id)).join(""),
};

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
        const { after, follow, sandbox, type, limit = Number.POSITIVE_INFINITY } = request.query;
        const format = acceptedFormat(request.headers.accept, [serverSentEvents], ndjson);
        const from = lastEventId(request.headers["last-event-id"]) ?? after;
        const pieces = eventLog.open(
          { after: from === undefined ? undefined : Number(from), follow, sandbox, types: type?.split(",") ?? [], limit },
          abortedBy(reply),
        );
        return sendPieces(reply as never, pieces, format) as never;
      },
    );
  };
