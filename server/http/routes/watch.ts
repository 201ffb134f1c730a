import { Readable } from "node:stream";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { Change } from "../../domain/file-ports.ts";
import { agentFor, fileCodes, textAndBytes } from "../file-replies.ts";
import { eventText } from "../output-stream.ts";
import { queryPath } from "../raw-paths.ts";
import * as schemas from "../schemas/files.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

/** How often an idle stream shows that it lives: milliseconds. */
const aliveMilliseconds = 15_000;

const eventOf = ({ path, kind }: Change): string => eventText(kind, JSON.stringify(textAndBytes("path", path)));

/**
 * Server-Sent Events (https://html.spec.whatwg.org/multipage/server-sent-events.html). Changes are taken from the agent as fast as the
 * client reads; one that does not read holds the kernel's bounded queue, whose overflow is an event.
 */
async function* eventsOf(changes: AsyncIterable<Change>): AsyncGenerator<string> {
  yield ": watching\n\n";
  const iterator = changes[Symbol.asyncIterator]();
  let next = iterator.next();
  for (;;) {
    let timer: NodeJS.Timeout | undefined;
    const idle = new Promise<"idle">((resolve) => {
      timer = setTimeout(resolve, aliveMilliseconds, "idle");
    });
    let result: Awaited<typeof next> | "idle";
    try {
      result = await Promise.race([next, idle]);
    } catch {
      // The agent ends with the sandbox, or when its hold is needed for a start.
      yield eventText("end", "{}");
      return;
    } finally {
      clearTimeout(timer);
    }
    if (result === "idle") yield ": alive\n\n";
    else if (result.done === true) return;
    else {
      yield eventOf(result.value);
      next = iterator.next();
    }
  }
}

export const watchRoutes =
  ({ files }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/v1/sandboxes/:sandbox/watch",
      {
        schema: {
          tags: ["files"],
          operationId: "watchFiles",
          summary: "Changes below a directory as they happen, as Server-Sent Events",
          description: [
            "The events are `created`, `deleted`, `modified` (closed after writing), `attributes`, `moved-from`, `moved-to`, with the path as data; `overflow`",
            "says that changes were missed: list anew. With `recursive=true` directories below are watched too, up to 4,096. The stream ends with the",
            "event `end` when the sandbox ends, or when a stopped one is started.",
          ].join("\n"),
          params: schemas.FilesPath,
          querystring: schemas.WatchQuery,
          response: {
            200: {
              description: "The events.",
              content: { "text/event-stream": { schema: Type.String({ examples: ['event: created\ndata: {"path":"/job/out"}\n\n'] }) } },
            },
            ...problemResponses(...fileCodes),
          },
        },
      },
      async (request, reply) => {
        const path = queryPath(request.url);
        const agent = await agentFor(files, request.params.sandbox, reply);
        const changes = await agent.watch(path, request.query.recursive);
        void reply.type("text/event-stream").headers({ "cache-control": "no-store", "x-accel-buffering": "no" });
        if (request.method === "HEAD") return reply.send(Readable.from([]) as never);
        // Few events wait here; the bounded queue is the kernel's.
        return reply.send(Readable.from(eventsOf(changes), { objectMode: false, highWaterMark: 4_096 }) as never);
      },
    );
  };
