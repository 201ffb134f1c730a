/** Files of runs that a report has no room for; tar(1) on the host and the state directory are the witnesses. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import SQLite from "better-sqlite3";
import { afterAll, beforeAll, expect, it } from "vitest";
import { sendBytes } from "../fixtures/files-client.ts";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("run-archives", 1_570_000_000, "--ready-shells", "0", "--run-concurrency", "2");
});
afterAll(() => host[Symbol.asyncDispose]());

const folder = () => readdirSync(join(host.daemon.stateDir, "run-archives"));
const fetched = (id: string, headers = {}, method = "GET") => sendBytes(host, method, `/v1/runs/${id}/archive`, null, headers);
const report = async (id: string) => (await host.request("GET", `/v1/runs/${id}`)).body;

const line = "0123456789abcdef".repeat(64);
const name = `${"n".repeat(150)} \u00e9`;
/** Two files that do not fit, one that does, and a link to one of them. */
const script = `
  for ((i = 0; i < 2000; i++)); do echo ${line}; done >big; mkdir -p 'd/${name}'
  printf '%3000000d' 7 >'d/${name}/second'; echo small >z; ln -s big link`;
const contents: Record<string, string> = {
  "job/out/big": `${line}\n`.repeat(2_000),
  [`job/out/d/${name}/second`]: "7".padStart(3_000_000),
};
const sha256 = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex");

// biome-ignore lint/suspicious/noExplicitAny: tests state the shape of what they look into
const run = async (): Promise<any> => {
  const body = { command: ["/bin/bash", "-c", script], cwd: "/job/out", collect: ["/job/out/big", "/job/out/d/**/*", "/job/out/z"] };
  const { status, text, body: ended } = await host.request("POST", "/v1/runs?wait=true", body);
  expect(status, text).toBe(200);
  return ended;
};
const listed = (archive: Buffer): string[] => {
  const { stdout, status } = spawnSync("tar", ["--quoting-style=literal", "-tf", "-"], { input: archive });
  expect(status).toBe(0);
  return String(stdout).trimEnd().split("\n");
};

it("an archive holds what the report has no room for, byte for byte, plain and compressed", async () => {
  const began = Date.now();
  const { id, files, filesTruncated, archive } = await run();
  expect(files).toEqual([
    { path: "/job/out/big", sizeBytes: 2_050_000, archived: true },
    { path: `/job/out/d/${name}/second`, sizeBytes: 3_000_000, archived: true },
    { path: "/job/out/z", sizeBytes: 6, data: "small\n", encoding: "utf-8" },
  ]);
  expect([filesTruncated, archive.files, archive.url]).toEqual([false, 2, `/v1/runs/${id}/archive`]);
  const from = Date.parse(archive.expiresAt) - 600_000;
  expect([from >= began, from <= Date.now()]).toEqual([true, true]);
  const { status, headers, bytes } = await fetched(id);
  expect([status, headers["content-type"], headers["content-length"]]).toEqual([200, "application/x-tar", `${archive.bytes}`]);
  expect(bytes.length).toBe(archive.bytes);
  expect(listed(bytes)).toEqual(Object.keys(contents));
  for (const [path, text] of Object.entries(contents)) {
    const { stdout } = spawnSync("tar", ["-xOf", "-", path], { input: bytes, maxBuffer: 1e8 });
    expect(sha256(stdout), path).toBe(sha256(text));
  }
  const [gzip, zstd] = [await fetched(id, { "accept-encoding": "gzip" }), await fetched(id, { "accept-encoding": "zstd" })];
  expect([gzip.headers["content-encoding"], zstd.headers["content-encoding"]]).toEqual(["gzip", "zstd"]);
  expect([sha256(gunzipSync(gzip.bytes)), sha256(zstdDecompressSync(zstd.bytes))]).toEqual([sha256(bytes), sha256(bytes)]);
  const head = await fetched(id, {}, "HEAD");
  expect([head.status, head.headers["content-length"], head.bytes.length]).toEqual([200, `${archive.bytes}`, 0]);
});

it("it is gone when the run is deleted, and the report stays", async () => {
  const { id } = await run();
  expect(folder()).toContain(`${id}.tar`);
  const { status, body } = await host.request("DELETE", `/v1/runs/${id}`);
  expect([status, body.state, body.archive.files]).toEqual([200, "ended", 2]);
  expect(Date.parse(body.archive.expiresAt)).toBeLessThanOrEqual(Date.now());
  expect(folder()).not.toContain(`${id}.tar`);
  const gone = await fetched(id);
  expect([gone.status, gone.body.code]).toEqual([410, "run-archive-expired"]);
  expect((await report(id)).archive).toEqual(body.archive);
});

it("there is none where all files fit, or the run is not over", async () => {
  const { body } = await host.request("POST", "/v1/runs?wait=true", { script: "echo x >/job/x", collect: ["/job/x"] });
  expect(body.archive).toBe(null);
  const { body: long } = await host.request("POST", "/v1/runs", { script: "sleep 600", timeoutSeconds: 600 });
  for (const { id } of [body, long]) {
    const none = await fetched(id);
    expect([none.status, none.body.code]).toEqual([404, "run-archive-not-found"]);
  }
  await host.request("DELETE", `/v1/runs/${long.id}`);
  expect((await fetched("none")).body.code).toBe("run-not-found");
});

it("the next daemon holds what is held, and removes what has expired or is nobody's", async () => {
  const [kept, expired] = [await run(), await run()];
  const before = (await fetched(kept.id)).bytes;
  await host.daemon.end("SIGKILL");
  const database = new SQLite(join(host.daemon.stateDir, "state.db"));
  database.prepare("UPDATE runs SET result = json_set(result, '$.archive.expiresAt', ?) WHERE id = ?").run(Date.now() - 1, expired.id);
  database.close();
  writeFileSync(join(host.daemon.stateDir, "run-archives", "01orphan.tar"), "half of it");
  await host.daemon.start();
  expect(folder()).toContain(`${kept.id}.tar`);
  expect(folder()).not.toContain(`${expired.id}.tar`);
  expect(folder()).not.toContain("01orphan.tar");
  expect(sha256((await fetched(kept.id)).bytes)).toBe(sha256(before));
  expect([(await fetched(expired.id)).status, (await report(expired.id)).archive.files]).toEqual([410, 2]);
});

it("a run that is cancelled while its files are collected leaves no archive", async () => {
  const left = folder();
  const job = { script: "truncate -s 240M /job/a; echo ready", collect: ["/job/a"], labels: { kind: "cancelled" } };
  const { body } = await host.request("POST", "/v1/runs", job);
  await until("its archive", () => folder().includes(`${body.id}.tar`), 30_000);
  const { state } = (await host.request("DELETE", `/v1/runs/${body.id}`)).body;
  // A quick host has collected all by then, and keeps it until it is asked again.
  if (state === "ended") await host.request("DELETE", `/v1/runs/${body.id}`);
  else expect(state).toBe("cancelled");
  expect(folder().sort()).toEqual(left.sort());
});
