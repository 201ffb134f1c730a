import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { Logger } from "../domain/ports.ts";
import { DirectoryError } from "./directories.ts";

/** Where a certificate, its key and the authority of clients lie. Absolute paths. */
export interface TlsPaths {
  cert: string;
  key: string;
  clientCa: string | null;
}

/** What a listener needs, as PEM, and the names that it goes by. */
export interface TlsMaterial {
  cert: Buffer;
  key: Buffer;
  ca: Buffer | null;
  isNamed(host: string): boolean;
}

const read = (flag: string, path: string): Buffer => {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new DirectoryError(`--${flag}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, { cause: error });
  }
};

const parsed = <T>(flag: string, path: string, parse: () => T): T => {
  try {
    return parse();
  } catch (error) {
    throw new DirectoryError(`--${flag}: ${path} holds none in PEM that can be used without a password`, { cause: error });
  }
};

/**
 * Reads and checks all of it.
 * @throws DirectoryError for a file that is missing, of another kind, or a key that does not belong to the certificate or that all can read
 */
export const readTls = ({ cert, key, clientCa }: TlsPaths): TlsMaterial => {
  const material = {
    cert: read("tls-cert", cert),
    key: read("tls-key", key),
    ca: clientCa === null ? null : read("tls-client-ca", clientCa),
  };
  // A group may read it, as Debian's ssl-cert may.
  const { mode } = statSync(key);
  if ((mode & 0o037) !== 0)
    throw new DirectoryError(`--tls-key: ${key} can be read or written by others (mode ${(mode & 0o777).toString(8)}): chmod 600 it`);
  const certificate = parsed("tls-cert", cert, () => new X509Certificate(material.cert));
  const privateKey = parsed("tls-key", key, () => createPrivateKey(material.key));
  if (clientCa !== null) parsed("tls-client-ca", clientCa, () => new X509Certificate(material.ca as Buffer));
  if (!certificate.checkPrivateKey(privateKey)) throw new DirectoryError(`--tls-key: ${key} is not the key of ${cert}`);
  return { ...material, isNamed: (host) => certificate.checkHost(host) !== undefined };
};

/** Reads them again at each SIGHUP, and lets `use` have them; where they cannot be used, the former ones stay. */
export const renewOnHangup = (paths: TlsPaths, log: Logger, use: (tls: TlsMaterial) => void): void => {
  process.on("SIGHUP", () => {
    try {
      use(readTls(paths));
      log.info({}, "TLS files read again");
    } catch (error) {
      log.error({ err: error }, "the TLS files cannot be used, and the former ones stay");
    }
  });
};
