import { Readable } from "node:stream";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { acceptedCoding, encoded } from "../content-codings.ts";
import { RunPath } from "../schemas/runs.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

/** The files of a run that its report has no room for. */
export const runArchiveRoutes =
  ({ runs }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/v1/runs/:run/archive",
      {
        schema: {
          tags: ["runs"],
          operationId: "readRunArchive",
          summary: "The files of a run that its report has no room for, as a tar archive",
          description: [
            "Those that its report shows as `archived`, under their paths without the first slash, links as the files that they lead to. Compressed by",
            "`Accept-Encoding`: zstd or gzip. It is held for 10 minutes, as the report's `archive` says, or until the run is deleted. An archive has at most",
            "256 MiB, all archives together 2 GiB; what finds no room in them is shown as `truncated`.",
          ].join("\n"),
          params: RunPath,
          response: {
            200: {
              description: "The archive.",
              content: { "application/x-tar": { schema: Type.String({ format: "binary", examples: ["bytes"] }) } },
            },
            ...problemResponses("invalid-request", "run-not-found", "run-archive-not-found", "run-archive-expired"),
          },
        },
      },
      async (request, reply) => {
        const coding = acceptedCoding(request.headers["accept-encoding"]);
        const { bytes, stream } = await runs.archive(request.params.run);
        void reply.type("application/x-tar").headers({ vary: "accept-encoding", "x-content-type-options": "nosniff" });
        if (coding === null) void reply.header("content-length", bytes);
        else void reply.header("content-encoding", coding);
        if (request.method !== "HEAD") return reply.send((coding === null ? stream : encoded(stream, coding)) as never);
        stream.destroy();
        return reply.send(Readable.from([]) as never);
      },
    );
  };
