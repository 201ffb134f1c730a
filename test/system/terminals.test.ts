import { readFileSync, readlinkSync } from "node:fs";
import { get as httpGet } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { commandLine, isAlive, statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { TerminalClient } from "../fixtures/terminal-client.ts";

let daemon: SandboxDaemon;
beforeAll(async () => {
  daemon = await SandboxDaemon.start("terminals", 1_700_000_000, "--listen", "127.0.0.1:0");
  await daemon.run({ name: "box" });
});
afterAll(() => daemon[Symbol.asyncDispose]());

const startShell = async (command = ["/bin/bash", "--norc", "-i"]) => {
  const body = { command, tty: true, env: { PS1: "ready> " } };
  const reply = await daemon.request("POST", "/v1/sandboxes/box/processes", body);
  expect(reply.status, reply.text).toBe(201);
  return reply.body;
};
const get = async (id: string) => (await daemon.request("GET", `/v1/sandboxes/box/processes/${id}`)).body;

describe("a bash in a terminal", () => {
  it("has job control: Ctrl-C, Ctrl-Z, fg, and the end by exit", async () => {
    const { id, pid } = await startShell();
    const view = await TerminalClient.open(daemon, "box", id);
    await view.shows(/ready> $/);
    view.type("sleep 100\r");
    await view.shows(/sleep 100\r\n/);
    const sleeper = await until("the sleep", () =>
      daemon.pidsInside({ process: { pid } }).find((each) => commandLine(each).join(" ") === "sleep 100"),
    );
    expect(statusLine(sleeper, "State")).toMatch(/^S/);
    view.type("\x1a");
    await view.shows(/Stopped +sleep 100/);
    expect(statusLine(sleeper, "State")).toMatch(/^T/);
    view.type("fg\r");
    await until("the sleep goes on", () => statusLine(sleeper, "State").startsWith("S"));
    view.type("\x03");
    await until("the sleep has ended", () => !isAlive(sleeper));
    view.type("echo status=$?\r");
    await view.shows(/status=130/);
    view.type("exit 5\r");
    await until("the exit", () => view.closed);
    expect(view.controls.at(-1)).toMatchObject({ type: "exit", exit: { reason: "exited", code: 5 } });
    expect(view.closed?.code).toBe(1000);
    expect((await get(id)).exit.code).toBe(5);
  });

  it("is a terminal of the sandbox's own devpts, and its leader's", async () => {
    const { id, pid } = await startShell();
    expect(readlinkSync(`/proc/${pid}/fd/0`)).toMatch(/^\/dev\/pts\/\d+$/);
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    expect([fields[2], fields[3]]).toEqual([`${pid}`, `${pid}`]);
    expect(Number(fields[4])).not.toBe(0);
    expect((await daemon.request("DELETE", `/v1/sandboxes/box/processes/${id}`)).body.exit.signal).toBe("SIGKILL");
  });

  it("takes a size, and tells its program", async () => {
    const { id } = await startShell();
    const view = await TerminalClient.open(daemon, "box", id);
    await view.shows(/ready> $/);
    view.control({ type: "resize", rows: 33, columns: 101 });
    view.type("stty size\r");
    await view.shows(/33 101/);
    expect((await daemon.request("POST", `/v1/sandboxes/box/processes/${id}/resize`, { rows: 44, columns: 202 })).status).toBe(200);
    view.type("stty size\r");
    await view.shows(/44 202/);
    view.control({ type: "signal", signal: "SIGKILL" });
    await until("the exit", () => view.closed);
    expect(view.controls.at(-1)).toMatchObject({ type: "exit", exit: { reason: "signaled", signal: "SIGKILL" } });
  });

  it("is seen by several, replayed to who comes later, and left without an end", async () => {
    const { id, pid } = await startShell();
    const first = await TerminalClient.open(daemon, "box", id);
    await first.shows(/ready> $/);
    first.type("echo one-$((1+1))\r");
    await first.shows(/one-2/);
    const second = await TerminalClient.open(daemon, "box", id);
    await second.shows(/one-2/);
    second.type("echo two-$((2+2))\r");
    await Promise.all([first.shows(/two-4/), second.shows(/two-4/)]);
    first.close();
    second.socket.terminate();
    await until("both are gone", () => first.closed && second.closed);
    const third = await TerminalClient.open(daemon, "box", id);
    await third.shows(/one-2[\s\S]*two-4/);
    expect(isAlive(pid)).toBe(true);
    third.type("exit\r");
    await until("the exit", () => third.closed);
  });

  it("passes characters on that are split between frames", async () => {
    const { id } = await startShell(["/bin/bash", "--norc", "-c", "stty -echo; printf r; IFS= read -r line; printf '<%s>' \"$line\""]);
    const view = await TerminalClient.open(daemon, "box", id);
    await view.shows(/r$/);
    for (const byte of Buffer.from("grüße 🌍\n")) view.socket.send(Buffer.from([byte]), { binary: true });
    await view.shows(/<grüße 🌍>/);
  });

  it("takes a paste of 1 MB whole", { timeout: 60_000 }, async () => {
    const { id } = await startShell(["/bin/bash", "--norc", "-c", "stty -echo; printf ready; sha256sum"]);
    const view = await TerminalClient.open(daemon, "box", id);
    await view.shows(/ready/);
    const line = `${"0123456789".repeat(7)}\n`;
    const paste = line.repeat(Math.ceil(1_048_576 / line.length));
    view.type(paste);
    view.type("\x04");
    const { createHash } = await import("node:crypto");
    await view.shows(new RegExp(createHash("sha256").update(paste).digest("hex")), 0, 50_000);
  });

  it("runs on while a viewer does not read 10 MB, which then is told what it missed", { timeout: 60_000 }, async () => {
    const { id } = await startShell([
      "/bin/bash",
      "--norc",
      "-c",
      "stty -echo; printf ready; read; head -c 10000000 /dev/zero | tr '\\0' x; echo; echo done; read",
    ]);
    const view = await TerminalClient.open(daemon, "box", id);
    await view.shows(/ready/);
    view.socket.pause();
    view.type("\n");
    const other = await TerminalClient.open(daemon, "box", id);
    await other.shows(/done/, 0, 30_000);
    other.close();
    view.socket.resume();
    await view.shows(/done/, 0, 30_000);
    expect(view.text.length).toBeLessThan(10_000_000);
    expect(view.controls.some(({ type, first }) => type === "gap" && first > 0)).toBe(true);
    view.type("\n");
    await until("the exit", () => view.closed);
  });

  it("answers what is no control message, and goes on", async () => {
    const { id } = await startShell();
    const view = await TerminalClient.open(daemon, "box", id);
    for (const bad of [
      "{",
      "[]",
      '{"type":"x"}',
      '{"type":"resize","rows":0,"columns":1}',
      '{"type":"signal","signal":"SIGNOTHING"}',
      "null",
    ])
      view.socket.send(bad);
    await until("six problems", () => view.controls.length === 6);
    for (const { type, problem } of view.controls) expect([type, problem.code]).toEqual(["error", "invalid-request"]);
    view.type("echo still-$((40+2))\r");
    await view.shows(/still-42/);
    view.type("exit\r");
    await until("the exit", () => view.closed);
  });
});

describe("a terminal is refused", () => {
  it("where there is none, by a problem in place of the handshake", async () => {
    const { body } = await daemon.request("POST", "/v1/sandboxes/box/processes", { command: ["sleep", "100"] });
    await expect(TerminalClient.open(daemon, "box", body.id)).rejects.toThrow("409");
    await expect(TerminalClient.open(daemon, "box", "main")).rejects.toThrow("409");
    await expect(TerminalClient.open(daemon, "box", "nobody")).rejects.toThrow("404");
    await expect(TerminalClient.open(daemon, "nobody", "main")).rejects.toThrow("404");
    const resize = await daemon.request("POST", `/v1/sandboxes/box/processes/${body.id}/resize`, { rows: 1, columns: 1 });
    expect(resize.body).toMatchObject({ status: 409, code: "no-terminal" });
    await daemon.request("DELETE", `/v1/sandboxes/box/processes/${body.id}`);
  });

  it("to pages of other origins, other subprotocols, and requests that are no handshakes", async () => {
    const { id } = await startShell();
    const path = `/v1/sandboxes/box/processes/${id}/terminal`;
    expect((await daemon.request("GET", path)).body).toMatchObject({ status: 426, code: "upgrade-required" });
    const handshake = {
      connection: "upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    };
    expect((await daemon.request("GET", path, undefined, { ...handshake, origin: "http://evil.example" })).body).toMatchObject({
      status: 403,
    });
    expect((await daemon.request("GET", path, undefined, { ...handshake, "sec-websocket-protocol": "other" })).body).toMatchObject({
      status: 400,
    });
    expect((await daemon.request("GET", path, undefined, { ...handshake, "sec-websocket-version": "12" })).body).toMatchObject({
      status: 400,
    });
    await daemon.request("DELETE", `/v1/sandboxes/box/processes/${id}`);
  });
});

describe("over TCP", () => {
  const tcpPort = () => (daemon.daemon.log.findLast(({ msg }) => msg === "listening") as { tcp: { port: number } }).tcp.port;
  const token = () => readFileSync(`${daemon.daemon.stateDir}/admin.token`, "utf8").trim();
  const open = (id: string, headers: Record<string, string>, protocols: string[] = []) => {
    const socket = new WebSocket(`ws://127.0.0.1:${tcpPort()}/v1/sandboxes/box/processes/${id}/terminal`, protocols, { headers });
    return new Promise<WebSocket>((resolve, reject) => {
      socket.once("open", () => resolve(socket));
      socket.once("error", reject);
    });
  };

  it("a terminal needs the token, and a page of this daemon or none", async () => {
    const { id } = await startShell();
    const authorization = `Bearer ${token()}`;
    await expect(open(id, {})).rejects.toThrow("401");
    await expect(open(id, { authorization: "Bearer wrong" })).rejects.toThrow("401");
    await expect(open(id, { authorization, origin: "http://evil.example" })).rejects.toThrow("403");
    await expect(open(id, { authorization, host: "evil.example" })).rejects.toThrow("421");
    const socket = await open(id, { authorization });
    const text = new Promise<string>((resolve) => {
      let seen = "";
      socket.on("message", (data) => {
        seen += String(data);
        if (seen.includes("tcp-3")) resolve(seen);
      });
    });
    socket.send(Buffer.from("echo tcp-$((1+2))\r"));
    await text;
    socket.close();
    await daemon.request("DELETE", `/v1/sandboxes/box/processes/${id}`);
  });

  it("a page gives its token as a subprotocol, which is not selected, on terminals alone", async () => {
    const { id } = await startShell();
    const terminal = "unshared.terminal.v1";
    const offer = (secret: string) => `unshared.bearer.${Buffer.from(secret).toString("base64url")}`;
    await expect(open(id, {}, [terminal])).rejects.toThrow("401");
    await expect(open(id, {}, [terminal, offer("wrong")])).rejects.toThrow("401");
    await expect(open(id, {}, [terminal, `unshared.bearer.${token()}`])).rejects.toThrow("401");
    await expect(open(id, { origin: "http://evil.example" }, [terminal, offer(token())])).rejects.toThrow("403");
    const socket = await open(id, { origin: `http://127.0.0.1:${tcpPort()}` }, [terminal, offer(token())]);
    expect(socket.protocol).toBe(terminal);
    socket.close();
    const headers = { upgrade: "websocket", connection: "upgrade", "sec-websocket-protocol": offer(token()) };
    const elsewhere = await new Promise((resolve) =>
      httpGet({ host: "127.0.0.1", port: tcpPort(), path: "/v1/info", headers }, ({ statusCode }) => resolve(statusCode)),
    );
    expect(elsewhere).toBe(401);
    expect(JSON.stringify(daemon.daemon.log)).not.toContain(offer(token()));
    await daemon.request("DELETE", `/v1/sandboxes/box/processes/${id}`);
  });
});

describe("the main process", () => {
  it("with tty has a terminal like the others", async () => {
    await daemon.run({ name: "screen", tty: true, command: ["/bin/bash", "--norc", "-i"], env: { PS1: "main> " } });
    const view = await TerminalClient.open(daemon, "screen", "main");
    await view.shows(/main> $/);
    view.type("exit 4\r");
    await until("the end", () => view.closed);
    expect(view.controls.at(-1)).toMatchObject({ type: "exit", exit: { reason: "exited", code: 4 } });
  });

  it("leaves its viewers when the daemon stops, which is not held up", async () => {
    const { id } = await startShell();
    const view = await TerminalClient.open(daemon, "box", id);
    await view.shows(/ready> $/);
    expect(await daemon.daemon.end()).toBe(0);
    await until("the close", () => view.closed);
    expect(view.closed?.code).toBe(1001);
    await daemon.daemon.start();
    const again = await TerminalClient.open(daemon, "box", id);
    await again.shows(/ready> $/);
    again.type("exit\r");
    await until("the exit", () => again.closed);
  });
});
