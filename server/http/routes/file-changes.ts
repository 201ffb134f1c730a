import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { Static } from "typebox";
import { DomainError } from "../../domain/errors.ts";
import type { FileChange } from "../../domain/file-ports.ts";
import { agentFor, entryBody, fileCodes } from "../file-replies.ts";
import { bodyBytes } from "../raw-paths.ts";
import * as schemas from "../schemas/files.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

type Body = Static<typeof schemas.ChangeBody>;

/** What each op takes besides `op` and `path`. */
const takes: Readonly<Record<Body["op"], readonly string[]>> = {
  mkdir: ["mode", "parents"],
  move: ["to"],
  copy: ["to"],
  link: ["to"],
  symlink: ["target"],
  chmod: ["mode"],
  chown: ["uid", "gid"],
};

const fault = (field: string, detail: string): DomainError =>
  new DomainError("invalid-request", `/${field}: ${detail}`, { faults: [{ pointer: `/${field}`, detail }] });

const needed = <T>(value: T | undefined, field: string, op: string): T => {
  if (value === undefined) throw fault(field, `is needed for ${op}`);
  return value;
};

const modeOf = (text: string): number => Number.parseInt(text, 8);

/** @throws DomainError `invalid-request` for a field that the op needs and lacks, or does not take */
const changeOf = (body: Body): FileChange => {
  const { op, mode, parents = false } = body;
  const known = ["op", "path", "pathBytes", ...takes[op].flatMap((name) => [name, `${name}Bytes`])];
  const stray = Object.keys(body).find((field) => !known.includes(field));
  if (stray !== undefined) throw fault(stray, `is not taken by ${op}`);
  const path = bodyBytes(body, "path", true);
  if (op === "mkdir") return { op, path, mode: modeOf(mode ?? "0755"), parents };
  if (op === "chmod") return { op, path, mode: modeOf(needed(mode, "mode", op)) };
  if (op === "chown") return { op, path, uid: needed(body.uid, "uid", op), gid: needed(body.gid, "gid", op) };
  if (op === "symlink") return { op, path, target: bodyBytes(body, "target", false) };
  return { op, path, to: bodyBytes(body, "to", true) };
};

export const fileChangeRoutes =
  ({ files }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.post(
      "/v1/sandboxes/:sandbox/files",
      {
        schema: {
          tags: ["files"],
          operationId: "changeFile",
          summary: "Make a directory or a link, move, copy, change mode or owner",
          description: [
            "`mkdir` (`path`, `mode`, `parents`), `move`, `copy` and `link` (`path`, `to`), `symlink` (`path`, `target`), `chmod` (`path`, `mode`),",
            "`chown` (`path`, `uid`, `gid`). `move` and `copy` replace a file; `copy` takes one regular file; `link` makes a second name of a file.",
            "A link at the end of a path is itself what is moved or given an owner. Answers the entry as it is then.",
          ].join("\n"),
          params: schemas.FilesPath,
          body: schemas.ChangeBody,
          response: {
            200: schemas.FileEntry,
            ...problemResponses(
              ...fileCodes,
              "file-exists",
              "is-a-directory",
              "directory-not-empty",
              "not-a-regular-file",
              "no-space",
              "idempotency-key-reused",
            ),
          },
        },
      },
      async (request, reply) => {
        const change = changeOf(request.body);
        const agent = await agentFor(files, request.params.sandbox, reply);
        return entryBody(await agent.change(change));
      },
    );
  };
