import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { AuditEntry } from "../../domain/audit.ts";
import { abortedBy } from "../departures.ts";
import { journalFormats } from "../journal-format.ts";
import { lastEventId } from "../last-event-id.ts";
import { acceptedFormat, sendPieces } from "../output-stream.ts";
import { AuditLine, AuditQuery, exampleCall } from "../schemas/audit.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const description = `Who asked for what and what came of it, one record for each call that may have changed something, in the order of the answers: every method but GET and HEAD,
and terminals. Refusals are told, too, but for those of callers who could not say who they are. Bodies and queries are not kept. Kept for 90 days, and the last 100,000;
a daemon that is killed may lose those that it has just answered. Read, followed and resumed as events are.`;

const textOf = ({ id, time, ...rest }: AuditEntry): string => JSON.stringify({ id, time: new Date(time).toISOString(), ...rest });
const { ndjson, serverSentEvents } = journalFormats<AuditEntry>(textOf, () => "call");

export const auditRoutes =
  ({ audit }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/v1/audit",
      {
        schema: {
          tags: ["daemon"],
          operationId: "readAudit",
          summary: "Read or follow who asked for what",
          description,
          querystring: AuditQuery,
          response: {
            200: {
              description: "The calls.",
              content: {
                "application/x-ndjson": { schema: AuditLine },
                "text/event-stream": {
                  schema: Type.String({ examples: [`id: 7\nevent: call\ndata: ${JSON.stringify(exampleCall)}\n\n`] }),
                },
              },
            } as never,
            ...problemResponses("invalid-request", "forbidden", "sandbox-not-found", "audit-dropped"),
          },
        },
      },
      async (request, reply) => {
        const { after, tail, follow, sandbox, limit = Number.POSITIVE_INFINITY } = request.query;
        const format = acceptedFormat(request.headers.accept, [serverSentEvents], ndjson);
        const from = lastEventId(request.headers["last-event-id"]) ?? after;
        const pieces = audit.open({ after: from === undefined ? undefined : Number(from), tail, follow, sandbox, limit }, abortedBy(reply));
        return sendPieces(reply as never, pieces, format) as never;
      },
    );
  };
