import { DomainError } from "../domain/errors.ts";

/** The id of a record that a browser sends when it comes back; null where it sends none. @throws DomainError `invalid-request` */
export const lastEventId = (header: string | string[] | undefined, pattern = "^[0-9]{1,15}$"): string | null => {
  if (header === undefined || header === "") return null;
  if (typeof header === "string" && new RegExp(pattern).test(header)) return header;
  throw new DomainError("invalid-request", "Last-Event-ID is no id of a record", {
    faults: [{ pointer: "Last-Event-ID", detail: "is not valid" }],
  });
};
