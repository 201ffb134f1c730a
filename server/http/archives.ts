/** Trees of a sandbox as tar archives, in both directions. */
import { DomainError, type ErrorCode } from "../domain/errors.ts";
import type { Entry, PlantedEntry, Planting, WalkPiece } from "../domain/file-ports.ts";
import { paddingOf } from "../domain/tar-format.ts";
import { packedBytes, type TarHeader, tarEnd, tarHeader } from "../domain/tar-writer.ts";
import type { ArchiveMeter } from "./archive-limits.ts";
import { TarError } from "./tar-numbers.ts";
import { readTar, type TarEntry } from "./tar-reader.ts";

/** Small pieces are sent together, in about this many bytes. */
const gatheredBytes = 65_536;

const headerOf = (entry: Entry): TarHeader | null => {
  const { name, type, sizeBytes, mode, uid, gid, modifiedMicroseconds, hardlink } = entry;
  if (type !== "file" && type !== "directory" && type !== "link") return null;
  const shared = { path: name, mode, uid, gid, modifiedSeconds: modifiedMicroseconds / 1e6, segments: entry.segments };
  if (hardlink !== null) return { ...shared, type: "hardlink", sizeBytes: 0, target: hardlink };
  return { ...shared, type, sizeBytes: type === "file" ? sizeBytes : 0, target: entry.target };
};

async function* tarPieces(walk: AsyncIterable<WalkPiece>): AsyncGenerator<Buffer> {
  let padding = 0;
  for await (const { entry, bytes } of walk) {
    if (bytes !== null) {
      yield bytes;
      continue;
    }
    if (padding > 0) yield Buffer.alloc(padding);
    padding = 0;
    const header = headerOf(entry);
    if (header === null) continue;
    padding = paddingOf(packedBytes(header));
    yield tarHeader(header);
  }
  if (padding > 0) yield Buffer.alloc(padding);
  yield tarEnd();
}

/** The tree that is walked as an archive. FIFOs, sockets and devices are left out. */
export async function* pack(walk: AsyncIterable<WalkPiece>): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let size = 0;
  for await (const piece of tarPieces(walk)) {
    held.push(piece);
    size += piece.length;
    if (size < gatheredBytes) continue;
    yield held.length === 1 ? piece : Buffer.concat(held);
    held = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(held);
}

/** A path of an archive as it is planted: relative, without "." and empty parts; empty for the top itself. @throws TarError */
const plantedPath = (path: Buffer, what: string, entry: Buffer): Buffer => {
  if (path[0] === 47) throw new TarError(`${what} is absolute`, entry);
  if (path.includes(0) || path.length > 4_000) throw new TarError(`${what} cannot be one`, entry);
  const parts = path.toString("latin1").split("/");
  if (parts.includes("..")) throw new TarError(`${what} holds ".."`, entry);
  return Buffer.from(parts.filter((part) => part !== "" && part !== ".").join("/"), "latin1");
};

/** The last second that fits the protocol's microseconds. */
const lastSecond = 9_000_000_000;

const plantedEntry = ({ path, type, mode, uid, gid, modifiedSeconds, target }: TarEntry): PlantedEntry | null => {
  const planted = plantedPath(path, "its path", path);
  if (planted.length === 0) {
    if (type === "directory") return null;
    throw new TarError("it has no name", path);
  }
  if (uid > 65_535 || gid > 65_535) throw new TarError("its owner is beyond 65,535", path);
  const isLink = type === "link";
  if (isLink && (target.length === 0 || target.length > 4_095 || target.includes(0)))
    throw new TarError("the link's target cannot be one", path);
  return {
    path: planted,
    type: type === "hardlink" ? "file" : type,
    mode,
    uid,
    gid,
    modifiedMicroseconds: Math.floor(Math.min(Math.max(modifiedSeconds, 0), lastSecond) * 1e6),
    target: isLink ? target : null,
    hardlink: type === "hardlink" ? plantedPath(target, "the path it is a further name of", path) : null,
  };
};

/** Reasons that are not the archive's fault. */
const ownCodes: readonly ErrorCode[] = ["archive-too-large", "no-space", "files-interrupted", "request-timeout"];

/** What stopped an unpacking, in the domain's words. */
const unpackFailure = (error: unknown): unknown => {
  if (error instanceof DomainError) {
    if (ownCodes.includes(error.code)) return error;
    return new DomainError("archive-invalid", error.message, { members: error.members, cause: error });
  }
  if (error instanceof TarError) {
    const entry = error.entry?.toString();
    return new DomainError("archive-invalid", entry === undefined ? error.message : `${entry}: ${error.message}`, {
      members: entry === undefined ? {} : { entry },
      cause: error,
    });
  }
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (!/^(Z_|ZSTD_|ERR_ZSTD)/.test(code)) return error;
  return new DomainError("archive-invalid", `the compression is damaged or cut short: ${(error as Error).message}`, { cause: error });
};

/** Plants what the archive holds. @throws DomainError `archive-invalid` (member `entry`), `archive-too-large`, `no-space` */
export const unpack = async (
  archive: AsyncIterable<Buffer>,
  planting: Planting,
  meter: ArchiveMeter,
): Promise<{ entries: number; bytes: number }> => {
  try {
    for await (const piece of readTar(meter.unpacked(archive))) {
      if (piece.kind === "bytes") await planting.bytes(piece.bytes);
      if (piece.kind === "hole") await planting.hole(piece.length);
      if (piece.kind !== "entry") continue;
      meter.entry();
      const planted = plantedEntry(piece.entry);
      if (planted !== null) await planting.entry(planted);
    }
    const { files, bytes } = await planting.end();
    return { entries: files, bytes };
  } catch (error) {
    throw unpackFailure(error);
  }
};
