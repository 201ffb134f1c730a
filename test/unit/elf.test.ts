import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ElfError, readElf } from "../../server/host/elf.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "unshared-elf-"));
});
afterAll(() => rm(directory, { recursive: true }));

const read = async (bytes: Uint8Array) => {
  const path = join(directory, "file");
  await writeFile(path, bytes);
  return readElf(path);
};
const refusal = async (bytes: Uint8Array): Promise<string> => {
  try {
    await read(bytes);
    return "accepted";
  } catch (error) {
    if (error instanceof ElfError) return error.code;
    throw error;
  }
};

const headerBytes = 64;
const segmentBytes = 56;
const dynamicAt = headerBytes + 3 * segmentBytes;

/** A 64-bit little-endian shared object with one PT_LOAD over the whole file, an interpreter and a dynamic section. */
const craft = (tags: [tag: number, value: bigint][], strings: string, interpreter = "/lib64/ld.so\0"): Buffer => {
  const stringsAt = dynamicAt + (tags.length + 3) * 16;
  const interpreterAt = stringsAt + strings.length;
  const file = Buffer.alloc(interpreterAt + interpreter.length);
  file.write("\x7fELF\x02\x01\x01", 0, "latin1");
  file.writeUInt16LE(3, 16);
  file.writeUInt16LE(62, 18);
  file.writeBigUInt64LE(BigInt(headerBytes), 32);
  file.writeUInt16LE(segmentBytes, 54);
  file.writeUInt16LE(3, 56);
  const base = 0x400000n;
  const segment = (index: number, type: number, at: number, bytes: number) => {
    const start = headerBytes + index * segmentBytes;
    file.writeUInt32LE(type, start);
    file.writeBigUInt64LE(BigInt(at), start + 8);
    file.writeBigUInt64LE(base + BigInt(at), start + 16);
    file.writeBigUInt64LE(BigInt(bytes), start + 32);
  };
  segment(0, 1, 0, file.length);
  segment(1, 2, dynamicAt, stringsAt - dynamicAt);
  segment(2, 3, interpreterAt, interpreter.length);
  const all: [number, bigint][] = [[5, base + BigInt(stringsAt)], [10, BigInt(strings.length)], ...tags, [0, 0n]];
  all.forEach(([tag, value], index) => {
    file.writeBigUInt64LE(BigInt(tag), dynamicAt + index * 16);
    file.writeBigUInt64LE(value, dynamicAt + index * 16 + 8);
  });
  file.write(strings, stringsAt, "latin1");
  file.write(interpreter, interpreterAt, "latin1");
  return file;
};

describe("reading an ELF file", () => {
  it("finds what the linker needs to know", async () => {
    const strings = "\0libc.so.6\0$ORIGIN/a:/b\0libself.so.1\0";
    const image = await read(
      craft(
        [
          [1, 1n],
          [29, 11n],
          [14, 24n],
          [0x6ffffffb, 0x800n],
        ],
        strings,
      ),
    );
    expect(image).toEqual({
      class: 64,
      littleEndian: true,
      machine: 62,
      type: 3,
      interpreter: "/lib64/ld.so",
      needed: ["libc.so.6"],
      soname: "libself.so.1",
      rpath: null,
      runpath: ["$ORIGIN/a", "/b"],
      noDefaultLibraries: true,
    });
  });

  it("knows a file that is no ELF from a damaged one", async () => {
    expect(await refusal(Buffer.from("#!/bin/sh\n"))).toBe("not-elf");
    expect(await refusal(Buffer.alloc(0))).toBe("not-elf");
    expect(await refusal(Buffer.from("\x7fELF", "latin1"))).toBe("malformed");
  });

  const sound = () => craft([[1, 1n]], "\0libc.so.6\0");
  const changed = (change: (file: Buffer) => void) => {
    const file = sound();
    change(file);
    return file;
  };
  it.each([
    ["an unknown class", changed((file) => file.writeUInt8(7, 4))],
    ["an unknown byte order", changed((file) => file.writeUInt8(0, 5))],
    ["program headers outside of the file", changed((file) => file.writeBigUInt64LE(0xffff_ffff_ffff_fff0n, 32))],
    ["program headers at an offset past the end", changed((file) => file.writeBigUInt64LE(1n << 40n, 32))],
    ["65535 program headers", changed((file) => file.writeUInt16LE(0xffff, 56))],
    ["program headers of another size", changed((file) => file.writeUInt16LE(1, 54))],
    ["a dynamic section outside of the file", changed((file) => file.writeBigUInt64LE(1n << 33n, headerBytes + segmentBytes + 8))],
    ["a dynamic section of a gigabyte", changed((file) => file.writeBigUInt64LE(1n << 30n, headerBytes + segmentBytes + 32))],
    ["a string table in no segment", changed((file) => file.writeBigUInt64LE(1n, dynamicAt + 8))],
    ["a name outside of the string table", craft([[1, 5000n]], "\0libc.so.6\0")],
    ["a name at an offset of 64 bits", craft([[1, 0xffff_ffff_ffff_ffffn]], "\0libc.so.6\0")],
    ["a name without an end", craft([[1, 1n]], "\0libc.so.6", "/lib64/ld.so\0").subarray(0, -13)],
    ["an empty name", craft([[1, 0n]], "\0libc.so.6\0")],
    ["a name that is not UTF-8", craft([[1, 1n]], "\0\xff\xfe\0")],
    ["a relative interpreter", craft([], "\0", "lib/ld.so\0")],
    ["an interpreter without an end", craft([], "\0", "/lib/ld.so")],
  ])("refuses %s", async (_, file) => {
    expect(await refusal(file)).toBe("malformed");
  });

  it("ends every randomly damaged file with an answer or its own error", async () => {
    const base = (await readFile("/bin/true")).subarray(0, 32 * 1024);
    let seed = 12345;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const answers = new Set<string>();
    for (let round = 0; round < 1500; round++) {
      const file = Buffer.from(base);
      for (let change = 0; change < 6; change++) file.writeUInt8(random(256), change < 3 ? random(1024) : random(file.length));
      answers.add(await refusal(file.subarray(0, random(8) === 0 ? random(file.length) : file.length)));
    }
    expect([...answers].every((answer) => ["accepted", "malformed", "not-elf"].includes(answer))).toBe(true);
    expect(answers).toContain("malformed");
  });
});
