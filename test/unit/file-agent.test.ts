/** A file agent that is somebody else's: whatever it answers, the daemon takes no more than it asked for, and passes nothing on that has no form. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FileAgentClient } from "../../server/supervisor/file-agent.ts";
import { FileAgentConnection } from "../../server/supervisor/file-agent-connection.ts";
import { type AgentField, dataHead, encodeMessage } from "../../server/supervisor/file-agent-frames.ts";

const directory = mkdtempSync(join(tmpdir(), "unshared-agent-"));
const path = join(directory, "agent.sock");
const sockets = new Set<Socket>();
let server: Server;
/** What the agent says to whatever it is asked. */
let says: Buffer[] = [];
beforeAll(async () => {
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("data", () => {
      for (const bytes of says) socket.write(bytes);
    });
  });
  await once(server.listen(path), "listening");
});
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
  rmSync(directory, { recursive: true });
});

const form = { path: "a", type: "file", size: 3, mode: 420, uid: 0, gid: 0, "mtime-us": 5, links: 1, inode: 7 };
const entry = (changed: object = {}): Buffer =>
  encodeMessage("ENTRY", 1, Object.entries({ ...form, ...changed }) as unknown as AgentField[]);
const data = (length: number): Buffer[] => [dataHead(1, length), Buffer.alloc(length)];
const done = encodeMessage("DONE", 1, []);

const answered = async <T>(answer: Buffer[], ask: (agent: FileAgentClient) => Promise<T>): Promise<T> => {
  says = answer;
  const agent = new FileAgentClient(await FileAgentConnection.open(path), () => {});
  try {
    return await ask(agent);
  } finally {
    agent.close();
  }
};
const slash = Buffer.from("/");
const stat = (agent: FileAgentClient) => agent.stat(slash, false);
const readAll = async (agent: FileAgentClient, offset = 0, length = 0): Promise<number> => {
  let bytes = 0;
  for await (const piece of (await agent.read(slash, offset, length)).bytes) bytes += piece.length;
  return bytes;
};
const refused = { code: "files-interrupted" };

describe("an answer", () => {
  it.each([
    ["a size below nothing", { size: -1 }],
    ["a size beyond what a number holds", { size: "9".repeat(17) }],
    ["a mode with more than permissions", { mode: 0o100644 }],
    ["an owner that is none", { uid: "99999999999" }],
    ["an inode that is no number", { inode: "0x7" }],
    ["a time that is no number", { "mtime-us": "now" }],
    ["a type that there is not", { type: "door" }],
    ["more fields than any has", Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`k${n}`, ""]))],
  ])("with %s is none", async (_, changed) => {
    await expect(answered([entry(changed)], stat)).rejects.toMatchObject(refused);
  });

  it("with a time that no Date holds has the last one that does", async () => {
    const { modifiedMicroseconds } = await answered([entry({ "mtime-us": "9223372036854775807" })], stat);
    expect(new Date(modifiedMicroseconds / 1_000).toISOString()).toBe("+275760-09-13T00:00:00.000Z");
  });

  it("that comes byte by byte is the same", async () => {
    const bytes = entry({ target: "x".repeat(4_000) });
    const pieces = Array.from(bytes, (byte) => Buffer.from([byte]));
    expect((await answered(pieces, stat)).target).toHaveLength(4_000);
  });
});

describe("a listing", () => {
  it("is not longer than it was asked for", async () => {
    const list = (agent: FileAgentClient) => agent.list(slash, null, 2);
    expect((await answered([entry(), entry(), done], list)).entries).toHaveLength(2);
    await expect(answered([entry(), entry(), entry(), done], list)).rejects.toMatchObject(refused);
  });
});

describe("the bytes of a file", () => {
  it.each([
    ["as many as promised", 0, 0, 3],
    ["of a part", 1, 1, 1],
    ["of a part beyond the end", 2, 100, 1],
    ["behind the end", 5, 0, 0],
  ])("come through: %s", async (_, offset, length, bytes) => {
    expect(await answered([entry(), ...data(bytes), done], (agent) => readAll(agent, offset, length))).toBe(bytes);
  });
  it.each([
    ["more than promised", [...data(3), ...data(1), done], 0],
    ["more than asked for", [...data(2), done], 1],
    ["fewer than promised", [...data(2), done], 0],
    ["something else among them", [...data(2), entry(), done], 0],
  ])("are cut off: %s", async (_, answer, length) => {
    await expect(answered([entry(), ...answer], (agent) => readAll(agent, 0, length))).rejects.toMatchObject(refused);
  });
});
