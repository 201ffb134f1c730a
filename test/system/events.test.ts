/** What happened, told once and in order, to whoever reads from where they left off. */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import SQLite from "better-sqlite3";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

interface Event {
  id: number;
  type: string;
  subject: string;
  time: string;
  data: Record<string, unknown>;
}

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("events", 1_165_000_000);
});
afterEach(() => host.clear());
afterAll(() => host[Symbol.asyncDispose]());

const parse = (text: string): Event[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
const read = async (query = "", headers = {}) => parse((await host.request("GET", `/v1/events?${query}`, undefined, headers)).text);
const last = async () => (await read()).at(-1)?.id ?? 0;
const types = (events: Event[]) => events.map(({ type }) => type);
const cycle = ["sandbox.created", "sandbox.starting", "sandbox.running"];

/** A follower: everything it was sent so far. */
const follow = async (query: string, headers: Record<string, string> = {}) => {
  const seen = { text: "", ended: false, leave: () => {} };
  const response = await new Promise<IncomingMessage>((done, failed) => {
    const options = { socketPath: host.daemon.socket, path: `/v1/events?follow=true&${query}`, headers: { host: "localhost", ...headers } };
    const request = httpRequest(options, done).once("error", failed);
    seen.leave = () => request.destroy();
    request.end();
  });
  response.setEncoding("utf8").on("data", (chunk: string) => {
    seen.text += chunk;
  });
  response
    .on("error", () => {})
    .once("close", () => {
      seen.ended = true;
    });
  return seen;
};

describe("the events of a life", () => {
  it("are each told once and in order, and may be read by id after the sandbox is gone", async () => {
    const before = await last();
    const { id } = await host.run({ name: "box" });
    const done = await host.request("POST", "/v1/sandboxes/box/processes?wait=true", { command: ["/bin/bash", "-c", "exit 3"] });
    expect(done.body.exit).toMatchObject({ code: 3 });
    await host.request("POST", "/v1/sandboxes/box/stop", { graceSeconds: 0 });
    const live = await read(`after=${before}&sandbox=box`);
    await host.request("DELETE", "/v1/sandboxes/box");
    const told = await read(`after=${before}&sandbox=${id}`);
    const processes = types(told).filter((type) => type.startsWith("process."));
    const exits = told.filter(({ data }) => "exit" in data && data["process"] === undefined);
    expect(types(exits)).toEqual(["sandbox.changed"]);
    // Between stopping and stopped the exit of the main process is told, which changes no state.
    expect(types(told).filter((type) => type.startsWith("sandbox.") && type !== "sandbox.changed")).toEqual([
      ...cycle,
      "sandbox.stopping",
      "sandbox.stopped",
      "sandbox.deleted",
    ]);
    expect(processes.filter((type) => type === "process.exited")).toHaveLength(1);
    for (const { data } of told)
      if (data.exit) expect(data.exit).toMatchObject({ exitedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) });
    expect(told.slice(0, live.length)).toEqual(live);
    expect(told.every(({ subject }) => subject === id)).toBe(true);
    expect(told.map((event) => event.id)).toEqual(told.map((event) => event.id).toSorted((a, b) => a - b));
    expect(types(await read(`after=${before}&type=sandbox.created,sandbox.stopped`))).toEqual(["sandbox.created", "sandbox.stopped"]);
    expect(await read(`after=${before}&type=process.*`)).toEqual(told.filter(({ type }) => type.startsWith("process.")));
    expect(await read(`after=${before}&sandbox=${id}&limit=2`)).toEqual(told.slice(0, 2));
    expect((await host.request("GET", "/v1/events?sandbox=box")).body).toMatchObject({ status: 404, code: "sandbox-not-found" });
  });
});

describe("a follower", () => {
  it("is told at once, as Server-Sent Events with ids, and ends with the daemon", async () => {
    const before = await last();
    const seen = await follow("type=sandbox.*", { accept: "text/event-stream", "last-event-id": `${before}` });
    const { id } = await host.run({ name: "box" });
    await until("the running", () => seen.text.includes("event: sandbox.running\n"));
    const told = await read(`after=${before}&sandbox=${id}&type=sandbox.*`);
    expect(seen.text).toBe(told.map((event) => `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(""));
    expect(await host.daemon.end("SIGTERM")).toBe(0);
    await until("the end of the stream", () => seen.ended);
    await host.daemon.start();
  });
});

describe("a reader that stalls", () => {
  it("gets every event once and in order when it reads on, and holds up nobody", async () => {
    await host.daemon.end();
    const database = new SQLite(join(host.daemon.stateDir, "state.db"));
    const insert = database.prepare("INSERT INTO events (time, type, subject, data) VALUES (?, 'sandbox.changed', 'stalled', ?)");
    database.transaction(() => {
      for (let number = 0; number < 5_000; number += 1) insert.run(Date.now(), JSON.stringify({ number, filler: "x".repeat(1_000) }));
    })();
    database.close();
    await host.daemon.start();
    const response = await new Promise<IncomingMessage>((done, failed) =>
      httpRequest({ socketPath: host.daemon.socket, path: "/v1/events", headers: { host: "localhost" } }, done)
        .once("error", failed)
        .end(),
    );
    const { id } = await host.run({ name: "box" });
    expect(types(await read(`sandbox=${id}&type=sandbox.running`))).toEqual(["sandbox.running"]);
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    const numbers = parse(text).flatMap(({ subject, data }) => (subject === "stalled" ? [data["number"]] : []));
    expect(numbers).toEqual(Array.from({ length: 5_000 }, (_, index) => index));
  });
});

describe.each(["SIGTERM", "SIGKILL"] as const)("after %s of the daemon", (signal) => {
  it("goes on from the last event seen, and tells what happened meanwhile once", async () => {
    const { id, process: main } = await host.run({ name: "box" });
    const stays = await host.run({ name: "stays" });
    const seen = await read();
    const after = seen.at(-1)?.id ?? 0;
    await host.daemon.end(signal);
    process.kill(main.pid, "SIGKILL");
    await host.daemon.start();
    await host.reaches("box", "stopped");
    expect((await read()).slice(0, seen.length)).toEqual(seen);
    const told = await read(`sandbox=${id}&type=sandbox.stopped,sandbox.failed`, { "last-event-id": `${after}` });
    expect(types(told)).toEqual(["sandbox.stopped"]);
    expect(types(await read(`after=${after}&sandbox=${stays.id}&type=sandbox.running`))).toEqual([]);
  });
});

describe("events that are kept no more", () => {
  it("are answered 410 with the first that is", async () => {
    await host.run({ name: "box" });
    await host.daemon.end();
    const database = new SQLite(join(host.daemon.stateDir, "state.db"));
    database.prepare("DELETE FROM events WHERE id <= 2").run();
    database.close();
    await host.daemon.start();
    expect((await host.request("GET", "/v1/events?after=1")).body).toMatchObject({ status: 410, code: "events-dropped", first: 3 });
    expect((await read("after=2"))[0]?.id).toBe(3);
    expect((await read())[0]?.id).toBe(3);
  });
});

it("refuses a Last-Event-ID that is no number, and types that are none", async () => {
  for (const [query, headers] of [
    ["", { "last-event-id": "1 OR 1=1" }],
    ["type=sandbox.*,", {}],
    ["type='%20OR%201=1", {}],
    ["type=*", {}],
  ] as const)
    expect((await host.request("GET", `/v1/events?${query}`, undefined, headers)).status, query).toBe(400);
});
