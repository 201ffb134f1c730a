import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { encodeLdCache, parseLdCache } from "../../server/host/ld-cache.ts";

const file = readFileSync("/etc/ld.so.cache");

describe("the linker's cache", () => {
  it("is read as ldconfig reads it", () => {
    const printed = execFileSync("/sbin/ldconfig", ["-p"], { encoding: "utf8" });
    const expected = [...printed.matchAll(/^\t(\S+) \(.*\) => (\S+)$/gm)].map((match) => `${match[1]} ${match[2]}`);
    expect(parseLdCache(file).map((entry) => `${entry.name} ${entry.path}`)).toEqual(expected);
    expect(expected.length).toBeGreaterThan(10);
  });

  it("survives being written again", () => {
    const entries = parseLdCache(file);
    expect(parseLdCache(encodeLdCache(entries))).toEqual(entries);
  });

  it("is found behind a cache of the old form", () => {
    const old = Buffer.alloc(16 + 3 * 12);
    old.write("ld.so-1.7.0");
    old.writeUInt32LE(3, 12);
    const padding = Buffer.alloc((8 - (old.length % 8)) % 8);
    expect(parseLdCache(Buffer.concat([old, padding, file]))).toEqual(parseLdCache(file));
  });

  it("gives nothing when it is damaged", () => {
    expect(parseLdCache(Buffer.alloc(0))).toEqual([]);
    expect(parseLdCache(Buffer.from("not a cache at all, but long enough for a header of forty-eight bytes"))).toEqual([]);
    const cut = Buffer.from(file.subarray(0, 200));
    expect(parseLdCache(cut)).toEqual([]);
    const wild = encodeLdCache([{ name: "libx.so", path: "/lib/libx.so", flags: 0x303, hwcap: 0n }]);
    wild.writeUInt32LE(0xffff_fff0, 48 + 8);
    expect(parseLdCache(wild)).toEqual([]);
  });
});
