import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { DomainError } from "../../domain/errors.ts";
import type { FileAgent, WriteOptions } from "../../domain/file-ports.ts";
import { agentFor, entryBody, fileCodes } from "../file-replies.ts";
import { queryPath } from "../raw-paths.ts";
import * as schemas from "../schemas/files.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";
import { bodyOf, streamedBodies } from "../streamed-bodies.ts";

/** Whether something has the name, a link itself included. */
const isThere = async (agent: FileAgent, path: Buffer): Promise<boolean> => {
  try {
    await agent.stat(path, false);
    return true;
  } catch (error) {
    if (error instanceof DomainError && error.code === "file-not-found") return false;
    throw error;
  }
};

/** `If-None-Match: *` is the one precondition of a write. */
const isExclusive = (header: string | undefined): boolean => {
  if (header === undefined) return false;
  if (header.trim() === "*") return true;
  throw new DomainError("invalid-request", "If-None-Match takes * here", { faults: [{ pointer: "if-none-match", detail: "takes *" }] });
};

export const fileUploadRoutes =
  ({ files, connectionLimits }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    streamedBodies(app);
    app.put(
      "/v1/sandboxes/:sandbox/files",
      {
        config: { streams: ["application/octet-stream"] },
        schema: {
          tags: ["files"],
          operationId: "writeFile",
          summary: "Write a file",
          description: [
            "The body is the file, of any size and media type. It is written beside its place, synced and moved into it: a request that is broken",
            "off leaves nothing. A link at the end of the path is replaced, not followed. With `If-None-Match: *` only where nothing has the name.",
          ].join("\n"),
          params: schemas.FilesPath,
          querystring: schemas.WriteQuery,
          headers: Type.Object({ "if-none-match": Type.Optional(Type.String({ maxLength: 64, examples: ["*"] })) }),
          response: {
            200: schemas.FileEntry,
            201: schemas.FileEntry,
            ...problemResponses(...fileCodes, "is-a-directory", "precondition-failed", "no-space", "request-timeout"),
          },
        },
      },
      async (request, reply) => {
        const path = queryPath(request.url);
        const { mode, uid, gid, parents } = request.query;
        const options: WriteOptions = {
          mode: Number.parseInt(mode, 8),
          uid,
          gid,
          parents,
          exclusive: isExclusive(request.headers["if-none-match"]),
        };
        const agent = await agentFor(files, request.params.sandbox, reply);
        const replaces = !options.exclusive && (await isThere(agent, path));
        try {
          const entry = await agent.write(path, options, bodyOf(request.raw, connectionLimits.milliseconds));
          return reply.code(replaces ? 200 : 201).send(entryBody(entry));
        } catch (error) {
          if (!(options.exclusive && error instanceof DomainError && error.code === "file-exists")) throw error;
          throw new DomainError("precondition-failed", "something has this name already", { cause: error });
        }
      },
    );
  };
