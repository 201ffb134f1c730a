/** What reading and writing tar archives share: blocks, numbers, checksums (tar(5), https://www.gnu.org/software/tar/manual/html_node/Standard.html). */

export const blockBytes = 512;
export const paddingOf = (size: number): number => (blockBytes - (size % blockBytes)) % blockBytes;

/** Where each field lies in a header: offset and length. */
export const at = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  link: [157, 100],
  magic: [257, 8],
  prefix: [345, 155],
  /** GNU, of a file with holes: its first segments, whether a block of more follows, and its size with the holes. */
  segments: [386, 96],
  more: [482, 1],
  realSize: [483, 12],
} as const;

/** One segment: two numbers of 12 bytes. A block of further ones holds 21, and whether another follows. */
export const segmentBytes = 24;
export const furtherSegments = 21;
export const moreOfFurther = 504;

/** The sum of a header's bytes, its checksum's own counted as spaces. `signed` as some old programs made it. */
export const checksumOf = (header: Buffer, signed = false): number => {
  const [start, length] = at.checksum;
  let sum = 32 * length;
  for (let index = 0; index < blockBytes; index++) {
    if (index >= start && index < start + length) continue;
    sum += signed ? header.readInt8(index) : (header[index] as number);
  }
  return sum;
};
