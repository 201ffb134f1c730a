import type { FastifyRequest } from "fastify";
import { describe, expect, it } from "vitest";
import type { Entry } from "../../server/domain/file-ports.ts";
import { acceptedCoding } from "../../server/http/content-codings.ts";
import { entryBody, etagOf, isNamed, rangeOf } from "../../server/http/file-replies.ts";
import { cursorName, nameCursor, queryPath } from "../../server/http/raw-paths.ts";
import { dataHead, encodeMessage, FrameDecoder } from "../../server/supervisor/file-agent-frames.ts";

const entry: Entry = {
  name: Buffer.from("f"),
  type: "file",
  sizeBytes: 100,
  mode: 0o644,
  uid: 0,
  gid: 0,
  modifiedMicroseconds: 1_700_000_000_000_001,
  links: 1,
  inode: "18446744073709551615",
  hardlink: null,
  target: null,
  segments: null,
};

describe("a path in a query", () => {
  it.each([
    ["/x", Buffer.from("/")],
    ["/x?path=%2fa%20b+c", Buffer.from("/a b c")],
    ["/x?stat=true&path=/%ff%0A%C3", Buffer.from([47, 255, 10, 195])],
    ["/x?path=/%C3%A9&xpath=/no", Buffer.from("/é")],
  ])("is bytes: %s", (url, bytes) => {
    expect(queryPath(url)).toEqual(bytes);
  });
  it.each(["/x?path=", "/x?path=a", "/x?path=/%0", "/x?path=/%00", `/x?path=/${"a".repeat(4_095)}`])("is refused: %s", (url) => {
    expect(() => queryPath(url)).toThrow(/path/);
  });
});

describe("a cursor", () => {
  it("holds any name", () => {
    const name = Buffer.from([255, 10, 65]);
    expect(cursorName(nameCursor(name))).toEqual(name);
  });
});

describe("a range", () => {
  const asked = (range: string, others = {}) => rangeOf({ headers: { range, ...others } } as FastifyRequest, entry);
  it.each([
    ["bytes=0-", { offset: 0, length: 100 }],
    ["bytes=10-19", { offset: 10, length: 10 }],
    ["bytes=90-500", { offset: 90, length: 10 }],
    ["bytes=-7", { offset: 93, length: 7 }],
    ["bytes=-500", { offset: 0, length: 100 }],
    ["bytes=100-", "outside"],
    ["bytes=-0", "outside"],
    ["bytes=5-4", null],
    ["bytes=0-1,4-5", null],
    ["lines=0-1", null],
    ["bytes=x", null],
  ])("%s", (range, expected) => {
    expect(asked(range)).toEqual(expected);
  });
  it("counts only for the version that If-Range names", () => {
    expect(asked("bytes=0-1", { "if-range": etagOf(entry) })).toEqual({ offset: 0, length: 2 });
    expect(asked("bytes=0-1", { "if-range": '"other"' })).toBe(null);
  });
});

it("an ETag is named by If-None-Match in a list, weak, or by *", () => {
  const etag = etagOf(entry);
  expect([undefined, "*", etag, `"x", W/${etag}`, '"x"'].map((header) => isNamed(header, etag))).toEqual([false, true, true, true, false]);
});

it("times that no date can say are shown as the nearest one", () => {
  const shown = (modifiedMicroseconds: number) => entryBody({ ...entry, modifiedMicroseconds }).modifiedAt;
  expect([shown(-5), shown(2 ** 63)]).toEqual(["1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"]);
});

it.each([
  [undefined, null],
  ["identity", null],
  ["gzip", "gzip"],
  ["gzip, zstd", "zstd"],
  ["gzip;q=1, zstd;q=0.5", "gzip"],
  ["gzip;q=0, br", null],
])("Accept-Encoding %s is answered with %s", (header, coding) => {
  expect(acceptedCoding(header)).toBe(coding);
});

describe("frames of the file agent", () => {
  it("come out the same however they are cut, values as bytes, payloads in pieces", () => {
    const name = Buffer.from([255, 61, 10]);
    const payload = Buffer.alloc(1_000, 7);
    const stream = Buffer.concat([
      encodeMessage("ENTRY", 5, [
        ["path", name],
        ["size", 3],
      ]),
      dataHead(5, payload.length),
      payload,
      encodeMessage("DONE", 5, []),
    ]);
    for (const size of [1, 7, 13, 500, 5_000]) {
      const decoder = new FrameDecoder();
      const data: Buffer[] = [];
      const others: unknown[] = [];
      for (let start = 0; start < stream.length; start += size)
        for (const frame of decoder.push(stream.subarray(start, start + size))) {
          if (frame.name === "DATA") data.push(frame.bytes);
          else others.push([frame.name, frame.request, Object.fromEntries(frame.fields)]);
        }
      expect(Buffer.concat(data)).toEqual(payload);
      expect(others).toEqual([
        ["ENTRY", 5, { path: name.toString("latin1"), size: "3" }],
        ["DONE", 5, {}],
      ]);
    }
  });
  it("refuse a NUL in a value, and what has no form", () => {
    expect(() => encodeMessage("STAT", 1, [["path", Buffer.from([47, 0])]])).toThrow();
    expect(() => [...new FrameDecoder().push(Buffer.alloc(12))]).toThrow();
  });
});
