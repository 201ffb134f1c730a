/**
 * The linker's cache, /etc/ld.so.cache, in the format "glibc-ld.so.cache1.1" (glibc, elf/dl-cache.c; ldconfig(8)):
 * a header of 48 bytes, entries of 24 bytes (flags, key, value, osversion, hwcap), then the strings.
 */
export interface LdCacheEntry {
  /** Name in DT_NEEDED, such as `libc.so.6`. */
  name: string;
  path: string;
  /** Type and ABI of the library; the linker compares it with its own. */
  flags: number;
  /** 0 for a library that any processor of the machine can run. */
  hwcap: bigint;
}

const oldMagic = "ld.so-1.7.0";
const magic = "glibc-ld.so.cache1.1";
const headerBytes = 48;
const entryBytes = 24;
const littleEndianFlag = 2;

/** The entries of a cache file in their order, or none when the bytes are not a cache of a known form. Damaged entries are left out. */
export function parseLdCache(file: Buffer): LdCacheEntry[] {
  const start = newCacheStart(file);
  if (start === null) return [];
  const cache = file.subarray(start);
  const count = cache.readUInt32LE(20);
  if (headerBytes + count * entryBytes > cache.length) return [];
  const entries: LdCacheEntry[] = [];
  for (let index = 0; index < count; index++) {
    const at = headerBytes + index * entryBytes;
    const name = stringAt(cache, cache.readUInt32LE(at + 4));
    const path = stringAt(cache, cache.readUInt32LE(at + 8));
    if (name && path?.startsWith("/")) entries.push({ name, path, flags: cache.readUInt32LE(at), hwcap: cache.readBigUInt64LE(at + 16) });
  }
  return entries;
}

/**
 * A cache of the entries given, which must be in the order of an existing cache: the linker looks names up by halving,
 * in its own collation, and a selection keeps that order. For little-endian machines.
 */
export function encodeLdCache(entries: readonly LdCacheEntry[]): Buffer {
  const strings: Buffer[] = [];
  let next = headerBytes + entries.length * entryBytes;
  const put = (value: string) => {
    const at = next;
    const bytes = Buffer.from(`${value}\0`);
    strings.push(bytes);
    next += bytes.length;
    return at;
  };
  const table = Buffer.alloc(headerBytes + entries.length * entryBytes);
  table.write(magic, 0, "latin1");
  table.writeUInt32LE(entries.length, 20);
  table.writeUInt8(littleEndianFlag, 28);
  entries.forEach((entry, index) => {
    const at = headerBytes + index * entryBytes;
    table.writeUInt32LE(entry.flags, at);
    table.writeUInt32LE(put(entry.name), at + 4);
    table.writeUInt32LE(put(entry.path), at + 8);
    table.writeBigUInt64LE(entry.hwcap, at + 16);
  });
  table.writeUInt32LE(next - table.length, 24);
  return Buffer.concat([table, ...strings]);
}

/** Older systems put the new cache behind one of the old form (16 bytes and 12 for each entry), at a multiple of 8. */
function newCacheStart(file: Buffer): number | null {
  const isNew = (at: number) => file.length >= at + headerBytes && file.toString("latin1", at, at + magic.length) === magic;
  if (isNew(0)) return 0;
  if (file.length < 16 || file.toString("latin1", 0, oldMagic.length) !== oldMagic) return null;
  const at = Math.ceil((16 + file.readUInt32LE(12) * 12) / 8) * 8;
  return isNew(at) ? at : null;
}

function stringAt(cache: Buffer, at: number): string | null {
  if (at >= cache.length) return null;
  const end = cache.indexOf(0, at);
  return end > at && end - at <= 4096 ? cache.toString("utf8", at, end) : null;
}
