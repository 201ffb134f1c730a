import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { paddingOf } from "../../server/domain/tar-format.ts";
import { type TarHeader, tarEnd, tarHeader } from "../../server/domain/tar-writer.ts";
import { TarError } from "../../server/http/tar-numbers.ts";
import { readTar, type TarEntry } from "../../server/http/tar-reader.ts";
import { paxRecord, rawEntry, rawTar } from "../fixtures/raw-tar.ts";

const folder = mkdtempSync(join(tmpdir(), "unshared-tar-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** In chunks of an odd size, so that every header is cut somewhere. */
async function* chunksOf(bytes: Buffer, size = 333): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

const entriesOf = async (archive: Buffer, size?: number): Promise<(TarEntry & { data: Buffer })[]> => {
  const entries: (TarEntry & { data: Buffer })[] = [];
  for await (const piece of readTar(chunksOf(archive, size))) {
    if (piece.kind === "entry") entries.push({ ...piece.entry, data: Buffer.alloc(0) });
    const last = entries.at(-1) as { data: Buffer };
    if (piece.kind === "bytes") last.data = Buffer.concat([last.data, piece.bytes]);
    if (piece.kind === "hole") last.data = Buffer.concat([last.data, Buffer.alloc(piece.length)]);
  }
  return entries;
};

const sparseFile = (data: string, records: Record<string, string>): Buffer => {
  const own = Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value)));
  return Buffer.concat([rawEntry({ name: "x", type: "x", data: own }), rawTar({ name: "y", data: Buffer.from(data) })]);
};
const sparse01 = (map: string, size: string): Buffer => sparseFile("abc", { "GNU.sparse.map": map, "GNU.sparse.size": size });

const plain: TarHeader = {
  path: Buffer.from("file"),
  type: "file",
  sizeBytes: 0,
  mode: 0o640,
  uid: 1000,
  gid: 100,
  modifiedSeconds: 1_700_000_000.5,
  target: null,
  segments: null,
};
const long = Buffer.concat([Buffer.from(`${"d".repeat(150)}/${"f".repeat(200)}`), Buffer.from([0xff, 0x0a])]);

describe("an archive that is written", () => {
  it("is read by tar(1), with names of any bytes and length, links and directories", () => {
    const data = Buffer.from("hello");
    const archive = Buffer.concat([
      tarHeader({ ...plain, path: long.subarray(0, 150), type: "directory", mode: 0o750 }),
      tarHeader({ ...plain, path: long, sizeBytes: data.length }),
      data,
      Buffer.alloc(paddingOf(data.length)),
      tarHeader({ ...plain, path: Buffer.from("again"), type: "hardlink", target: long }),
      tarHeader({ ...plain, path: Buffer.from("link"), type: "link", target: Buffer.from("t".repeat(300)) }),
      tarEnd(),
    ]);
    const into = join(folder, "written");
    mkdirSync(into);
    const { status, stderr } = spawnSync("tar", ["xf", "-", "-C", into], { input: archive });
    expect([status, String(stderr)]).toEqual([0, ""]);
    const path = Buffer.concat([Buffer.from(`${into}/`), long]);
    expect(readFileSync(path)).toEqual(data);
    expect(statSync(path)).toMatchObject({ mode: 0o100640, uid: 1000, gid: 100, nlink: 2, mtimeMs: 1_700_000_000_000 });
    expect(statSync(join(into, "again")).ino).toBe(statSync(path).ino);
    expect(readlinkSync(join(into, "link"))).toBe("t".repeat(300));
  });

  it("says sizes beyond 8 GiB in the GNU way", async () => {
    const header = tarHeader({ ...plain, sizeBytes: 2 ** 40 });
    const { stdout } = spawnSync("tar", ["tvf", "-"], { input: header });
    expect(String(stdout)).toContain(` ${2 ** 40} `);
    const pieces = readTar(chunksOf(header));
    expect((await pieces.next()).value).toMatchObject({ entry: { sizeBytes: 2 ** 40 } });
  });
});

describe("an archive that is read", () => {
  it.each(["gnu", "pax", "ustar", "v7", "oldgnu"])("by tar(1) in the format %s", async (format) => {
    const from = join(folder, format);
    const deep = format === "gnu" || format === "pax" ? `${"a".repeat(120)}/${"b".repeat(120)}` : "a/b";
    mkdirSync(join(from, deep), { recursive: true });
    writeFileSync(join(from, deep, "f"), "content");
    writeFileSync(join(from, "big"), Buffer.alloc(100_000, 7));
    spawnSync("ln", ["-s", "elsewhere", join(from, "link")]);
    spawnSync("ln", [join(from, "big"), join(from, "second")]);
    const { stdout } = spawnSync("tar", ["cf", "-", `--format=${format}`, "-C", from, "."], { maxBuffer: 1e8 });
    const entries = await entriesOf(stdout);
    expect(entries.map(({ path }) => String(path).replace(/\/$/, "")).sort()).toEqual(
      [".", ...(readdirSync(from, { recursive: true }) as string[]).map((name) => `./${name}`)].sort(),
    );
    const found = (name: string) => entries.find(({ path }) => String(path) === name);
    expect(String(found(`./${deep}/f`)?.data)).toBe("content");
    expect(found("./link")).toMatchObject({ type: "link", target: Buffer.from("elsewhere") });
    const second = entries.filter(({ type }) => type === "hardlink");
    expect(second).toHaveLength(1);
    expect(entries.reduce((sum, { data }) => sum + data.length, 0)).toBe(100_007);
  });

  it("keeps names as bytes, in pax headers too", async () => {
    const name = Buffer.from([0xff, 0x41, 0xc3]);
    const records = Buffer.concat([paxRecord("path", name), paxRecord("size", "3"), paxRecord("mtime", "5.25")]);
    const archive = Buffer.concat([
      rawEntry({ name: "x", type: "x", data: records }),
      rawTar({ name: "short", data: Buffer.from("abc"), size: 3 }),
    ]);
    const [entry] = await entriesOf(archive);
    expect(entry).toMatchObject({ path: name, sizeBytes: 3, modifiedSeconds: 5.25 });
  });

  const damaged: [string, Buffer][] = [
    ["empty", Buffer.alloc(0)],
    ["no archive", Buffer.from("x".repeat(2_000))],
    ["without an end", rawEntry({ name: "a", data: Buffer.from("b") })],
    ["cut in a file", rawTar({ name: "a", data: Buffer.alloc(2_000) }).subarray(0, 1_000)],
    ["cut in a header", rawTar({ name: "a" }).subarray(0, 300)],
    ["with a damaged header", Buffer.from(rawTar({ name: "a" }).map((byte, index) => (index === 3 ? 65 : byte)))],
    ["with a long name beyond all bounds", rawTar({ name: "x", type: "L", size: 2 ** 32 })],
    ["with a pax record of no form", rawTar({ name: "x", type: "x", data: Buffer.from("99 path=a\n") })],
    ["with a pax record without a length", rawTar({ name: "x", type: "x", data: Buffer.from(" path=a\n") })],
    ["with a pax record of length 0", rawTar({ name: "x", type: "x", data: Buffer.from("0 path=a\n") })],
    ["whose map of holes is beyond the file", sparse01("0,3", "2")],
    ["whose map of holes goes back", sparse01("1,2,0,1", "4")],
    ["whose map of holes overlaps itself", sparse01("0,2,1,1", "4")],
    ["whose map of holes is of other bytes", sparse01("0,2", "4")],
    ["whose map of holes is half a pair", sparse01("0,3,3", "4")],
    ["whose map of holes is no map", sparse01("0,three", "4")],
    ["with holes and without a size", sparseFile("abc", { "GNU.sparse.map": "0,3" })],
    ["with a map of holes that has no end", sparseFile("9\n0\n", { "GNU.sparse.major": "1", "GNU.sparse.realsize": "9" })],
    ["with a map of holes that is one long line", sparseFile("1".repeat(2_000), { "GNU.sparse.major": "1", "GNU.sparse.realsize": "9" })],
    ["with more holes than anybody has", sparseFile("99999999\n0\n", { "GNU.sparse.major": "1", "GNU.sparse.realsize": "9" })],
    ["with holes in the old form that do not fit", rawTar({ name: "a", type: "S", data: Buffer.from("abc") })],
    ...["3", "4", "6", "M", "V"].map((type): [string, Buffer] => [`with the type ${type}`, rawTar({ name: "a", type })]),
  ];
  it.each(damaged)("is refused %s", async (_, archive) => {
    for (const size of [1, 333, 100_000]) await expect(entriesOf(archive, size)).rejects.toBeInstanceOf(TarError);
  });
});

describe("what comes before an entry", () => {
  const header = (records: Buffer[]): Buffer => rawEntry({ name: "x", type: "x", data: Buffer.concat(records) });
  const half = header([paxRecord("comment", "c".repeat(40_000))]);
  const end = rawTar({ name: "y" });

  it("is bounded as a whole, however many headers it is in", async () => {
    await expect(entriesOf(Buffer.concat([half, half, end]), 4_096)).rejects.toThrow(
      "the extended headers of an entry are larger than 65536 bytes",
    );
    expect(await entriesOf(Buffer.concat([half, end.subarray(0, 512), half, end]), 4_096)).toHaveLength(2);
  });
});
