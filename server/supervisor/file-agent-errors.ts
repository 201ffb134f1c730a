import { constants } from "node:os";
import { DomainError, type ErrorCode } from "../domain/errors.ts";

const { errno } = constants;

/** errno(3) in the domain's words. EINVAL is what the agent says of a path's form, and of what is no regular file. */
const codes = new Map<number, ErrorCode>([
  [errno.ENOENT, "file-not-found"],
  [errno.EEXIST, "file-exists"],
  [errno.ENOTDIR, "not-a-directory"],
  [errno.EISDIR, "is-a-directory"],
  [errno.ENOTEMPTY, "directory-not-empty"],
  [errno.EINVAL, "path-invalid"],
  [errno.ENAMETOOLONG, "path-invalid"],
  [errno.ELOOP, "path-invalid"],
  [errno.EXDEV, "path-on-other-mount"],
  [errno.EBUSY, "path-on-other-mount"],
  [errno.EAGAIN, "files-busy"],
  [errno.ESTALE, "files-busy"],
  [errno.EACCES, "file-permission"],
  [errno.EPERM, "file-permission"],
  [errno.EOVERFLOW, "file-permission"],
  [errno.EROFS, "file-permission"],
  [errno.ENOSPC, "no-space"],
  [errno.EDQUOT, "no-space"],
  [errno.EFBIG, "no-space"],
]);

/** What errno(3) alone would not tell who looks for the fault in his path. */
const reasons: Partial<Record<ErrorCode, string>> = {
  "path-on-other-mount": "something else is mounted there, and only the sandbox's own root filesystem is reached",
  "not-a-regular-file": "it is no regular file",
  "files-busy": "somebody in the sandbox has a lease on it, cuts it short, or moves what leads to it without end",
  "path-invalid": "it is too long, ends in . or .., is / where a name is needed, or leads round in a circle or below itself",
};

/** What a request is about decides what EINVAL means. */
export type InvalidMeans = "path-invalid" | "not-a-regular-file";

/** An ERROR of the file agent. `invalidMeans`: the word for EINVAL */
export const fileRefusal = (fields: ReadonlyMap<string, string>, invalidMeans: InvalidMeans): DomainError => {
  // Values are bytes; a message quotes paths as they are.
  const message = Buffer.from(fields.get("message") ?? "", "latin1").toString("utf8");
  switch (fields.get("code")) {
    case "file": {
      const number = Number(fields.get("errno"));
      const code = number === errno.EINVAL ? invalidMeans : (codes.get(number) ?? "file-failed");
      const entry = fields.get("entry");
      return new DomainError(code, reasons[code] === undefined ? message : `${message} (${reasons[code]})`, {
        members: { errno: number, ...(entry === undefined ? {} : { entry: Buffer.from(entry, "latin1").toString() }) },
      });
    }
    case "busy":
      return new DomainError("files-busy", "the sandbox is at work on as many requests on files as it takes");
    case "ended":
      return new DomainError("files-interrupted", "the sandbox is ending");
    default:
      return new DomainError("file-failed", message);
  }
};

/** The agent ended without an answer, or spoke nonsense. */
export const fileInterruption = (error: unknown): DomainError =>
  error instanceof DomainError
    ? error
    : new DomainError("files-interrupted", "the sandbox ended, or the work on its files was ended, before it was done", { cause: error });
