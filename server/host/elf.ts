import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** What the dynamic linker would want to know about one ELF file (elf(5)). */
export interface ElfImage {
  class: 32 | 64;
  littleEndian: boolean;
  /** `e_machine`: 62 for x86-64, 183 for AArch64, and so on. */
  machine: number;
  /** `e_type`: 2 for a program at a fixed address, 3 for a shared object or a position-independent program. */
  type: number;
  /** PT_INTERP: the program that the kernel starts in its place; null when static or a library. */
  interpreter: string | null;
  needed: string[];
  soname: string | null;
  /** DT_RPATH and DT_RUNPATH, cut at the colons; null when the tag is absent. */
  rpath: string[] | null;
  runpath: string[] | null;
  /** DF_1_NODEFLIB: the default directories are not searched for what this file needs. */
  noDefaultLibraries: boolean;
}

/** `not-elf`: no ELF magic, so it may be a script; `malformed`: an ELF file with a header or offset that cannot be. */
export class ElfError extends Error {
  readonly code: "not-elf" | "malformed";
  constructor(code: ElfError["code"], message: string) {
    super(message);
    this.name = "ElfError";
    this.code = code;
  }
}

// Real programs have about 13 program headers and 30 dynamic entries; the bounds keep a crafted file from costing memory.
const maxProgramHeaders = 512;
const maxDynamicBytes = 1024 * 1024;
const maxStringBytes = 4096;
const maxNeeded = 1024;

const ptLoad = 1;
const ptDynamic = 2;
const ptInterp = 3;
const dtNull = 0;
const dtNeeded = 1;
const dtStrtab = 5;
const dtStrsz = 10;
const dtSoname = 14;
const dtRpath = 15;
const dtRunpath = 29;
const dtFlags1 = 0x6ffffffb;
const df1NoDefaultLibraries = 0x800;

interface Segment {
  type: number;
  offset: number;
  address: number;
  fileBytes: number;
}

/** Reads the ELF facts of the file at `path` (which must be a regular file) without running it. Throws `ElfError`, or the system's error. */
export async function readElf(path: string): Promise<ElfImage> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return await new ElfReader(file, (await file.stat()).size).read();
}

class ElfReader {
  private readonly file: FileHandle;
  private readonly size: number;
  private wide = true;
  private little = true;

  constructor(file: FileHandle, size: number) {
    this.file = file;
    this.size = size;
  }

  async read(): Promise<ElfImage> {
    if (this.size < 4) throw new ElfError("not-elf", "not an ELF file");
    const head = await this.bytes(0, Math.min(64, this.size), "header");
    if (head.readUInt32BE(0) !== 0x7f454c46) throw new ElfError("not-elf", "not an ELF file");
    if (head.length < 52) throw new ElfError("malformed", "the ELF header is cut short");
    const [kind, order] = [head[4], head[5]];
    if ((kind !== 1 && kind !== 2) || (order !== 1 && order !== 2)) throw new ElfError("malformed", "unknown ELF class or byte order");
    this.wide = kind === 2;
    this.little = order === 1;
    if (this.wide && head.length < 64) throw new ElfError("malformed", "the ELF header is cut short");
    const segments = await this.segments(head);
    const facts = await this.dynamic(segments);
    return {
      class: this.wide ? 64 : 32,
      littleEndian: this.little,
      machine: this.u16(head, 18),
      type: this.u16(head, 16),
      interpreter: await this.interpreter(segments),
      ...facts,
    };
  }

  private async segments(head: Buffer): Promise<Segment[]> {
    const offset = this.word(head, this.wide ? 32 : 28);
    const entryBytes = this.u16(head, this.wide ? 54 : 42);
    const count = this.u16(head, this.wide ? 56 : 44);
    if (count === 0) return [];
    if (count > maxProgramHeaders) throw new ElfError("malformed", `${count} program headers`);
    if (entryBytes !== (this.wide ? 56 : 32)) throw new ElfError("malformed", `program headers of ${entryBytes} bytes`);
    const table = await this.bytes(offset, count * entryBytes, "program headers");
    return Array.from({ length: count }, (_, index) => {
      const at = index * entryBytes;
      return {
        type: this.u32(table, at),
        offset: this.word(table, at + (this.wide ? 8 : 4)),
        address: this.word(table, at + (this.wide ? 16 : 8)),
        fileBytes: this.word(table, at + (this.wide ? 32 : 16)),
      };
    });
  }

  private async interpreter(segments: Segment[]): Promise<string | null> {
    const segment = segments.find((each) => each.type === ptInterp);
    if (!segment) return null;
    if (segment.fileBytes < 2 || segment.fileBytes > maxStringBytes)
      throw new ElfError("malformed", "interpreter path of impossible length");
    const path = text(await this.bytes(segment.offset, segment.fileBytes, "interpreter"));
    if (!path.startsWith("/")) throw new ElfError("malformed", "the interpreter path is not absolute");
    return path;
  }

  private async dynamic(segments: Segment[]): Promise<Pick<ElfImage, "needed" | "soname" | "rpath" | "runpath" | "noDefaultLibraries">> {
    const segment = segments.find((each) => each.type === ptDynamic);
    const tags = segment && segment.fileBytes > 0 ? await this.tags(segment) : [];
    const value = (tag: number) => tags.find((each) => each.tag === tag)?.value;
    const strings = this.stringReader(segments, value(dtStrtab), value(dtStrsz));
    const needed: string[] = [];
    for (const each of tags) if (each.tag === dtNeeded) needed.push(await strings(each.value));
    if (needed.length > maxNeeded) throw new ElfError("malformed", `${needed.length} needed libraries`);
    const one = async (tag: number) => {
      const at = value(tag);
      return at === undefined ? null : await strings(at);
    };
    return {
      needed,
      soname: await one(dtSoname),
      rpath: (await one(dtRpath))?.split(":") ?? null,
      runpath: (await one(dtRunpath))?.split(":") ?? null,
      noDefaultLibraries: ((value(dtFlags1) ?? 0) & df1NoDefaultLibraries) !== 0,
    };
  }

  private async tags(segment: Segment): Promise<{ tag: number; value: number }[]> {
    if (segment.fileBytes > maxDynamicBytes) throw new ElfError("malformed", "the dynamic section is too large");
    const step = this.wide ? 16 : 8;
    const table = await this.bytes(segment.offset, segment.fileBytes, "dynamic section");
    const tags: { tag: number; value: number }[] = [];
    for (let at = 0; at + step <= table.length; at += step) {
      const tag = this.word(table, at);
      if (tag === dtNull) break;
      tags.push({ tag, value: this.word(table, at + step / 2) });
    }
    return tags;
  }

  private stringReader(segments: Segment[], address: number | undefined, bytes: number | undefined): (at: number) => Promise<string> {
    return async (at) => {
      if (address === undefined || bytes === undefined) throw new ElfError("malformed", "no dynamic string table");
      const load = segments.find((each) => each.type === ptLoad && address >= each.address && address < each.address + each.fileBytes);
      if (!load) throw new ElfError("malformed", "the dynamic string table lies in no segment");
      if (at >= bytes) throw new ElfError("malformed", "a string lies outside of its table");
      const offset = load.offset + (address - load.address) + at;
      return text(await this.bytes(offset, Math.min(bytes - at, maxStringBytes, Math.max(this.size - offset, 1)), "string"));
    };
  }

  private async bytes(offset: number, length: number, what: string): Promise<Buffer> {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 1 || offset + length > this.size) {
      throw new ElfError("malformed", `${what} outside of the file`);
    }
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await this.file.read(buffer, 0, length, offset);
    if (bytesRead !== length) throw new ElfError("malformed", `${what} cut short`);
    return buffer;
  }

  private u16(from: Buffer, at: number): number {
    return this.little ? from.readUInt16LE(at) : from.readUInt16BE(at);
  }

  private u32(from: Buffer, at: number): number {
    return this.little ? from.readUInt32LE(at) : from.readUInt32BE(at);
  }

  /** An address, offset or tag value; one too large for a number to hold exactly is no offset into any file, and `bytes` refuses it. */
  private word(from: Buffer, at: number): number {
    if (!this.wide) return this.u32(from, at);
    return Number(this.little ? from.readBigUInt64LE(at) : from.readBigUInt64BE(at));
  }
}

/** The string up to its NUL; without one within the bound, or with bytes that are not UTF-8, the file is malformed. */
function text(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  if (end < 1) throw new ElfError("malformed", end === 0 ? "an empty string where a name is needed" : "a string without an end");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end));
  } catch {
    throw new ElfError("malformed", "a name that is not UTF-8");
  }
}
