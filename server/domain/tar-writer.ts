/** Writes tar archives in the GNU format: names are bytes of any length there, with no regard to UTF-8. */
import { at, blockBytes, checksumOf, paddingOf } from "./tar-format.ts";

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

/** The header of one entry; after a file's come its bytes and `paddingOf` them. */
export const tarHeader = ({ path, type, sizeBytes, mode, uid, gid, modifiedSeconds, target }: TarHeader): Buffer => {
  const name = type === "directory" ? Buffer.concat([path, Buffer.from("/")]) : path;
  const link = target ?? none;
  const own = block(flags[type], name, link, type === "file" ? sizeBytes : 0, (header) => {
    put(header, at.mode, mode);
    put(header, at.uid, uid);
    put(header, at.gid, gid);
    put(header, at.mtime, Math.max(0, Math.floor(modifiedSeconds)));
  });
  return Buffer.concat([...long("K", link), ...long("L", name), own]);
};

/** What an archive ends with. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * blockBytes);
