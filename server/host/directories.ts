import { chmodSync, chownSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** A directory that cannot be trusted or made; the message is for the operator. */
export class DirectoryError extends Error {}

const ownUid = (): number => process.getuid?.() ?? 0;

/**
 * Makes the state directory, 0700, or checks the one that is there: who can write into it, or read the database in it,
 * could take over every sandbox.
 * @throws DirectoryError
 */
export const ensureStateDirectory = (path: string): void => {
  mkdirSync(dirname(path), { recursive: true });
  try {
    mkdirSync(path, { mode: 0o700 });
    chmodSync(path, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const found = statSync(path);
  if (!found.isDirectory()) throw new DirectoryError(`the state directory ${path} is not a directory`);
  if (found.uid !== ownUid())
    throw new DirectoryError(`the state directory ${path} belongs to uid ${found.uid}, not to ${ownUid()} as whom the daemon runs`);
  if ((found.mode & 0o077) !== 0) {
    throw new DirectoryError(
      `the state directory ${path} can be entered by others than its owner (mode ${(found.mode & 0o777).toString(8)}): chmod 700 it after a look at what is in it`,
    );
  }
  for (const part of ["roots", "sandboxes", "run-archives"]) mkdirSync(`${path}/${part}`, { recursive: true, mode: 0o700 });
};

/** Makes the run directory, 0750, for root and the group alone where there is one. @throws DirectoryError */
export const ensureRunDirectory = (path: string, gid: number | null): void => {
  mkdirSync(path, { recursive: true, mode: 0o750 });
  const found = statSync(path);
  if (found.uid !== ownUid())
    throw new DirectoryError(`the run directory ${path} belongs to uid ${found.uid}, not to ${ownUid()} as whom the daemon runs`);
  chmodSync(path, 0o750);
  if (gid !== null) chownSync(path, ownUid(), gid);
  mkdirSync(`${path}/sandboxes`, { recursive: true, mode: 0o700 });
};
