/**
 * Files with holes in tar archives, in the four forms that GNU tar has written: its own, and those of pax that are called 0.0, 0.1 and 1.0
 * (https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html).
 */
import type { Segment } from "../domain/file-ports.ts";
import { at, blockBytes, furtherSegments, moreOfFurther, segmentBytes } from "../domain/tar-format.ts";
import type { ByteReader } from "./byte-reader.ts";
import { numberOf, TarError } from "./tar-numbers.ts";

/** Bytes or a hole of a file. */
export type FilePiece = { kind: "bytes"; bytes: Buffer } | { kind: "hole"; length: number };

export interface Sparse {
  segments: readonly Segment[];
  /** With the holes. */
  realSize: number;
}

interface Packed {
  path: Buffer;
  /** Bytes that follow the header. */
  sizeBytes: number;
}

/** The most of one file: what is gathered of an archive is bounded. */
const mostSegments = 65_536;
const cutShort = "the archive is cut short";

/** The form 0.0 repeats these two records for each segment; gathered they are what 0.1 has in one. */
export const isSegmentKey = (key: string): boolean => key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes";
export const addSegment = (value: Buffer, extended: Map<string, Buffer>): void => {
  const map = extended.get("GNU.sparse.map");
  extended.set("GNU.sparse.map", map === undefined ? value : Buffer.concat([map, Buffer.from(","), value]));
};

const decimal = (text: string, path: Buffer): number => {
  if (!/^\d{1,15}$/.test(text)) throw new TarError("its map of holes is malformed", path);
  return Number(text);
};

const pairs = (numbers: readonly number[], path: Buffer): Segment[] => {
  if (numbers.length % 2 === 1) throw new TarError("its map of holes is malformed", path);
  return Array.from({ length: numbers.length / 2 }, (_, index) => ({
    offset: numbers[2 * index] as number,
    length: numbers[2 * index + 1] as number,
  }));
};

const gnuSegments = async (reader: ByteReader, header: Buffer, path: Buffer): Promise<Segment[]> => {
  const numbers: number[] = [];
  const add = (block: Buffer, start: number, count: number): void => {
    for (let place = start; place < start + count * segmentBytes && block[place] !== 0; place += segmentBytes)
      numbers.push(numberOf(block, [place, 12], "an offset", path), numberOf(block, [place + 12, 12], "a length", path));
  };
  add(header, at.segments[0], at.segments[1] / segmentBytes);
  for (let more = header[at.more[0]] !== 0; more; ) {
    const block = await reader.take(blockBytes);
    if (block === null) throw new TarError(cutShort, path);
    add(block, 0, furtherSegments);
    if (numbers.length > 2 * mostSegments) throw new TarError("it has too many holes", path);
    more = block[moreOfFurther] !== 0;
  }
  return pairs(numbers, path);
};

/** The form 1.0: the map stands before the bytes, one number a line, and fills its last block. */
const leadingSegments = async (reader: ByteReader, path: Buffer): Promise<{ segments: Segment[]; mapBytes: number }> => {
  const numbers: number[] = [];
  let rest = "";
  for (let mapBytes = blockBytes; ; mapBytes += blockBytes) {
    const block = await reader.take(blockBytes);
    if (block === null) throw new TarError(cutShort, path);
    const lines = (rest + block.toString("latin1")).split("\n");
    rest = lines.pop() as string;
    for (const line of lines) {
      numbers.push(decimal(line, path));
      const [count = 0] = numbers;
      if (count > mostSegments) throw new TarError("it has too many holes", path);
      if (numbers.length === 1 + 2 * count) return { segments: pairs(numbers.slice(1), path), mapBytes };
    }
    if (rest.length > 16) throw new TarError("its map of holes is malformed", path);
  }
};

/** The segments lie in order, within the file, and are as long together as what follows. @throws TarError */
const checked = (segments: readonly Segment[], realSize: number, bytes: number, path: Buffer): Sparse => {
  let end = 0;
  let sum = 0;
  for (const { offset, length } of segments) {
    if (offset < end || offset + length > realSize) throw new TarError("its map of holes is no map of it", path);
    end = offset + length;
    sum += length;
  }
  if (sum !== bytes) throw new TarError("its map of holes does not fit its size", path);
  return { segments, realSize };
};

/** How the file is packed; null: as a whole. Reads what its map takes of the archive. @throws TarError */
export const sparseOf = async (
  reader: ByteReader,
  header: Buffer,
  extended: ReadonlyMap<string, Buffer>,
  { path, sizeBytes }: Packed,
): Promise<Sparse | null> => {
  if (header[at.type[0]] === 83)
    return checked(await gnuSegments(reader, header, path), numberOf(header, at.realSize, "its size", path), sizeBytes, path);
  const text = (key: string): string | undefined => extended.get(key)?.toString("latin1");
  if (text("GNU.sparse.major") === "1") {
    const { segments, mapBytes } = await leadingSegments(reader, path);
    return checked(segments, decimal(text("GNU.sparse.realsize") ?? "", path), sizeBytes - mapBytes, path);
  }
  const map = text("GNU.sparse.map");
  const realSize = text("GNU.sparse.size");
  if (map === undefined && realSize === undefined) return null;
  const numbers = map === undefined || map === "" ? [] : map.split(",").map((number) => decimal(number, path));
  return checked(pairs(numbers, path), decimal(realSize ?? "", path), sizeBytes, path);
};

/** The file's bytes, and its holes between them and at its end. */
export async function* sparsePieces(reader: ByteReader, { segments, realSize }: Sparse): AsyncGenerator<FilePiece> {
  let end = 0;
  for (const { offset, length } of segments) {
    if (offset > end) yield { kind: "hole", length: offset - end };
    for await (const bytes of reader.pieces(length)) yield { kind: "bytes", bytes };
    end = offset + length;
  }
  if (realSize > end) yield { kind: "hole", length: realSize - end };
}
