import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { Stats } from "../../domain/stats.ts";
import { eventText } from "../output-stream.ts";
import { SandboxPath } from "../schemas/sandboxes.ts";
import { problemResponses } from "../schemas/shared.ts";
import { SandboxUsage, StatsQuery } from "../schemas/stats.ts";
import type { Services } from "../services.ts";

const periodMilliseconds = 1_000;

const wireOf = ({ time, ...rest }: Stats) => ({ ...rest, time: new Date(time).toISOString() });

export const statsRoutes =
  ({ stats, info }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    /** One event a period, until it runs no more or the daemon ends. A client that does not read is not asked about: nothing piles up. */
    async function* eventsOf(first: Stats): AsyncGenerator<string> {
      let found = first;
      while (found.usage !== null && info.readiness().ready) {
        yield eventText("stats", JSON.stringify(wireOf(found)));
        await sleep(periodMilliseconds, null, { ref: false });
        try {
          found = await stats.of(found.id);
        } catch {
          break;
        }
      }
      yield eventText("end", "{}");
    }

    app.get(
      "/v1/sandboxes/:sandbox/stats",
      {
        config: { looks: true },
        schema: {
          tags: ["sandboxes"],
          operationId: "getSandboxStats",
          summary: "What a sandbox uses: CPU, memory, processes, network, pressure",
          description: [
            "Read from the kernel at each call. With `stream=true` Server-Sent Events: `stats` with the same object as data, once a second; `end` when",
            "the sandbox runs no more.",
          ].join("\n"),
          params: SandboxPath,
          querystring: StatsQuery,
          response: { 200: SandboxUsage, ...problemResponses("invalid-request", "sandbox-not-found") },
        },
      },
      async (request, reply) => {
        const found = await stats.of(request.params.sandbox);
        if (!request.query.stream) return wireOf(found) as never;
        void reply.type("text/event-stream").headers({ "cache-control": "no-store", "x-accel-buffering": "no" });
        const events = request.method === "HEAD" ? [] : eventsOf(found);
        return reply.send(Readable.from(events, { objectMode: false, highWaterMark: 1 }) as never);
      },
    );
  };
