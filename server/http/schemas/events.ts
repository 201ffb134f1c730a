import { Type } from "typebox";
import { named, Reference, Timestamp } from "./shared.ts";

export const EventLine = named(
  "Event",
  Type.Object(
    {
      id: Type.Optional(Type.Integer({ description: "Counts up; resume with ?after=." })),
      type: Type.Optional(Type.String()),
      time: Type.Optional(Timestamp),
      subject: Type.Optional(Type.String({ description: "The id of the sandbox or root." })),
      data: Type.Optional(Type.Object({}, { additionalProperties: true })),
      gap: Type.Optional(
        Type.Object(
          { first: Type.Integer() },
          { description: "The last record of a reader that was too slow: what follows is dropped up to `first`." },
        ),
      ),
    },
    {
      examples: [
        {
          id: 12,
          type: "sandbox.running",
          time: "2026-11-24T10:00:00.000Z",
          subject: "01jd9f2v7k3m5n8p0q2r4s6t8v",
          data: { name: "web-1" },
        },
      ],
    },
  ),
);

export const EventsQuery = Type.Object(
  {
    after: Type.Optional(
      Type.String({ pattern: "^[0-9]{1,15}$", description: "The last event already seen; without it, from the first that is kept." }),
    ),
    follow: Type.Boolean({ default: false, description: "Go on with new ones as they happen." }),
    sandbox: Type.Optional({ ...Reference, description: "Only those of this sandbox: its name or id, the id also after it was deleted." }),
    type: Type.Optional(
      Type.String({
        maxLength: 1_000,
        pattern: "^[a-z]+\\.([a-z-]+|\\*)(,[a-z]+\\.([a-z-]+|\\*))*$",
        description: "Types such as `sandbox.running`, or all of a kind as `sandbox.*`; several with commas.",
      }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, description: "End after so many." })),
  },
  { additionalProperties: false },
);
