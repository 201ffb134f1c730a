/** Files of sandboxes that do not run: namespaces hold them for as long as somebody asks, and nothing else notices. */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { archiveUrl, filesUrl, sendBytes } from "../fixtures/files-client.ts";
import { until } from "../fixtures/processes.ts";
import { rawTar } from "../fixtures/raw-tar.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("filesstop", 1_260_000_000, "--ready-shells", "0");
  await host.run({ name: "first" });
  await host.clear();
});
afterAll(() => host[Symbol.asyncDispose]());
afterEach(() => host.clear());

const created = async (): Promise<string> => (await host.request("POST", "/v1/sandboxes", {})).body.id;
const put = (id: string, path: string, text: string) => sendBytes(host, "PUT", filesUrl(id, path, "&parents=true"), Buffer.from(text));
const read = async (id: string, path: string) => String((await sendBytes(host, "GET", filesUrl(id, path))).bytes);
const upper = (id: string, path: string) => join(host.daemon.stateDir, "sandboxes", id, "upper", path);
/** All its processes but the launcher. */
const others = async () => {
  const launcher = await host.launcherPid();
  return host.processes().filter((pid) => pid !== launcher);
};
const nothingLeft = () =>
  until(
    "nothing holds any files",
    async () => (await others()).length === 0 && readdirSync(join(host.daemon.directory, "run/sandboxes")).length === 0,
  );

describe("a sandbox that was never started", () => {
  it("takes files and trees, gives them, and stays as it is", async () => {
    const id = await created();
    const before = (await host.report(id)).status;
    expect((await put(id, "/job/main", "text")).status).toBe(201);
    expect(
      (await sendBytes(host, "PUT", archiveUrl(id, "/job"), rawTar({ name: "f", data: Buffer.from("from the archive") }))).status,
    ).toBe(200);
    expect(await read(id, "/job/main")).toBe("text");
    expect(readFileSync(upper(id, "job/f"), "utf8")).toBe("from the archive");
    const events = await host.report(id);
    expect([events.status, events.process, events.namespaces, events.generation]).toEqual([before, null, null, 1]);
    await nothingLeft();
    expect((await host.report(id)).status).toEqual(before);
    expect((await host.request("GET", `/v1/sandboxes/${id}/receipt`)).status).toBe(404);
  });

  it("has one hold for many requests at once", async () => {
    const id = await created();
    await put(id, "/job/f", "shared");
    const texts = Promise.all(Array.from({ length: 40 }, () => read(id, "/job/f")));
    expect(new Set(await texts)).toEqual(new Set(["shared"]));
    expect(readdirSync(join(host.daemon.directory, "run/sandboxes"))).toEqual([`${id}.sock`]);
    await nothingLeft();
  });

  it("is started with what was put into it, at once", async () => {
    const id = await created();
    await put(id, "/job/said", "hello");
    const { status, body } = await host.request("POST", `/v1/sandboxes/${id}/start`);
    expect([status, body.status.state]).toEqual([200, "running"]);
    expect(await read(id, "/job/said")).toBe("hello");
    const pid = String(body.process.pid);
    expect(String(spawnSync("nsenter", ["--target", pid, "--all", "--root", "/bin/cat", "/job/said"]).stdout)).toBe("hello");
  });
});

describe("a sandbox that stopped", () => {
  it("keeps its exit and receipt while its files are read", async () => {
    const { id } = await host.run({ command: ["/bin/bash", "-c", "echo made > /made; exit 7"] });
    const before = await host.reaches(id, "stopped");
    expect(await read(id, "/made")).toBe("made\n");
    await nothingLeft();
    const after = await host.report(id);
    expect([after.status, after.exit, after.exit.code]).toEqual([before.status, before.exit, 7]);
    expect((await host.request("GET", `/v1/sandboxes/${id}/receipt`)).body.reason).toBe("exited");
  });
});

describe("a start", () => {
  it("and requests on files, over and over at once, never meet", { timeout: 60_000 }, async () => {
    const id = await created();
    await put(id, "/job/f", "always");
    let over = false;
    const reading = Array.from({ length: 4 }, async () => {
      const seen = new Map<string, number>();
      while (!over) {
        const { status, bytes, body } = await sendBytes(host, "GET", filesUrl(id, "/job/f"));
        if (status === 200) expect(String(bytes)).toBe("always");
        const key = status === 200 ? "200" : `${status} ${body?.code}`;
        seen.set(key, (seen.get(key) ?? 0) + 1);
      }
      return seen;
    });
    for (let turn = 0; turn < 8; turn++) {
      const started = await host.request("POST", `/v1/sandboxes/${id}/start`);
      expect([started.status, started.body.status?.state], started.text).toEqual([200, "running"]);
      expect((await host.request("POST", `/v1/sandboxes/${id}/kill`)).body.status.state).toBe("stopped");
    }
    over = true;
    for (const seen of await Promise.all(reading)) {
      expect(seen.get("200")).toBeGreaterThan(8);
      expect([...seen.keys()].filter((key) => key !== "200" && key !== "503 files-interrupted")).toEqual([]);
    }
  });

  it("does not wait long for an upload that dawdles, which leaves nothing", async () => {
    const id = await created();
    const body = new PassThrough();
    const upload = sendBytes(host, "PUT", filesUrl(id, "/slow"), body);
    body.write(randomBytes(200_000));
    await until(
      "its bytes on the way",
      () => existsSync(upper(id, "")) && readdirSync(upper(id, "")).some((name) => name.startsWith(".unshared-")),
    );
    expect((await host.request("POST", `/v1/sandboxes/${id}/start`)).status).toBe(200);
    body.end();
    const { status, body: problem } = await upload;
    expect([status, problem.code]).toEqual([503, "files-interrupted"]);
    await until("nothing of it is left", () => !readdirSync(upper(id, "")).some((name) => name.startsWith(".unshared-")));
  });
});

it("an upload whose sandbox is killed leaves nothing, a file or a tree", async () => {
  const { id } = await host.run();
  const bodies = [new PassThrough(), new PassThrough()] as const;
  const uploads = [sendBytes(host, "PUT", filesUrl(id, "/slow"), bodies[0]), sendBytes(host, "PUT", archiveUrl(id, "/"), bodies[1])];
  bodies[0].write(randomBytes(200_000));
  bodies[1].write(rawTar({ name: "f", data: randomBytes(300_000) }).subarray(0, 200_000));
  const onTheWay = () => readdirSync(upper(id, "")).filter((name) => name.startsWith(".unshared-")).length;
  await until("both on their way", () => onTheWay() === 2);
  expect((await host.request("POST", `/v1/sandboxes/${id}/kill`)).status).toBe(200);
  // The archive is cut short by then, which may be seen first.
  for (const body of bodies) body.end();
  for (const { status } of await Promise.all(uploads)) expect([422, 503]).toContain(status);
  await until("nothing is left", () => onTheWay() === 0);
});

it("a deletion ends a hold, and leaves nothing", async () => {
  const id = await created();
  await put(id, "/job/f", "x");
  expect((await host.request("DELETE", `/v1/sandboxes/${id}`)).status).toBe(200);
  expect(existsSync(join(host.daemon.stateDir, "sandboxes", id))).toBe(false);
  await nothingLeft();
  expect((await sendBytes(host, "GET", filesUrl(id, "/job/f"))).status).toBe(404);
});

it("a hold that a killed daemon leaves is ended by the next one, and the sandbox is as it was", async () => {
  const id = await created();
  await put(id, "/job/f", "kept");
  const before = (await host.report(id)).status;
  await host.daemon.end("SIGKILL");
  expect(readdirSync(join(host.daemon.directory, "run/sandboxes"))).toEqual([`${id}.sock`]);
  await host.daemon.start();
  expect((await host.report(id)).status).toEqual(before);
  await nothingLeft();
  expect(await read(id, "/job/f")).toBe("kept");
});

it("a daemon that ends in order leaves no hold", async () => {
  const id = await created();
  await put(id, "/job/f", "x");
  await host.daemon.end();
  expect(readdirSync(join(host.daemon.directory, "run/sandboxes"))).toEqual([]);
  await host.daemon.start();
  expect(await read(id, "/job/f")).toBe("x");
});
