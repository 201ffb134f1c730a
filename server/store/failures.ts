import { DomainError } from "../domain/errors.ts";
import { hostFailure } from "../domain/host-failures.ts";

/** Result codes (https://sqlite.org/rescode.html) by which the disk, or somebody else at the database, is at fault. */
const refusals = /^SQLITE_(IOERR|READONLY|CANTOPEN|BUSY|LOCKED|PROTOCOL|NOMEM|CORRUPT|NOTADB|NOLFS)/;

/** The refusal for what the database could not do because of its disk; any other error as it is. */
export const storageFailure = (error: unknown): unknown => {
  const { code = "", message } = error as { code?: string; message: string };
  if (code === "SQLITE_FULL") return new DomainError("no-space", "the disk of the state directory is full", { cause: error });
  if (refusals.test(code))
    return new DomainError("storage-failed", `the database could not be used: ${message} (${code})`, { cause: error });
  return hostFailure(error) ?? error;
};
