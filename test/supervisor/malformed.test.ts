import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { Launcher, usual } from "./launcher-fixture.ts";
import { bodyOf, frameOf, RawClient, types } from "./raw-client.ts";
import type { Sandbox } from "./sandbox-fixture.ts";

let launcher: Launcher;
let box: Sandbox;
beforeAll(async () => {
  launcher = await Launcher.start();
  box = await launcher.launch();
});
afterAll(async () => {
  await box.end();
  await launcher[Symbol.asyncDispose]();
});

const sockets: [string, () => string][] = [
  ["launcher", () => join(launcher.directory, "run/launcher.sock")],
  ["supervisor", () => launcher.socket(box.id)],
];
/** A request without fields that each of them answers. */
const harmless = { launcher: types.HELLO, supervisor: types.ATTACH } as Record<string, number>;

const malformed: [string, Buffer][] = [
  ["version 0", frameOf(types.HELLO, 1, "", { version: 0 })],
  ["version 2", frameOf(types.HELLO, 1, "", { version: 2 })],
  ["request 0", frameOf(types.HELLO, 0, "")],
  ["a body above the limit", frameOf(types.HELLO, 1, "", { length: 1_048_577 })],
  ["a length of all ones", frameOf(types.HELLO, 1, "", { length: 0xffffffff })],
  ["a field without an end", frameOf(types.HELLO, 1, "a=1")],
  ["a field without a key", frameOf(types.HELLO, 1, "=1\0")],
  ["a field without =", frameOf(types.HELLO, 1, "abc\0")],
  ["a key with capitals", frameOf(types.HELLO, 1, "Id=1\0")],
  ["a key of 33 bytes", frameOf(types.HELLO, 1, `${"k".repeat(33)}=1\0`)],
  ["a second field without an end", frameOf(types.HELLO, 1, "a=1\0b=2")],
  ["4,097 fields", frameOf(types.HELLO, 1, "a=\0".repeat(4097))],
];

describe.each(sockets)("the %s", (name, path) => {
  test.each(malformed)("closes a connection that sends %s", async (_, frame) => {
    const client = await RawClient.open(path());
    client.socket.write(frame);
    await eventually("closed", () => client.closed);
    const other = await RawClient.open(path());
    expect((await other.ask(harmless[name] as number)).name).not.toBe("ERROR");
    other.close();
  });

  test("takes a frame byte by byte, and several in one write", async () => {
    const client = await RawClient.open(path());
    const reply = client.ask(harmless[name] as number);
    expect((await reply).name).not.toBe("ERROR");
    const slow = connect(path());
    for (const byte of frameOf(harmless[name] as number, 7, "")) {
      slow.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    const [chunk] = (await once(slow, "data")) as [Buffer];
    expect(chunk.readUInt32LE(8)).toBe(7);
    slow.destroy();
    const replies = await Promise.all(Array.from({ length: 20 }, () => client.ask(harmless[name] as number)));
    expect(new Set(replies.map((one) => one.request)).size).toBe(20);
    client.close();
  });

  test("answers a type it does not know, and a message of the other's, with an error", async () => {
    const client = await RawClient.open(path());
    for (const type of [0, 2, 11, 17, 30, 64, 65535, name === "launcher" ? types.ATTACH : types.HELLO])
      expect((await client.ask(type)).text("code"), `${type}`).toBe("invalid");
    expect((await client.ask(harmless[name] as number)).name).not.toBe("ERROR");
    client.close();
  });

  test("takes a body of exactly the limit", async () => {
    const client = await RawClient.open(path());
    const reply = await client.askRaw(harmless[name] as number, `a=${"x".repeat(1_048_576 - 3)}\0`);
    expect([reply.text("code"), reply.text("message")]).toEqual(["invalid", "unknown field a"]);
    client.close();
  });

  test("minds no connection that ends in the middle of a frame", async () => {
    const client = await RawClient.open(path());
    client.socket.end(frameOf(types.HELLO, 1, bodyOf(usual)).subarray(0, 100));
    await eventually("closed", () => client.closed);
    const other = await RawClient.open(path());
    expect((await other.ask(harmless[name] as number)).name).not.toBe("ERROR");
    other.close();
  });

  test("serves sixteen connections and no more", async () => {
    const clients: RawClient[] = [];
    for (let i = 0; i < 18; i++) {
      const client = await RawClient.open(path());
      await client.ask(harmless[name] as number).catch(() => {}); // accepted or closed by now, so the listener's queue stays short
      clients.push(client);
    }
    await eventually("three are closed", () => clients.filter((client) => client.closed).length === 3);
    for (const client of clients.filter((one) => !one.closed)) {
      expect((await client.ask(harmless[name] as number)).name).not.toBe("ERROR");
      client.close();
    }
    await eventually("there is room again", async () => {
      const client = await RawClient.open(path());
      const answered = await client.ask(harmless[name] as number).then(
        () => true,
        () => false,
      );
      client.close();
      return answered;
    });
  });

  test("has a socket of mode 0600 and closes a connection of another uid", async () => {
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    const script = `
      const socket = require("node:net").connect(process.argv[1]);
      socket.on("connect", () => socket.write(Buffer.from(process.argv[2], "hex")));
      socket.on("data", () => { console.log("answered"); process.exit(); });
      socket.on("close", () => console.log("closed"));
      socket.on("error", (error) => console.log(error.code));`;
    const ask = async (uid: number) => {
      const request = frameOf(harmless[name] as number, 1, "").toString("hex");
      const child = spawn("setpriv", [`--reuid=${uid}`, "--clear-groups", process.execPath, "-e", script, path(), request], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      let said = "";
      child.stdout.on("data", (chunk) => {
        said += chunk;
      });
      await once(child, "close");
      return said.trim().split("\n")[0];
    };
    // Open to everybody for a moment: what refuses the stranger then are the credentials alone.
    const opened = [launcher.directory, join(launcher.directory, "run"), join(launcher.directory, "run/sandboxes")];
    const modes = opened.map((directory) => statSync(directory).mode);
    for (const directory of opened) chmodSync(directory, 0o711);
    chmodSync(path(), 0o666);
    expect([await ask(0), await ask(65534)]).toEqual(["answered", expect.stringMatching(/closed|ECONNRESET|EPIPE/)]);
    chmodSync(path(), 0o600);
    opened.forEach((directory, i) => {
      chmodSync(directory, modes[i] as number);
    });
  });
});
