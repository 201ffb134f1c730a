import { chmodSync, chownSync, lstatSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** A directory that cannot be trusted or made; the message is for the operator. */
export class DirectoryError extends Error {}

const ownUid = (): number => process.getuid?.() ?? 0;

/** @throws DirectoryError */
const refuseLink = (what: string, path: string): void => {
  if (lstatSync(path).isSymbolicLink())
    throw new DirectoryError(`the ${what} ${path} is a link: give the directory that it leads to, ${realpathSync(path)}`);
};

/**
 * Who else may rename what lies on the way to a directory, and so put another in its place: all above it should be root's or the daemon's own,
 * and writable by nobody else, unless it is sticky, as /tmp is (inode(7)). A sentence for each that is not.
 */
export const doubtsAbout = (path: string): string[] => {
  const doubts: string[] = [];
  for (let at = realpathSync(path); at !== dirname(at); ) {
    at = dirname(at);
    const { uid, mode } = statSync(at);
    if (uid !== 0 && uid !== ownUid())
      doubts.push(`${path} lies below ${at}, which belongs to uid ${uid}, who can put another in its place`);
    else if ((mode & 0o1002) === 0o002) doubts.push(`${path} lies below ${at}, where everybody can put another in its place: chmod o-w it`);
  }
  return doubts;
};

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
  refuseLink("state directory", path);
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

/** Makes the run directory, 0750, for root and the group alone where there is one, or checks that nobody else could put sockets there. @throws DirectoryError */
export const ensureRunDirectory = (path: string, gid: number | null): void => {
  mkdirSync(path, { recursive: true, mode: 0o750 });
  refuseLink("run directory", path);
  const found = statSync(path);
  if (found.uid !== ownUid())
    throw new DirectoryError(`the run directory ${path} belongs to uid ${found.uid}, not to ${ownUid()} as whom the daemon runs`);
  if ((found.mode & 0o022) !== 0) {
    throw new DirectoryError(
      `the run directory ${path} can be written to by others than its owner (mode ${(found.mode & 0o777).toString(8)}): chmod 750 it after a look at what is in it`,
    );
  }
  chmodSync(path, 0o750);
  if (gid !== null) chownSync(path, ownUid(), gid);
  mkdirSync(`${path}/sandboxes`, { recursive: true, mode: 0o700 });
};
