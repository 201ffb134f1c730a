import { Type } from "typebox";
import { Gap, journalQuery } from "./journals.ts";
import { named, Timestamp } from "./shared.ts";

export const EventLine = named(
  "Event",
  Type.Object(
    {
      id: Type.Optional(Type.Integer({ description: "Counts up; resume with ?after=." })),
      type: Type.Optional(Type.String()),
      time: Type.Optional(Timestamp),
      subject: Type.Optional(Type.String({ description: "The id of the sandbox, root or token; `daemon`." })),
      data: Type.Optional(Type.Object({}, { additionalProperties: true })),
      gap: Gap,
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
    ...journalQuery,
    type: Type.Optional(
      Type.String({
        maxLength: 1_000,
        pattern: "^[a-z]+\\.([a-z-]+|\\*)(,[a-z]+\\.([a-z-]+|\\*))*$",
        description: "Types such as `sandbox.running`, or all of a kind as `sandbox.*`; several with commas.",
      }),
    ),
  },
  { additionalProperties: false },
);
