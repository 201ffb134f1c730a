/** The log of a sandbox: what its supervisor keeps on disk, through the API. The witness is what the processes were told to write. */
import { createHash } from "node:crypto";
import { readdirSync, rmSync, statSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("logs", 1_740_000_000);
});
afterEach(() => host.clear());
afterAll(() => host[Symbol.asyncDispose]());

interface Line {
  id: string;
  process: string;
  seq: number;
  stream?: string;
  data?: string;
  exit?: { reason: string; code: number | null; signal: string | null };
  gap?: { first: string };
}
const linesOf = (text: string): Line[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
const get = (name: string, query = "", headers: Record<string, string> = {}) =>
  host.request("GET", `/v1/sandboxes/${name}/logs${query}`, undefined, headers);
const lines = async (name: string, query = "") => linesOf((await get(name, query)).text);
const texts = async (name: string, query = "") =>
  (await lines(name, query)).map(({ data, exit }) => data ?? `exit ${exit?.code ?? exit?.signal}`);
const bash = (script: string) => ["/bin/bash", "-c", script];
const exec = (name: string, script: string) => host.request("POST", `/v1/sandboxes/${name}/processes?wait=true`, { command: bash(script) });
const directory = (id: string) => join(host.daemon.stateDir, "sandboxes", id, "log");
const bytesOnDisk = (id: string) => readdirSync(directory(id)).reduce((sum, name) => sum + statSync(join(directory(id), name)).size, 0);

it("has what all processes wrote, in one order, and how they ended; and keeps it over runs and the end of the sandbox", async () => {
  expect((await host.request("POST", "/v1/sandboxes", { name: "box", command: bash("echo begin; read x; echo end; exit 3") })).status).toBe(
    201,
  );
  expect(await lines("box")).toEqual([]);
  await host.request("POST", "/v1/sandboxes/box/start");
  await until("the first line", async () => (await lines("box")).length === 1);
  const { body: one } = await exec("box", "echo one; echo two >&2; exit 5");
  await host.request("POST", "/v1/sandboxes/box/processes/main/stdin", Buffer.from("\n"));
  await host.reaches("box", "stopped");
  const seen = await lines("box");
  expect(seen.map(({ process, data, exit }) => [process, data ?? exit?.code])).toEqual([
    ["main", "begin\n"],
    [one.id, "one\n"],
    [one.id, "two\n"],
    [one.id, 5],
    ["main", "end\n"],
    ["main", 3],
  ]);
  await host.request("POST", "/v1/sandboxes/box/start");
  await until("the second run", async () => (await lines("box")).length === 7);
  await host.request("POST", "/v1/sandboxes/box/kill");
  expect(await texts("box", "?tail=2")).toEqual(["begin\n", "exit SIGKILL"]);
  expect(await texts("box", `?after=${seen[3]?.id}`)).toEqual(["end\n", "exit 3", "begin\n", "exit SIGKILL"]);
  expect(await texts("box", `?process=${one.id}&stream=stderr`)).toEqual(["two\n", "exit 5"]);
  const raw = await get("box", "?stream=stdout", { accept: "application/octet-stream" });
  expect(raw.text).toBe("begin\none\nend\nbegin\n");
  // The output of the main process is that of its last run.
  expect(linesOf((await host.request("GET", "/v1/sandboxes/box/processes/main/output")).text)).toMatchObject([
    { seq: 1, data: "begin\n" },
    { seq: 2, exit: { signal: "SIGKILL" } },
  ]);
});

it("has what commands wrote that ended at once, and so has their output", async () => {
  const names = Array.from({ length: 30 }, (_, index) => `quick-${index}`);
  await Promise.all(names.map((name) => host.run({ name, command: bash("echo quick; exit 6") })));
  for (const name of names) {
    await host.reaches(name, "stopped");
    const output = linesOf((await host.request("GET", `/v1/sandboxes/${name}/processes/main/output`)).text);
    expect(output, name).toMatchObject([
      { seq: 1, data: "quick\n" },
      { seq: 2, exit: { code: 6 } },
    ]);
  }
});

it("has the output of a process of an earlier run, while another runs", async () => {
  const { id } = await host.run({ name: "box" });
  const { body } = await exec("box", "echo earlier");
  await host.request("POST", `/v1/sandboxes/${id}/restart`, { graceSeconds: 0 });
  const path = `/v1/sandboxes/${id}/processes/${body.id}/output`;
  expect(linesOf((await host.request("GET", path)).text)).toMatchObject([{ data: "earlier\n" }, { exit: { code: 0 } }]);
  rmSync(directory(id), { recursive: true });
  expect(expectProblem(await host.request("GET", path), 410)).toMatchObject({ code: "output-dropped", first: null, exit: { code: 0 } });
});

it("leaves a look at the files of a stopped sandbox out, which needs a process of its own", async () => {
  const { id } = await host.run({ name: "box", command: bash("echo only; exit 0") });
  await host.reaches("box", "stopped");
  expect((await host.request("GET", "/v1/sandboxes/box/files?path=/")).status).toBe(200);
  await host.request("POST", "/v1/sandboxes/box/start");
  await host.reaches("box", "stopped");
  expect(await texts("box")).toEqual(["only\n", "exit 0", "only\n", "exit 0"]);
  expect((await host.request("DELETE", `/v1/sandboxes/${id}`)).body.complete).toBe(true);
  expect(readdirSync(join(host.daemon.stateDir, "sandboxes"))).toEqual([]);
});

it("is followed over a daemon that is killed, to the byte", async () => {
  const { id } = await host.run({
    name: "box",
    command: bash("read x; for ((i = 0; i < 3000; i++)); do echo $i-$((i * i)); done; read x"),
    limits: { outputBytes: 4_194_304 },
  });
  const expected = createHash("sha256");
  for (let i = 0; i < 3000; i++) expected.update(`${i}-${i * i}\n`);
  const found = createHash("sha256");
  let after: string | undefined;
  let left = 3000;
  await host.request("POST", "/v1/sandboxes/box/processes/main/stdin", Buffer.from("\n"));
  for (let round = 0; left > 0; round++) {
    const query = `?follow=true${after === undefined ? "" : `&after=${after}`}`;
    await new Promise<void>((resolve, reject) => {
      const call = request({ socketPath: host.daemon.socket, path: `/v1/sandboxes/${id}/logs${query}`, headers: { host: "localhost" } });
      call.once("error", () => resolve()).end();
      call.once("response", async (response) => {
        let rest = "";
        try {
          for await (const chunk of response.setEncoding("utf8")) {
            const parts = (rest + chunk).split("\n");
            rest = parts.pop() ?? "";
            for (const part of parts.filter((text) => text !== "")) {
              const line: Line = JSON.parse(part);
              if (line.gap !== undefined) return reject(new Error("a gap"));
              after = line.id;
              found.update(line.data ?? "");
              left -= (line.data ?? "").split("\n").length - 1;
            }
            if (left === 0 || round === 0) call.destroy();
          }
        } catch {
          // broken off, by this end or the other
        }
        resolve();
      });
    });
    if (round === 0) {
      await host.daemon.end("SIGKILL");
      await host.daemon.start();
    }
  }
  expect(found.digest("hex")).toBe(expected.digest("hex"));
});

it("ends for a follower with the sandbox, the exit last", async () => {
  await host.run({ name: "box", command: bash("echo a; read x; echo b; exit 4") });
  const following = get("box", "?follow=true");
  const events = get("box", "?follow=true", { accept: "text/event-stream" });
  await until("the line", async () => (await lines("box")).length === 1);
  await host.request("POST", "/v1/sandboxes/box/processes/main/stdin", Buffer.from("\n"));
  expect(linesOf((await following).text).map(({ data, exit }) => data ?? exit?.code)).toEqual(["a\n", "b\n", 4]);
  const { text, headers } = await events;
  expect(headers["content-type"]).toMatch(/^text\/event-stream/);
  expect([...text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name)).toEqual(["output", "output", "exit"]);
  const last = [...text.matchAll(/^id: (.*)$/gm)].at(-1)?.[1] as string;
  expect((await get("box", "", { accept: "text/event-stream", "last-event-id": last })).status).toBe(204);
});

it("is bounded on disk; what is kept is the end, and what is asked for and gone is 410", async () => {
  const bound = 262_144;
  const { id } = await host.run({
    name: "box",
    command: bash("echo first; read x; for ((i = 0; i < 20000; i++)); do echo line $i of many that are too much; done; echo last; exit 0"),
    limits: { outputBytes: bound },
  });
  await until("the line", async () => (await lines("box")).length === 1);
  const first = (await lines("box"))[0]?.id;
  await host.request("POST", "/v1/sandboxes/box/processes/main/stdin", Buffer.from("\n"));
  await host.reaches("box", "stopped");
  expect(bytesOnDisk(id)).toBeLessThanOrEqual(bound);
  expect(bytesOnDisk(id)).toBeGreaterThan(bound / 2);
  const problem = expectProblem(await get("box", `?after=${first}`), 410);
  expect(problem.code).toBe("logs-dropped");
  const kept = (await lines("box", `?after=${problem["first"]}`)).map(({ data = "" }) => data).join("");
  expect(kept.endsWith("line 19999 of many that are too much\nlast\n")).toBe(true);
  expect(expectProblem(await host.request("GET", "/v1/sandboxes/box/processes/main/output"), 410).code).toBe("output-dropped");
  expect(await host.request("GET", "/v1/sandboxes/box/processes/main/output?after=held")).toMatchObject({ status: 200 });
});

it("has what a sandbox wrote whose supervisor was killed", async () => {
  const report = await host.run({ name: "box", command: bash("echo written; read x") });
  await until("the line", async () => (await lines("box")).length === 1);
  process.kill(report.supervisor.pid, "SIGKILL");
  await host.reaches("box", "failed");
  expect(await texts("box", "?follow=true")).toEqual(["written\n"]);
  const output = linesOf((await host.request("GET", "/v1/sandboxes/box/processes/main/output?follow=true")).text);
  expect(output).toMatchObject([
    { seq: 1, data: "written\n" },
    { seq: 2, exit: null },
  ]);
});

it("refuses parameters that cannot be, and places where no record ended", async () => {
  await host.run({ name: "box", command: bash("echo x; read x") });
  await until("the line", async () => (await lines("box")).length === 1);
  for (const query of ["?after=1-3", "?after=x", "?tail=-1", "?since=yesterday", "?stream=exit", "?process=..", "?nonsense=1"])
    expectProblem(await get("box", query), 400, query);
  expectProblem(await get("box", "", { "last-event-id": "7" }), 400);
  expectProblem(await get("nobody"), 404);
});
