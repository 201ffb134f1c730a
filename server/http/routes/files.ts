import { Readable } from "node:stream";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";
import { DomainError } from "../../domain/errors.ts";
import type { Entry, FileAgent } from "../../domain/file-ports.ts";
import { agentFor, describe, entryBody, etagOf, fileCodes, isNamed, modifiedAt, rangeOf, textAndBytes } from "../file-replies.ts";
import { cursorName, nameCursor, queryPath } from "../raw-paths.ts";
import * as schemas from "../schemas/files.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const tags = ["files"];

const list = async (agent: FileAgent, path: Buffer, after: Buffer | null, limit: number) => {
  const { entries, more } = await agent.list(path, after, limit);
  const last = entries.at(-1);
  return { ...textAndBytes("path", path), entries: entries.map(entryBody), nextCursor: more && last ? nameCursor(last.name) : null };
};

/** A whole file or one range of it, from the agent as fast as the client takes it. */
const read = async (request: FastifyRequest, reply: FastifyReply, agent: FileAgent, path: Buffer, seen: Entry): Promise<FastifyReply> => {
  const range = rangeOf(request, seen);
  void reply.headers({ etag: etagOf(seen), "accept-ranges": "bytes", "last-modified": modifiedAt(seen).toUTCString() });
  if (isNamed(request.headers["if-none-match"], etagOf(seen))) return reply.code(304).send();
  if (range === "outside") {
    void reply.header("content-range", `bytes */${seen.sizeBytes}`).removeHeader("etag");
    throw new DomainError("range-not-satisfiable", `the file has ${seen.sizeBytes} bytes`);
  }
  void reply.type("application/octet-stream").header("x-content-type-options", "nosniff");
  const sized = (entry: Entry) => {
    describe(reply, entry);
    void reply.header("content-length", range?.length ?? entry.sizeBytes);
    if (range !== null) {
      void reply.code(206).header("content-range", `bytes ${range.offset}-${range.offset + range.length - 1}/${entry.sizeBytes}`);
    }
  };
  if (request.method === "HEAD") {
    sized(seen);
    return reply.send(Readable.from([]));
  }
  const { entry, bytes } = await agent.read(path, range?.offset ?? 0, range?.length ?? 0);
  if (range !== null && etagOf(entry) !== etagOf(seen))
    throw new DomainError("state-conflict", "the file was changed meanwhile; ask again");
  void reply.headers({ etag: etagOf(entry), "last-modified": modifiedAt(entry).toUTCString() });
  sized(entry);
  return reply.send(Readable.from(bytes, { objectMode: false }));
};

export const fileRoutes =
  ({ files }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/v1/sandboxes/:sandbox/files",
      {
        schema: {
          tags,
          operationId: "readFile",
          summary: "Read a file, or list a directory",
          description: [
            "A regular file is answered as its bytes, with `Range` (one range), `ETag` and `If-None-Match`; links are followed inside the sandbox.",
            "Its mode and owner are in the headers `unshared-mode`, `unshared-uid`, `unshared-gid`. A directory is answered as a JSON listing, in the",
            "order of the names' bytes. With `stat=true` the entry itself is answered as JSON. The sandbox need not run.",
          ].join("\n"),
          params: schemas.FilesPath,
          querystring: schemas.ReadQuery,
          response: {
            200: {
              description: "The file, the listing, or with stat=true the entry.",
              content: {
                "application/octet-stream": { schema: Type.String({ format: "binary", examples: ["bytes"] }) },
                "application/json": { schema: schemas.FileOrListing },
              },
            },
            206: {
              description: "The range of the file that was asked for.",
              content: { "application/octet-stream": { schema: Type.String({ format: "binary", examples: ["bytes"] }) } },
            },
            ...problemResponses(...fileCodes, "not-a-regular-file", "range-not-satisfiable"),
          },
        },
      },
      async (request, reply) => {
        const { stat, limit, cursor } = request.query;
        const [path, after] = [queryPath(request.url), cursorName(cursor)];
        const agent = await agentFor(files, request.params.sandbox, reply);
        const entry = await agent.stat(path, !stat);
        const json = () => reply.type("application/json; charset=utf-8").serializer(JSON.stringify);
        if (stat) return json().send(entryBody(entry));
        if (entry.type !== "directory") return read(request, reply, agent, path, entry);
        describe(reply, entry);
        return json().send(await list(agent, path, after, limit));
      },
    );

    app.delete(
      "/v1/sandboxes/:sandbox/files",
      {
        schema: {
          tags,
          operationId: "deleteFile",
          summary: "Delete a file, a link itself, or a directory",
          params: schemas.FilesPath,
          querystring: schemas.DeleteQuery,
          response: { 204: { type: "null", description: "Deleted." }, ...problemResponses(...fileCodes, "directory-not-empty") },
        },
      },
      async (request, reply) => {
        const path = queryPath(request.url);
        const agent = await agentFor(files, request.params.sandbox, reply);
        await agent.delete(path, request.query.recursive);
        return reply.code(204).send(null);
      },
    );
  };
