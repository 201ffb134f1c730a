import { constants } from "node:os";
import { DomainError, type ErrorCode } from "./errors.ts";

/** What the host may refuse to anybody at any time (errno(3)), and whose fault it is: a full disk, a disk that fails, or too much at once. */
const codes: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: "no-space",
  EDQUOT: "no-space",
  EIO: "storage-failed",
  EROFS: "storage-failed",
  EMFILE: "host-exhausted",
  ENFILE: "host-exhausted",
  ENOMEM: "host-exhausted",
  EAGAIN: "host-exhausted",
};

/** What the host has run out of for the moment, by number: processes, descriptors, memory. The same may succeed later. */
export const exhaustedErrnos: ReadonlySet<number> = new Set(
  Object.entries(constants.errno).flatMap(([name, number]) => (codes[name] === "host-exhausted" ? [number] : [])),
);

/** The refusal for an error of a system call; null for any other error. The detail names the call, and no path. */
export const hostFailure = (error: unknown): DomainError | null => {
  const { code = "", syscall } = error as NodeJS.ErrnoException;
  const known = codes[code];
  if (known === undefined || syscall === undefined) return null;
  return new DomainError(known, `the host answered ${code} to ${syscall.split(" ")[0]}`, { cause: error });
};
