import { DomainError } from "../domain/errors.ts";

/** The opaque cursor of a position in a list: the id after which the next page starts. */
export const cursorOf = (position: string | null): string | null =>
  position === null ? null : Buffer.from(`1:${position}`).toString("base64url");

/** @throws DomainError `invalid-request` for a cursor that this daemon did not make */
export const positionOf = (cursor: string | undefined): string | null => {
  if (cursor === undefined) return null;
  const match = /^1:([0-9a-z]{1,64})$/.exec(Buffer.from(cursor, "base64url").toString("latin1"));
  if (match === null)
    throw new DomainError("invalid-request", "the cursor is not one of a list's nextCursor", {
      faults: [{ pointer: "cursor", detail: "is not valid" }],
    });
  return match[1] ?? null;
};
