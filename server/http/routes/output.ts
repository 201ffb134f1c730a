import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { OutputStream } from "../../domain/process.ts";
import { abortedBy } from "../departures.ts";
import { lastEventId } from "../last-event-id.ts";
import { acceptedFormat, ndjson, rawBytes, sendPieces, serverSentEvents } from "../output-stream.ts";
import { InputReply, OutputLine, ProcessPath } from "../schemas/processes.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";
import { streamedBodies } from "../streamed-bodies.ts";

const tags = ["processes"];

const description = `One record for each read from the process's pipe or terminal, at most 65,536 bytes, numbered from 1. The bytes of a record are text where
they are UTF-8, else base64; a character may be split between two records. The last record is the exit: without \`follow\` it is there only if the process has ended.
With \`Accept: text/event-stream\`, events named \`output\`, \`exit\` and \`gap\`, whose ids are the numbers; \`Last-Event-ID\` is taken as \`after\`, and who has the
exit gets 204. With \`Accept: application/octet-stream\`, the bytes alone: no numbers, no exit, and a gap breaks the connection off. A quiet stream carries an empty line (NDJSON) or a comment (SSE) every 15 seconds.
The supervisor keeps the last \`outputBytes\`; a slow reader slows nobody down. What is asked for and held no more is answered 410; where that happens in the
middle of a stream, its last record is \`{"gap": {"first": N}}\`.`;

const Query = Type.Object(
  {
    after: Type.Optional(
      Type.String({
        pattern: "^([0-9]{1,15}|held)$",
        description: "The last record already seen, 0 by default; `held`: from the first that is held.",
      }),
    ),
    follow: Type.Boolean({ default: false, description: "Go on until the process ends." }),
    stream: Type.Optional(
      Type.String({ pattern: "^(stdout|stderr)(,(stdout|stderr))?$", description: "One of both, or both by default." }),
    ),
  },
  { additionalProperties: false },
);

/** What processes write, and what they are given to read. */
export const outputRoutes =
  ({ processes }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/v1/sandboxes/:sandbox/processes/:process/output",
      {
        schema: {
          tags,
          operationId: "readOutput",
          summary: "Read or follow the output of a process",
          description,
          params: ProcessPath,
          querystring: Query,
          response: {
            200: {
              description: "The records.",
              content: {
                "application/x-ndjson": { schema: OutputLine },
                "application/octet-stream": { schema: Type.String({ format: "binary", examples: ["hello\n"] }) },
                "text/event-stream": { schema: Type.String({ examples: ['id: 7\nevent: output\ndata: {"seq":7,...}\n\n'] }) },
              },
            } as never,
            204: Type.Null({ description: "With SSE: the exit was already seen.", examples: [null] }),
            ...problemResponses("invalid-request", "sandbox-not-found", "process-not-found", "output-dropped", "launcher-unavailable"),
          },
        },
      },
      async (request, reply) => {
        const { sandbox, process } = request.params;
        const { after: asked = "0", follow, stream = "stdout,stderr" } = request.query;
        const format = acceptedFormat(request.headers.accept, [serverSentEvents, rawBytes], ndjson);
        const from = lastEventId(request.headers["last-event-id"]) ?? asked;
        const after = from === "held" ? ("held" as const) : Number(from);
        if (format === serverSentEvents && after !== "held" && after > 0 && (await processes.outputs.isOver(sandbox, process, after)))
          return reply.code(204).send(undefined as never);
        const options = { after, follow, streams: stream.split(",") as OutputStream[] };
        const pieces = await processes.outputs.open(sandbox, process, options, abortedBy(reply));
        return sendPieces(reply as never, pieces, format, (piece) => piece.kind === "records" && piece.release()) as never;
      },
    );

    await app.register(async (raw) => {
      // Whatever the type of the body: its bytes are for the process, and are not looked at.
      streamedBodies(raw);
      raw.post(
        "/v1/sandboxes/:sandbox/processes/:process/stdin",
        {
          config: { unrepeatable: "a body that is passed on as it comes cannot be repeated; send it without Idempotency-Key" },
          schema: {
            tags,
            operationId: "writeInput",
            summary: "Write the body to the stdin of a process, as fast as the process takes it",
            description:
              "A body of any type and length, which may be sent bit by bit. It is written as it comes, and what was written stays written when the request breaks off; so Idempotency-Key is refused.",
            params: ProcessPath,
            querystring: Type.Object(
              { close: Type.Boolean({ default: false, description: "Close stdin after the body." }) },
              { additionalProperties: false },
            ),
            response: {
              200: InputReply,
              ...problemResponses(
                "invalid-request",
                "unsupported",
                "sandbox-not-found",
                "process-not-found",
                "state-conflict",
                "stdin-closed",
                "launcher-unavailable",
              ),
            },
          },
        },
        async (request) => {
          const { sandbox, process } = request.params as { sandbox: string; process: string };
          const { close } = request.query as { close: boolean };
          // It may pause as long as it likes. Leaving it early leaves the connection as it is, for the answer.
          const body = request.raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
          return { bytesWritten: await processes.write(sandbox, process, body, close), closed: close };
        },
      );
    });
  };
