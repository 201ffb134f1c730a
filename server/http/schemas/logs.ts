import { Type } from "typebox";
import { processReasons } from "../../domain/process.ts";
import { Nullable, named, OneOf, Timestamp } from "./shared.ts";

export const positionPattern = "^[0-9]{1,10}-[0-9]{1,10}$";

export const LogLine = named(
  "LogRecord",
  Type.Object(
    {
      id: Type.Optional(Type.String({ description: "Resume with ?after=." })),
      process: Type.Optional(Type.String({ description: "`main` or the id of a process." })),
      seq: Type.Optional(Type.Integer({ description: "Within its process, as in its output." })),
      time: Type.Optional(Timestamp),
      stream: Type.Optional(OneOf(["stdout", "stderr"])),
      data: Type.Optional(Type.String()),
      encoding: Type.Optional(OneOf(["base64"], { description: "Only where the bytes of this record are not UTF-8." })),
      exit: Type.Optional(
        Type.Object(
          { reason: OneOf(processReasons), code: Nullable(Type.Integer()), signal: Nullable(Type.String()) },
          { description: "The process ended." },
        ),
      ),
      gap: Type.Optional(
        Type.Object(
          { first: Type.String() },
          { description: "The last record of a reader that was too slow: what follows is dropped up to `first`, which `?after=` takes." },
        ),
      ),
    },
    {
      examples: [
        { id: "1-35", process: "main", seq: 1, time: "2026-11-24T10:00:00.000Z", stream: "stdout", data: "hello\n" },
        { id: "1-75", process: "main", seq: 2, time: "2026-11-24T10:00:01.000Z", exit: { reason: "exited", code: 0, signal: null } },
        { gap: { first: "4-0" } },
      ],
    },
  ),
);

export const LogsQuery = Type.Object(
  {
    tail: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000, description: "Only the last so many records of what fits." })),
    since: Type.Optional(Type.String({ format: "date-time", description: "Only what was written at this time (RFC 3339) or later." })),
    after: Type.Optional(
      Type.String({ pattern: positionPattern, description: "The id of the last record already seen; without it, from the first kept." }),
    ),
    process: Type.Optional(Type.String({ pattern: "^[0-9a-z]{1,64}$", description: "Only of this process: `main` or an id." })),
    stream: Type.Optional(
      Type.String({
        pattern: "^(stdout|stderr)(,(stdout|stderr))?$",
        description: "One of both, or both by default. Exits are always there.",
      }),
    ),
    follow: Type.Boolean({ default: false, description: "Go on until the sandbox runs no more." }),
  },
  { additionalProperties: false },
);
