/**
 * Reads tar archives as a stream: ustar, pax and GNU headers, all names as bytes. What comes is hostile: every number is checked, nothing
 * is gathered but headers, and those are bounded.
 */

import { at, blockBytes, checksumOf, paddingOf } from "../domain/tar-format.ts";
import { ByteReader } from "./byte-reader.ts";
import { numberOf, TarError } from "./tar-numbers.ts";
import { addSegment, type FilePiece, isSegmentKey, sparseOf, sparsePieces } from "./tar-sparse.ts";

export interface TarEntry {
  path: Buffer;
  type: "file" | "directory" | "link" | "hardlink";
  sizeBytes: number;
  mode: number;
  uid: number;
  gid: number;
  modifiedSeconds: number;
  target: Buffer;
}

/** An entry, or bytes or a hole of the file whose entry came last. */
export type TarPiece = { kind: "entry"; entry: TarEntry } | FilePiece;

/** The most bytes of the extended headers of one entry together: a path has 4,095. */
const extendedBytes = 65_536;
/** What comes before an entry and is about it. */
type Extended = Map<string, Buffer>;

const field = (header: Buffer, [offset, length]: readonly [number, number]): Buffer => {
  const bytes = header.subarray(offset, offset + length);
  const end = bytes.indexOf(0);
  return end === -1 ? bytes : bytes.subarray(0, end);
};

/** The records of a pax header: `LENGTH KEY=VALUE\n` each. */
const paxRecords = (bytes: Buffer, into: Extended): void => {
  for (let start = 0; start < bytes.length; ) {
    const space = bytes.indexOf(32, start);
    const length = space === -1 || space - start > 6 ? Number.NaN : Number(bytes.toString("latin1", start, space));
    const end = start + length;
    const equals = bytes.indexOf(61, space);
    if (!(length > 0) || end > bytes.length || bytes[end - 1] !== 10 || equals === -1 || equals >= end)
      throw new TarError("a pax header is malformed");
    const key = bytes.toString("latin1", space + 1, equals);
    const value = bytes.subarray(equals + 1, end - 1);
    if (isSegmentKey(key)) addSegment(value, into);
    else into.set(key, value);
    start = end;
  }
};

const decimal = (extended: Extended, key: string, otherwise: number, name: Buffer): number => {
  const bytes = extended.get(key);
  if (bytes === undefined) return otherwise;
  const text = bytes.toString("latin1");
  if (key === "mtime" && text.startsWith("-")) return 0;
  if (!/^\d{1,15}(\.\d*)?$/.test(text)) throw new TarError(`${key} is no number`, name);
  return Number(text);
};

const entryTypes: Readonly<Record<string, TarEntry["type"]>> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  S: "file",
  "1": "hardlink",
  "2": "link",
  "5": "directory",
};
const refusedTypes: Readonly<Record<string, string>> = {
  "3": "a character device",
  "4": "a block device",
  "6": "a FIFO",
};

const nameOf = (header: Buffer): Buffer => {
  const prefix = header.toString("latin1", at.magic[0], at.magic[0] + 6) === "ustar\0" ? field(header, at.prefix) : Buffer.alloc(0);
  const name = field(header, at.name);
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]);
};

const entryOf = (header: Buffer, extended: Extended): TarEntry => {
  const path = extended.get("GNU.sparse.name") ?? extended.get("path") ?? nameOf(header);
  const flag = header.toString("latin1", at.type[0], at.type[0] + 1);
  const type = entryTypes[flag];
  if (type === undefined) throw new TarError(`${refusedTypes[flag] ?? `the type "${flag}"`} is not taken`, path);
  // The seventh edition had no type for directories.
  const isOldDirectory = type === "file" && path.at(-1) === 47;
  return {
    path,
    type: isOldDirectory ? "directory" : type,
    sizeBytes: decimal(extended, "size", numberOf(header, at.size, "size", path), path),
    mode: numberOf(header, at.mode, "mode", path) & 0o7777,
    uid: decimal(extended, "uid", numberOf(header, at.uid, "uid", path), path),
    gid: decimal(extended, "gid", numberOf(header, at.gid, "gid", path), path),
    modifiedSeconds: decimal(extended, "mtime", numberOf(header, at.mtime, "mtime", path), path),
    target: extended.get("linkpath") ?? field(header, at.link),
  };
};

/** The next header; null at the archive's end. */
const nextHeader = async (reader: ByteReader): Promise<Buffer | null> => {
  const header = await reader.take(blockBytes);
  if (header === null) throw new TarError("the archive is cut short: its end is missing");
  if (header.every((byte) => byte === 0)) return null;
  const stated = numberOf(header, at.checksum, "a checksum", field(header, at.name));
  if (stated !== checksumOf(header) && stated !== checksumOf(header, true))
    throw new TarError("this is no tar archive, or a header is damaged");
  return header;
};

/** `before`: bytes of those that came before it for the same entry. */
const extendedBlock = async (reader: ByteReader, header: Buffer, before: number): Promise<Buffer> => {
  const size = numberOf(header, at.size, "size", field(header, at.name));
  if (before + size > extendedBytes) throw new TarError(`the extended headers of an entry are larger than ${extendedBytes} bytes`);
  const bytes = await reader.take(size + paddingOf(size));
  if (bytes === null) throw new TarError("the archive is cut short");
  return bytes.subarray(0, size);
};

const upToNul = (bytes: Buffer): Buffer => (bytes.includes(0) ? bytes.subarray(0, bytes.indexOf(0)) : bytes);

/** @throws TarError; what the source throws */
export async function* readTar(source: AsyncIterable<Buffer>): AsyncGenerator<TarPiece> {
  const reader = new ByteReader(source);
  let extended: Extended = new Map();
  let gathered = 0;
  const block = async (header: Buffer): Promise<Buffer> => {
    const bytes = await extendedBlock(reader, header, gathered);
    gathered += bytes.length;
    return bytes;
  };
  try {
    for (let header = await nextHeader(reader); header !== null; header = await nextHeader(reader)) {
      const flag = header.toString("latin1", at.type[0], at.type[0] + 1);
      if (flag === "x") paxRecords(await block(header), extended);
      else if (flag === "L") extended.set("path", upToNul(await block(header)));
      else if (flag === "K") extended.set("linkpath", upToNul(await block(header)));
      // What holds for the whole archive is none of what is used here.
      else if (flag === "g") await extendedBlock(reader, header, 0);
      else {
        const entry = entryOf(header, extended);
        const sparse = entry.type === "file" ? await sparseOf(reader, header, extended, entry) : null;
        extended = new Map();
        gathered = 0;
        yield { kind: "entry", entry };
        if (sparse !== null) yield* sparsePieces(reader, sparse);
        else for await (const bytes of reader.pieces(entry.sizeBytes)) if (entry.type === "file") yield { kind: "bytes", bytes };
        if ((await reader.take(paddingOf(entry.sizeBytes))) === null) throw new TarError("the archive is cut short", entry.path);
      }
    }
    // Read to the end: what compresses has its checksum there.
    await reader.discard();
  } finally {
    await reader.close();
  }
}
