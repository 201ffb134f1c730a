/** An archive that cannot be unpacked; `entry` is the one at fault. */
export class TarError extends Error {
  readonly entry: Buffer | null;

  constructor(message: string, entry: Buffer | null = null) {
    super(message);
    this.entry = entry;
  }
}

/** A number of a header: octal, or GNU's base 256. @throws TarError naming the entry `name` */
export const numberOf = (header: Buffer, [offset, length]: readonly [number, number], what: string, name: Buffer): number => {
  const bytes = header.subarray(offset, offset + length);
  const first = bytes[0] as number;
  if (first === 0x80) {
    const value = BigInt(`0x${bytes.toString("hex")}`) - (0x80n << BigInt(8 * (length - 1)));
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new TarError(`${what} is too large`, name);
    return Number(value);
  }
  // Before 1970.
  if (first === 0xff && what === "mtime") return 0;
  const text = bytes.toString("latin1").replaceAll("\0", " ").trim();
  if (!/^[0-7]*$/.test(text)) throw new TarError(`${what} is no number`, name);
  return text === "" ? 0 : Number.parseInt(text, 8);
};
