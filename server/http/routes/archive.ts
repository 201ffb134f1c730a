import { Readable } from "node:stream";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { DomainError } from "../../domain/errors.ts";
import { ArchiveMeter } from "../archive-limits.ts";
import { pack, unpack } from "../archives.ts";
import { acceptedCoding, codingOf, decoded, encoded } from "../content-codings.ts";
import { agentFor, fileCodes } from "../file-replies.ts";
import { queryPath } from "../raw-paths.ts";
import * as schemas from "../schemas/files.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";
import { bodyOf, streamedBodies } from "../streamed-bodies.ts";

const url = "/v1/sandboxes/:sandbox/archive";
const tags = ["files"];

export const archiveRoutes =
  ({ files, archiveLimits, connectionLimits }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    streamedBodies(app);
    app.get(
      url,
      {
        schema: {
          tags,
          operationId: "readArchive",
          summary: "A directory with all below it, or a file, as a tar archive",
          description: [
            "Compressed by `Accept-Encoding`: zstd or gzip. Paths in it are relative to the directory. Hard and symbolic links stay links; FIFOs,",
            "sockets and devices are left out, and what is mounted on a directory is not entered. Files with holes are packed as sparse, as `tar -S`",
            "does. A tree that cannot be read to its end breaks the answer off.",
          ].join("\n"),
          params: schemas.FilesPath,
          querystring: schemas.ArchiveQuery,
          response: {
            200: {
              description: "The archive.",
              content: { "application/x-tar": { schema: Type.String({ format: "binary", examples: ["bytes"] }) } },
            },
            ...problemResponses(...fileCodes, "not-a-regular-file"),
          },
        },
      },
      async (request, reply) => {
        const path = queryPath(request.url);
        const coding = acceptedCoding(request.headers["accept-encoding"]);
        const agent = await agentFor(files, request.params.sandbox, reply);
        const { type } = await agent.stat(path, true);
        if (type !== "directory" && type !== "file") throw new DomainError("not-a-regular-file", `there is no archive of a ${type}`);
        void reply.type("application/x-tar").headers({ vary: "accept-encoding", "x-content-type-options": "nosniff" });
        if (coding !== null) void reply.header("content-encoding", coding);
        return reply.send((request.method === "HEAD" ? Readable.from([]) : encoded(pack(agent.walk(path)), coding)) as never);
      },
    );

    app.put(
      url,
      {
        config: { streams: ["application/x-tar"] },
        schema: {
          tags,
          operationId: "writeArchive",
          summary: "Unpack a tar archive into a directory",
          description: [
            "ustar, pax or GNU format, with `Content-Encoding` gzip or zstd where it is compressed. Directories are merged with those that are there,",
            "which keep their mode and owner; everything else replaces what has its name, but never a directory. Owners from 0 to 65,535, modes",
            "without set-user-id and set-group-id, times, hard and symbolic links, and the holes of files packed as sparse (`tar -S`) are kept; devices,",
            "FIFOs, absolute paths, `..` and entries below a link are refused. Nothing is moved into its place before the whole",
            "archive has come, was found sound, and nothing that is there was found in its way; only a process inside that puts something there in",
            "this very moment, or a disk that runs full, can leave a part of it moved.",
          ].join("\n"),
          params: schemas.FilesPath,
          querystring: schemas.ArchiveQuery,
          response: {
            200: schemas.Unpacked,
            ...problemResponses(
              ...fileCodes,
              "archive-invalid",
              "archive-too-large",
              "unsupported-media-type",
              "no-space",
              "request-timeout",
            ),
          },
        },
      },
      async (request, reply) => {
        const path = queryPath(request.url);
        const coding = codingOf(request.headers["content-encoding"]);
        const agent = await agentFor(files, request.params.sandbox, reply);
        const planting = await agent.plant(path);
        const meter = new ArchiveMeter(archiveLimits);
        return unpack(decoded(meter.packed(bodyOf(request.raw, connectionLimits.milliseconds)), coding), planting, meter);
      },
    );
  };
