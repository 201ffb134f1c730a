/** Writes tar archives in the GNU format: names are bytes of any length there, with no regard to UTF-8. */
import type { Segment } from "./file-ports.ts";
import { at, blockBytes, checksumOf, furtherSegments, moreOfFurther, paddingOf, segmentBytes } from "./tar-format.ts";

export type TarType = "file" | "directory" | "link" | "hardlink";

export interface TarHeader {
  /** Relative. */
  path: Buffer;
  type: TarType;
  sizeBytes: number;
  mode: number;
  uid: number;
  gid: number;
  modifiedSeconds: number;
  /** What a link holds, or the path that a further name is of. */
  target: Buffer | null;
  /** Of a file with holes: where its bytes lie; only they follow. */
  segments: readonly Segment[] | null;
}

const flags: Readonly<Record<TarType, string>> = { file: "0", hardlink: "1", link: "2", directory: "5" };
/** The largest number of eleven octal digits. */
const octalMost = 8 ** 11 - 1;

const put = (header: Buffer, [offset, length]: readonly [number, number], value: number): void => {
  if (value <= octalMost) {
    header.write(value.toString(8).padStart(length - 1, "0"), offset, "latin1");
    return;
  }
  // GNU: the first bit set, and the number itself in base 256.
  header[offset] = 0x80;
  header.writeBigUInt64BE(BigInt(value), offset + length - 8);
};

const block = (type: string, name: Buffer, target: Buffer, sizeBytes: number, fill: (header: Buffer) => void): Buffer => {
  const header = Buffer.alloc(blockBytes);
  name.copy(header, at.name[0], 0, at.name[1]);
  target.copy(header, at.link[0], 0, at.link[1]);
  put(header, at.size, sizeBytes);
  header.write(type, at.type[0], "latin1");
  header.write("ustar  \0", at.magic[0], "latin1");
  fill(header);
  header.write(`${checksumOf(header).toString(8).padStart(6, "0")}\0 `, at.checksum[0], "latin1");
  return header;
};

const none = Buffer.alloc(0);
const longName = Buffer.from("././@LongLink");

/** A name that the header's own field cannot hold, in a block of its own before it. */
const long = (type: "K" | "L", name: Buffer): Buffer[] => {
  if (name.length <= at.name[1]) return [];
  const size = name.length + 1;
  return [block(type, longName, none, size, () => {}), name, Buffer.alloc(1 + paddingOf(size))];
};

const ownSegments = at.segments[1] / segmentBytes;

const putSegments = (into: Buffer, start: number, segments: readonly Segment[]): void => {
  for (const [index, { offset, length }] of segments.entries()) {
    put(into, [start + index * segmentBytes, 12], offset);
    put(into, [start + index * segmentBytes + 12, 12], length);
  }
};

/** The segments that the header has no room for. */
const further = (segments: readonly Segment[]): Buffer[] => {
  const blocks: Buffer[] = [];
  for (let first = ownSegments; first < segments.length; first += furtherSegments) {
    const own = Buffer.alloc(blockBytes);
    putSegments(own, 0, segments.slice(first, first + furtherSegments));
    own[moreOfFurther] = first + furtherSegments < segments.length ? 1 : 0;
    blocks.push(own);
  }
  return blocks;
};

/** Bytes of a file that follow its header. */
export const packedBytes = ({ type, sizeBytes, segments }: Pick<TarHeader, "type" | "sizeBytes" | "segments">): number =>
  type !== "file" ? 0 : segments === null ? sizeBytes : segments.reduce((sum, { length }) => sum + length, 0);

/** The header of one entry; after a file's come its bytes and `paddingOf` them. */
export const tarHeader = (entry: TarHeader): Buffer => {
  const { path, type, sizeBytes, mode, uid, gid, modifiedSeconds, target } = entry;
  // What has no length at its end tells readers where that is.
  const segments = entry.segments === null ? null : [...entry.segments, { offset: sizeBytes, length: 0 }];
  const name = type === "directory" ? Buffer.concat([path, Buffer.from("/")]) : path;
  const link = target ?? none;
  const own = block(segments === null ? flags[type] : "S", name, link, packedBytes(entry), (header) => {
    put(header, at.mode, mode);
    put(header, at.uid, uid);
    put(header, at.gid, gid);
    put(header, at.mtime, Math.max(0, Math.floor(modifiedSeconds)));
    if (segments === null) return;
    putSegments(header, at.segments[0], segments.slice(0, ownSegments));
    header[at.more[0]] = segments.length > ownSegments ? 1 : 0;
    put(header, at.realSize, sizeBytes);
  });
  return Buffer.concat([...long("K", link), ...long("L", name), own, ...further(segments ?? [])]);
};

/** What an archive ends with. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * blockBytes);
