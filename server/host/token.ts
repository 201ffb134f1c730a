import { randomBytes } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { DirectoryError } from "./directories.ts";

/**
 * The admin token of TCP: 256 bits of chance, made at the first start, readable by root alone.
 * @throws DirectoryError when others could have read or written it, or it is too short to be one
 */
export const ensureToken = (path: string): string => {
  try {
    writeFileSync(path, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const { mode, uid } = statSync(path);
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0)
    throw new DirectoryError(`the token file ${path} can be read or written by others; remove it, and the daemon makes a new token`);
  const token = readFileSync(path, "utf8").trim();
  if (!/^[A-Za-z0-9._~+/=-]{32,512}$/.test(token))
    throw new DirectoryError(`the token file ${path} holds no token of 32 to 512 characters`);
  return token;
};
