import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { LogPosition, LogRecord } from "../../domain/log-ports.ts";
import { type LogPiece, positionText } from "../../domain/logs.ts";
import type { OutputStream } from "../../domain/process.ts";
import type { BodyWriter } from "../body-writer.ts";
import { abortedBy } from "../departures.ts";
import { lastEventId } from "../last-event-id.ts";
import { acceptedFormat, eventEnd, eventHead, eventText, type OutputFormat, sendPieces } from "../output-stream.ts";
import { LogLine, LogsQuery, positionPattern } from "../schemas/logs.ts";
import { SandboxPath } from "../schemas/sandboxes.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const description = `What the processes of the sandbox wrote and how they ended, of all its runs, in the order in which it happened: kept on disk up to \`limits.outputBytes\` of the
sandbox (the oldest goes first) until it is deleted. One record for each read from a pipe or terminal, at most 65,536 bytes; \`seq\` is its number in the output of its process.
With \`Accept: text/event-stream\`, events named \`output\`, \`exit\` and \`gap\`; \`Last-Event-ID\` is taken as \`after\`, and who has all of a sandbox that runs no more gets 204. With
\`Accept: application/octet-stream\`, the bytes alone; a gap then breaks the connection off. A quiet stream carries an empty line (NDJSON) or a comment (SSE) every 15 seconds. A slow
reader slows nobody down: what comes after \`after\` and is kept no more is answered 410; where that happens in the middle of a stream, its last record is \`{"gap": {"first": ID}}\`.`;

const writeRecord = (record: LogRecord, body: BodyWriter): BodyWriter => {
  const { process, seq, time, next } = record;
  body.text(
    `{"id":"${positionText(next)}","process":${JSON.stringify(process)},"seq":${seq},"time":"${new Date(time / 1000).toISOString()}",`,
  );
  if (record.kind === "output") return body.text(`"stream":"${record.stream}",`).data(record.bytes).text("}");
  const { reason, code, signal } = record;
  return body.text(`"exit":${JSON.stringify({ reason, code, signal })}}`);
};
const gapText = (first: LogPosition): string => JSON.stringify({ gap: { first: positionText(first) } });

const ndjson: OutputFormat<LogPiece> = {
  mediaType: "application/x-ndjson",
  keepAlive: "\n",
  write: (piece, body) => {
    if (piece.kind === "gap") body.text(`${gapText(piece.first)}\n`);
    else for (const record of piece.records) writeRecord(record, body).text("\n");
  },
};

const serverSentEvents: OutputFormat<LogPiece> = {
  mediaType: "text/event-stream",
  keepAlive: ":\n\n",
  write: (piece, body) => {
    if (piece.kind === "gap") body.text(eventText("gap", gapText(piece.first)));
    else
      for (const record of piece.records) writeRecord(record, body.text(eventHead(record.kind, positionText(record.next)))).text(eventEnd);
  },
};

const rawBytes: OutputFormat<LogPiece> = {
  mediaType: "application/octet-stream",
  keepAlive: "",
  write: (piece, body) => {
    if (piece.kind === "gap") throw new Error("output was dropped before it could be sent");
    for (const record of piece.records) if (record.kind === "output") body.bytes(record.bytes);
  },
};

const positionOf = (text: string): LogPosition => {
  const [segment = 0, offset = 0] = text.split("-").map(Number);
  return { segment, offset };
};

export const logRoutes =
  ({ logs }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/v1/sandboxes/:sandbox/logs",
      {
        schema: {
          tags: ["processes"],
          operationId: "readLogs",
          summary: "Read or follow what all processes of a sandbox wrote",
          description,
          params: SandboxPath,
          querystring: LogsQuery,
          response: {
            200: {
              description: "The records.",
              content: {
                "application/x-ndjson": { schema: LogLine },
                "application/octet-stream": { schema: Type.String({ format: "binary", examples: ["hello\n"] }) },
                "text/event-stream": { schema: Type.String({ examples: ['id: 1-35\nevent: output\ndata: {"id":"1-35",...}\n\n'] }) },
              },
            } as never,
            204: Type.Null({ description: "With SSE: everything was already seen, and the sandbox runs no more.", examples: [null] }),
            ...problemResponses("invalid-request", "sandbox-not-found", "logs-dropped"),
          },
        },
      },
      async (request, reply) => {
        const { after: asked, tail = null, since, process = null, stream = "stdout,stderr", follow } = request.query;
        const format = acceptedFormat(request.headers.accept, [serverSentEvents, rawBytes], ndjson);
        const from = lastEventId(request.headers["last-event-id"], positionPattern) ?? asked;
        const after = from === undefined ? null : positionOf(from);
        if (format === serverSentEvents && after !== null && (await logs.isOver(request.params.sandbox, after)))
          return reply.code(204).send(undefined as never);
        const query = {
          after,
          tail,
          since: since === undefined ? null : Date.parse(since),
          process,
          streams: stream.split(",") as OutputStream[],
          follow,
        };
        const pieces = await logs.open(request.params.sandbox, query, abortedBy(reply));
        return sendPieces(reply as never, pieces, format) as never;
      },
    );
  };
