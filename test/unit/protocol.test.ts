import { expect, test } from "vitest";
import { Decoder, encode, type Field, headerBytes, type Message, maxBodyBytes, ProtocolError } from "../../server/supervisor/protocol.ts";

const decode = (frame: Buffer) => new Decoder().push(frame);

const rawFrame = (body: Buffer, { type = 1, version = 1, length = body.length } = {}): Buffer => {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(version, 6);
  header.writeUInt32LE(7, 8);
  return Buffer.concat([header, body]);
};

test("a frame has the layout of PROTOCOL.md, byte by byte", () => {
  expect(encode("STOP", 0x01020304, [["grace-ms", "5"]]).toString("hex")).toBe(
    `${"0b000000"}${"1400"}${"0100"}${"04030201"}${Buffer.from("grace-ms=5\0").toString("hex")}`,
  );
});

test("what is encoded is decoded as it was, payload included", () => {
  const fields: Field[] = [
    ["process", "main"],
    ["env", "A=b=c"],
    ["env", "Ü="],
  ];
  const payload = Buffer.from([0, 1, 0, 255]);
  expect(decode(encode("INPUT", 9, fields, payload))).toMatchObject([{ name: "INPUT", request: 9, fields, payload }]);
  expect(decode(encode("HELLO", 1, []))).toMatchObject([{ name: "HELLO", request: 1, fields: [], payload: null }]);
  expect(decode(encode("INPUT", 1, [], Buffer.alloc(0)))[0]?.payload).toEqual(Buffer.alloc(0));
});

test("frames are found however the stream is cut", () => {
  const stream = Buffer.concat([
    encode("ATTACH", 1, []),
    encode("STOP", 2, [["grace-ms", "0"]]),
    encode("INPUT", 3, [["process", "main"]], Buffer.from("x\0y")),
  ]);
  for (let size = 1; size < stream.length; size += 1) {
    const decoder = new Decoder();
    const messages = [];
    for (let start = 0; start < stream.length; start += size) messages.push(...decoder.push(stream.subarray(start, start + size)));
    expect(messages.map(({ name, request }) => `${name} ${request}`)).toEqual(["ATTACH 1", "STOP 2", "INPUT 3"]);
  }
});

test.each([
  ["another version", rawFrame(Buffer.alloc(0), { version: 2 })],
  ["an unknown type", rawFrame(Buffer.alloc(0), { type: 999 })],
  ["a length over the limit, before the body has come", rawFrame(Buffer.alloc(0), { length: maxBodyBytes + 1 })],
  ["a field without an end", rawFrame(Buffer.from("key=value"))],
  ["a field without a key", rawFrame(Buffer.from("=value\0"))],
  ["a field without an equals sign", rawFrame(Buffer.from("key\0"))],
  ["an equals sign that belongs to the next field", rawFrame(Buffer.from("key\0a=b\0"))],
  ["a key with a capital", rawFrame(Buffer.from("Key=v\0"))],
  ["a key of 33 characters", rawFrame(Buffer.from(`${"k".repeat(33)}=v\0`))],
  ["4,097 fields", rawFrame(Buffer.from("k=v\0".repeat(4097)))],
])("refuses %s", (_what, frame) => {
  expect(() => decode(frame)).toThrow(ProtocolError);
});

test("does not send what the other end would refuse", () => {
  expect(() => encode("LAUNCH", 1, [["arg", "a\0b"]])).toThrow(ProtocolError);
  expect(() => encode("LAUNCH", 1, [["Arg", "a"]])).toThrow(ProtocolError);
  expect(() => encode("LAUNCH", 1, [["arg", "a".repeat(maxBodyBytes)]])).toThrow(ProtocolError);
});

test("what was decoded stays, whatever becomes of the memory that it came in", () => {
  const payloads = ["short", "p".repeat(5_000)];
  const stream = Buffer.concat(payloads.map((payload) => encode("INPUT", 1, [["process", "main"]], Buffer.from(payload))));
  for (const size of [7, 4_096, stream.length]) {
    const decoder = new Decoder();
    const memory = Buffer.alloc(size);
    const messages = [];
    for (let start = 0; start < stream.length; start += size) {
      const length = stream.copy(memory, 0, start, start + size);
      messages.push(...decoder.push(memory.subarray(0, length)));
      memory.fill(0xff);
    }
    expect(messages.map(({ payload }) => payload?.toString())).toEqual(payloads);
  }
});

test("the memory of a large body is used again once it was given back, and not before", () => {
  const payload = (letter: string) => Buffer.from(letter.repeat(100_000));
  const one = (letter: string) => decode(encode("INPUT", 1, [], payload(letter)))[0] as Message;
  const [a, b] = [one("a"), one("b")];
  expect([a.payload, b.payload]).toEqual([payload("a"), payload("b")]);
  a.release();
  a.release();
  const [c, d] = [one("c"), one("d")];
  expect(c.payload?.buffer).toBe(a.payload?.buffer);
  expect([b.payload, c.payload, d.payload]).toEqual([payload("b"), payload("c"), payload("d")]);
});
