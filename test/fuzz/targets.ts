/** What reads files and messages of strangers: whatever they hold, it answers or refuses. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DomainError } from "../../server/domain/errors.ts";
import { at, blockBytes, checksumOf } from "../../server/domain/tar-format.ts";
import { ElfError, readElf } from "../../server/host/elf.ts";
import { encodeLdCache, parseLdCache } from "../../server/host/ld-cache.ts";
import { TarError } from "../../server/http/tar-numbers.ts";
import { readTar } from "../../server/http/tar-reader.ts";
import { terminalControlOf } from "../../server/http/terminal-controls.ts";
import { paxRecord, rawEntry, rawTar } from "../fixtures/raw-tar.ts";
import type { Target } from "./fuzzer.ts";

const bytes = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text, "latin1"));
const refused = async (work: () => unknown, refusal: new (...args: never[]) => Error): Promise<void> => {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof refusal)) throw error;
  }
};

const tar = (): Target => {
  const pax = (...records: [string, string][]): Buffer =>
    rawEntry({ name: "x", type: "x", data: Buffer.concat(records.map(([key, value]) => paxRecord(key, value))) });
  const file = rawTar({ name: "a/b", data: Buffer.from("abc") });
  const chunks = async function* (archive: Buffer): AsyncGenerator<Buffer> {
    for (let start = 0; start < archive.length; start += 333) yield archive.subarray(start, start + 333);
  };
  return {
    files: /\/server\/(http\/(tar-[a-z]+|byte-reader)|domain\/tar-format)\.ts/,
    seeds: [
      file,
      rawTar({ name: "d/", type: "5" }, { name: "l", type: "2", link: "../x" }, { name: "h", type: "1", link: "a/b" }),
      Buffer.concat([pax(["path", "long/name"], ["size", "3"], ["uid", "7"], ["mtime", "1.5"], ["linkpath", "y"]), file]),
      Buffer.concat([pax(["GNU.sparse.map", "0,1,5,2"], ["GNU.sparse.size", "9"], ["GNU.sparse.name", "s"]), file]),
      Buffer.concat([pax(["GNU.sparse.offset", "0"], ["GNU.sparse.numbytes", "3"], ["GNU.sparse.size", "9"]), file]),
      Buffer.concat([
        pax(["GNU.sparse.major", "1"], ["GNU.sparse.minor", "0"], ["GNU.sparse.realsize", "9"]),
        rawTar({ name: "s", data: Buffer.from(`${"1\n4\n3\n".padEnd(512, "\0")}abc`) }),
      ]),
      rawTar({ name: "x", type: "L", data: Buffer.from("name\0") }, { name: "y", type: "K", data: Buffer.from("link\0") }, { name: "z" }),
      rawTar({ name: "s", type: "S", data: Buffer.from("abc") }),
    ],
    words: [
      ...bytes("0", "1", "2", "5", "7", "S", "L", "K", "x", "g", "\0", "\x80", "\xff", "ustar\0", "00000000003", "77777777777", "\n"),
      ...bytes("18 GNU.sparse.map=0,1\n", "10 size=9\n", "GNU.sparse.", "\x80\0\0\0\0\0\0\0\0\0\0\x03", "999999999999999", "../"),
      Buffer.alloc(512),
      pax(["size", "3"]),
    ],
    mend: (archive) => {
      for (let start = 0; start + blockBytes <= archive.length; start += blockBytes) {
        const header = archive.subarray(start, start + blockBytes);
        if (header.toString("latin1", at.magic[0], at.magic[0] + 5) === "ustar")
          header.write(`${checksumOf(header).toString(8).padStart(6, "0")}\0 `, at.checksum[0], "latin1");
      }
    },
    run: (archive) =>
      refused(async () => {
        let last = 0;
        for await (const piece of readTar(chunks(archive))) {
          if (piece.kind !== "bytes") continue;
          last += piece.bytes.length;
          if (last > archive.length) throw new Error("more bytes than the archive has");
        }
      }, TarError),
  };
};

const elf = (folder: string): Target => {
  const path = join(folder, "program");
  return {
    files: /\/server\/host\/elf\.ts/,
    seeds: [readFileSync("/bin/true")],
    words: bytes(
      "\x7fELF\x02\x01",
      "\x7fELF\x01\x02",
      "\x01\0\0\0",
      "\x02\0\0\0",
      "\x03\0\0\0",
      "\x05\0\0\0\0\0\0\0",
      "\x38\0",
      "/lib/ld.so\0",
    ),
    run: async (program) => {
      await writeFile(path, program);
      await refused(() => readElf(path), ElfError);
    },
  };
};

const ldCache = (): Target => {
  const entry = (name: string) => ({ name, path: `/lib/${name}`, flags: 0x303, hwcap: 0n });
  const old = Buffer.alloc(56);
  old.write("ld.so-1.7.0");
  old.writeUInt32LE(3, 12);
  const cache = encodeLdCache([entry("libc.so.6"), entry("libx.so")]);
  return {
    files: /\/server\/host\/ld-cache\.ts/,
    seeds: [cache, Buffer.concat([old, cache]), readFileSync("/etc/ld.so.cache")],
    words: bytes("glibc-ld.so.cache1.1", "ld.so-1.7.0", "/", "\0"),
    run: (file) => {
      const entries = parseLdCache(file);
      // What was taken from a stranger's file is written into a root: it comes back the same.
      assert.deepEqual(parseLdCache(encodeLdCache(entries)), entries);
    },
  };
};

const terminal = (): Target => {
  return {
    files: /\/server\/http\/terminal-controls\.ts/,
    seeds: bytes('{"type":"resize","rows":24,"columns":80}', '{"type":"signal","signal":"TERM","group":true}', "null", "[]", '""'),
    words: bytes('"type"', '"resize"', '"signal"', '"__proto__":', "{}", "[", "1e999", "-1", "4097", "24.5", '"KILL"', "null", "\\u0000"),
    run: (message) =>
      refused(() => {
        const control = terminalControlOf(message.toString("utf8"));
        if (control.type === "resize") assert(control.rows >= 1 && control.rows <= 4096 && Number.isInteger(control.columns));
        else assert(control.signal !== undefined);
      }, DomainError),
  };
};

const targets: Readonly<Record<string, (folder: string) => Target>> = { tar, elf, "ld-cache": ldCache, terminal };
export const targetNames = Object.keys(targets);

/** Gives what `use` does with the target a folder of its own. @throws TypeError for a name that is none */
export const withTarget = async <T>(name: string, use: (target: Target) => Promise<T>): Promise<T> => {
  const target = targets[name];
  if (target === undefined) throw new TypeError(`no target is called ${name}`);
  const folder = await mkdtemp(join(tmpdir(), "unshared-fuzz-"));
  try {
    return await use(target(folder));
  } finally {
    await rm(folder, { recursive: true });
  }
};
