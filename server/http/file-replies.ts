import { isUtf8 } from "node:buffer";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { ErrorCode } from "../domain/errors.ts";
import type { Entry, FileAgent } from "../domain/file-ports.ts";
import type { Files } from "../domain/files.ts";

/** What any request on files can end in. */
export const fileCodes: readonly ErrorCode[] = [
  "invalid-request",
  "sandbox-not-found",
  "file-not-found",
  "not-a-directory",
  "path-invalid",
  "path-on-other-mount",
  "file-permission",
  "file-failed",
  "files-unavailable",
  "files-busy",
  "files-interrupted",
  "state-conflict",
  "launch-failed",
  "host-not-ready",
  "launcher-unavailable",
  "deadline-exceeded",
];

/** An agent for as long as the request is not answered in full, or its client is gone. */
export const agentFor = async (files: Files, sandbox: string, reply: FastifyReply): Promise<FileAgent> => {
  const lease = await files.open(sandbox);
  if (reply.raw.closed || reply.raw.destroyed) lease.close();
  else reply.raw.once("close", () => lease.close());
  return lease.agent;
};

export const modeText = (mode: number): string => mode.toString(8).padStart(4, "0");

/** The last time that RFC 3339 can write; a file's own may be any, also one before 1970, which shows as 1970. */
const lastMilliseconds = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
export const modifiedAt = ({ modifiedMicroseconds }: Entry): Date =>
  new Date(Math.min(Math.max(modifiedMicroseconds / 1000, 0), lastMilliseconds));

type TextAndBytes<K extends string> = Record<K, string> & Partial<Record<`${K}Bytes`, string>>;

/** `{name}` as text, and `{nameBytes}` where the text does not say it all. */
export const textAndBytes = <K extends string>(key: K, bytes: Buffer): TextAndBytes<K> =>
  ({ [key]: bytes.toString(), ...(isUtf8(bytes) ? {} : { [`${key}Bytes`]: bytes.toString("base64") }) }) as TextAndBytes<K>;

/** The wire form of an entry (schemas/files.ts). */
export const entryBody = (entry: Entry) => ({
  ...textAndBytes("name", entry.name),
  type: entry.type,
  sizeBytes: entry.sizeBytes,
  mode: modeText(entry.mode),
  uid: entry.uid,
  gid: entry.gid,
  modifiedAt: modifiedAt(entry).toISOString(),
  links: entry.links,
  ...(entry.target === null ? { target: null } : textAndBytes("target", entry.target)),
});

/** Strong: another content has another of these, as far as the filesystem's clock can tell. */
export const etagOf = ({ inode, modifiedMicroseconds, sizeBytes }: Entry): string =>
  `"${BigInt(inode).toString(36)}-${modifiedMicroseconds.toString(36)}-${sizeBytes.toString(36)}"`;

/** Whether an `If-None-Match` names this ETag (RFC 9110, section 13.1.2). */
export const isNamed = (header: string | undefined, etag: string): boolean =>
  (header ?? "").split(",").some((each) => each.trim() === "*" || each.trim().replace(/^W\//, "") === etag);

/** What is known of the file, as headers. */
export const describe = (reply: FastifyReply, entry: Entry): void => {
  void reply.headers({
    "unshared-type": entry.type,
    "unshared-mode": modeText(entry.mode),
    "unshared-uid": String(entry.uid),
    "unshared-gid": String(entry.gid),
  });
};

export interface Range {
  offset: number;
  length: number;
}

/**
 * The one range that is asked for; null where there is none, several, or `If-Range` names another version (RFC 9110, section 14).
 * `"outside"`: it begins at or after the end.
 */
export const rangeOf = ({ headers }: FastifyRequest, entry: Entry): Range | null | "outside" => {
  const match = /^bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))$/i.exec(headers.range ?? "");
  if (match === null || (headers["if-range"] !== undefined && headers["if-range"] !== etagOf(entry))) return null;
  const size = entry.sizeBytes;
  const [, first, last, suffix] = match;
  if (first === undefined) {
    const length = Math.min(Number(suffix), size);
    return length === 0 ? "outside" : { offset: size - length, length };
  }
  const offset = Number(first);
  const end = last === "" || last === undefined ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== "" && Number(last) < offset) return null;
  return offset >= size ? "outside" : { offset, length: end - offset + 1 };
};
