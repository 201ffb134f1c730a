import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Connection, ConnectionLostError, RefusedError, ReplyTimeoutError } from "../../server/supervisor/connection.ts";
import { Decoder, encode, type Message } from "../../server/supervisor/protocol.ts";

let folder: string;
let server: Server;
let answer: (message: Message, socket: Socket) => void;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "unshared-connection-"));
  server = createServer((socket) => {
    const decoder = new Decoder();
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      for (const message of decoder.push(chunk as Buffer)) answer(message, socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(join(folder, "s"), resolve));
});
afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

const open = () => Connection.open(join(folder, "s"));

test("replies find their requests in any order", async () => {
  const held: Message[] = [];
  answer = (message, socket) => {
    held.push(message);
    if (held.length === 3) for (const { request, fields } of held.reverse()) socket.write(encode("DONE", request, fields));
  };
  const connection = await open();
  const replies = await Promise.all(["1", "2", "3"].map((grace) => connection.request("STOP", [["grace-ms", grace]], "DONE", 1_000)));
  expect(replies.map(({ fields }) => fields[0]?.[1])).toEqual(["1", "2", "3"]);
  connection.close();
});

test("an ERROR rejects its own request alone", async () => {
  answer = ({ name, request }, socket) =>
    socket.write(
      name === "STOP"
        ? encode("ERROR", request, [
            ["code", "ended"],
            ["message", "over"],
          ])
        : encode("DONE", request, []),
    );
  const connection = await open();
  const stop = connection.request("STOP", [["grace-ms", "0"]], "DONE", 1_000);
  await expect(stop).rejects.toBeInstanceOf(RefusedError);
  await expect(stop).rejects.toMatchObject({ code: "ended", message: "over" });
  await expect(connection.request("RELEASE", [], "DONE", 1_000)).resolves.toMatchObject({ name: "DONE" });
  connection.close();
});

test("a request without an answer times out, and its late answer is dropped", async () => {
  const late: (() => void)[] = [];
  answer = ({ request }, socket) => {
    if (late.length > 0) socket.write(encode("DONE", request, []));
    else late.push(() => socket.write(encode("DONE", request, [])));
  };
  const connection = await open();
  await expect(connection.request("RELEASE", [], "DONE", 30)).rejects.toBeInstanceOf(ReplyTimeoutError);
  late[0]?.();
  await expect(connection.request("RELEASE", [], "DONE", 1_000)).resolves.toMatchObject({ name: "DONE" });
  connection.close();
});

test("the end of the connection rejects all that wait, and is told once", async () => {
  answer = (_message, socket) => socket.destroy();
  const connection = await open();
  const ends: Error[] = [];
  connection.onClose = (error) => ends.push(error);
  const waiting = [connection.request("STOP", [["grace-ms", "0"]], "DONE", 1_000), connection.request("RELEASE", [], "DONE", 1_000)];
  for (const { status } of await Promise.allSettled(waiting)) expect(status).toBe("rejected");
  await expect(connection.request("RELEASE", [], "DONE", 1_000)).rejects.toBeInstanceOf(ConnectionLostError);
  expect(ends).toHaveLength(1);
});

test("an answer of the wrong type, or bytes of no form, close the connection", async () => {
  answer = ({ request }, socket) => socket.write(encode("WELCOME", request, []));
  const connection = await open();
  await expect(connection.request("RELEASE", [], "DONE", 1_000)).rejects.toThrow();
  expect(connection.open).toBe(false);
  answer = (_message, socket) => socket.write(Buffer.alloc(64, 0xff));
  const second = await open();
  await expect(second.request("RELEASE", [], "DONE", 1_000)).rejects.toThrow(/version|type/);
});

test("where nobody listens the errno says so", async () => {
  await expect(Connection.open(join(folder, "none"))).rejects.toMatchObject({ errno: "ENOENT" });
});
