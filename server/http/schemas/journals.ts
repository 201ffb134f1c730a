import { Type } from "typebox";
import { Reference } from "./shared.ts";

/** What a query of any journal takes. */
export const journalQuery = {
  after: Type.Optional(
    Type.String({ pattern: "^[0-9]{1,15}$", description: "The last one already seen; without it, from the first that is kept." }),
  ),
  tail: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 1_000,
      description:
        "Without `after`: begin with the last so many that there are, of which those are given that fit the other parameters; 0: with the next.",
    }),
  ),
  follow: Type.Boolean({ default: false, description: "Go on with new ones as they happen." }),
  sandbox: Type.Optional({ ...Reference, description: "Only those of this sandbox: its name or id, the id also after it was deleted." }),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, description: "End after so many." })),
};

export const Gap = Type.Optional(
  Type.Object(
    { first: Type.Integer() },
    { description: "The last record of a reader that was too slow: what follows is dropped up to `first`." },
  ),
);
