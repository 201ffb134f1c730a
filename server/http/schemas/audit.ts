import { Type } from "typebox";
import { Gap, journalQuery } from "./journals.ts";
import { Nullable, named, Timestamp } from "./shared.ts";

export const exampleCall = {
  id: 7,
  time: "2026-11-24T10:00:00.000Z",
  caller: "unix",
  callerName: "uid 0",
  address: null,
  method: "POST",
  route: "/v1/sandboxes",
  path: "/v1/sandboxes",
  sandbox: "01jd9f2v7k3m5n8p0q2r4s6t8v",
  status: 201,
  code: null,
  created: "/v1/sandboxes/01jd9f2v7k3m5n8p0q2r4s6t8v",
  replayed: false,
  milliseconds: 3.21,
};

export const AuditLine = named(
  "Call",
  Type.Object(
    {
      id: Type.Optional(Type.Integer({ description: "Counts up; resume with ?after=." })),
      time: Type.Optional({ ...Timestamp, description: "When it was answered." }),
      caller: Type.Optional(
        Type.String({
          description:
            "The id of the token; `unix` for the unix socket, or `uid:N` where `--peer-scope` says what users may do; `token` for the token file's.",
        }),
      ),
      callerName: Type.Optional(
        Type.String({
          description:
            "The token's name then; over the unix socket `uid` and the number of who connected, `unix` where they had left before that could be asked.",
        }),
      ),
      address: Type.Optional(Nullable(Type.String({ description: "Where from, over TCP." }))),
      method: Type.Optional(Type.String()),
      route: Type.Optional(Type.String({ description: "The pattern that the path fits." })),
      path: Type.Optional(Type.String()),
      sandbox: Type.Optional(Nullable(Type.String({ description: "The id of the sandbox that it was about." }))),
      status: Type.Optional(
        Type.Integer({ description: "What it was answered, or would have been where the caller left before; 101 for a terminal." }),
      ),
      code: Type.Optional(Nullable(Type.String({ description: "Of the problem." }))),
      created: Type.Optional(Nullable(Type.String({ description: "The path of what was made." }))),
      replayed: Type.Optional(Type.Boolean({ description: "An earlier answer with the same Idempotency-Key was repeated." })),
      milliseconds: Type.Optional(Type.Number()),
      gap: Gap,
    },
    { examples: [exampleCall] },
  ),
);

export const AuditQuery = Type.Object(journalQuery, { additionalProperties: false });
