import { DomainError } from "../domain/errors.ts";

/** The number that a browser sends when it comes back; null where it sends none. @throws DomainError `invalid-request` */
export const lastEventId = (header: string | string[] | undefined): number | null => {
  if (header === undefined || header === "") return null;
  if (typeof header === "string" && /^\d{1,15}$/.test(header)) return Number(header);
  throw new DomainError("invalid-request", "Last-Event-ID is no number of a record", {
    faults: [{ pointer: "Last-Event-ID", detail: "is not valid" }],
  });
};
