/** The codings of archives: gzip and zstd (RFC 9110, section 8.4; RFC 8878), as streams. */
import { pipeline, Readable, type Transform } from "node:stream";
import { constants, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from "node:zlib";
import { DomainError } from "../domain/errors.ts";

export type Coding = "gzip" | "zstd";
const chunkSize = 65_536;

/** The coding to answer with: the client's favourite, zstd before gzip where it has none; null for none. */
export const acceptedCoding = (header: string | string[] | undefined): Coding | null => {
  const weights = new Map<string, number>();
  for (const part of String(header ?? "").split(",")) {
    const [name = "", ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
    const weight = parameters.find((text) => text.startsWith("q="));
    weights.set(name, weight === undefined ? 1 : Number(weight.slice(2)) || 0);
  }
  const weightOf = (coding: Coding): number => weights.get(coding) ?? 0;
  if (weightOf("zstd") === 0 && weightOf("gzip") === 0) return null;
  return weightOf("zstd") >= weightOf("gzip") ? "zstd" : "gzip";
};

/** The coding of a body. @throws DomainError `unsupported-media-type` */
export const codingOf = (header: string | undefined): Coding | null => {
  const name = (header ?? "identity").trim().toLowerCase();
  if (name === "identity" || name === "") return null;
  if (name === "gzip" || name === "x-gzip") return "gzip";
  if (name === "zstd") return "zstd";
  throw new DomainError("unsupported-media-type", "archives are taken as they are, or with Content-Encoding gzip or zstd");
};

const joined = (source: AsyncIterable<Buffer>, transform: Transform): Transform =>
  // The end of either is the other's; whoever reads the transform is told of the error.
  pipeline(Readable.from(source, { objectMode: false }), transform, () => {}) as Transform;

/** The bytes compressed; fast levels, since what waits for it is a person or a program. */
export const encoded = (source: AsyncIterable<Buffer>, coding: Coding | null): Readable => {
  if (coding === null) return Readable.from(source, { objectMode: false });
  return joined(source, coding === "gzip" ? createGzip({ level: 4, chunkSize }) : createZstdCompress({ chunkSize }));
};

/** The bytes decompressed. The window of zstd is bounded: 8 MiB, what RFC 8878 asks of every decoder. */
export const decoded = (source: AsyncIterable<Buffer>, coding: Coding | null): AsyncIterable<Buffer> => {
  if (coding === null) return source;
  if (coding === "gzip") return joined(source, createGunzip({ chunkSize }));
  return joined(source, createZstdDecompress({ chunkSize, params: { [constants.ZSTD_d_windowLogMax]: 23 } }));
};
