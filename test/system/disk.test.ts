/** Disks of sandboxes: what `limits.diskBytes` bounds. The witnesses are df and the writes inside, losetup, findmnt and the files on the host. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { archiveUrl, filesUrl, sendBytes } from "../fixtures/files-client.ts";
import { until } from "../fixtures/processes.ts";
import { rawTar } from "../fixtures/raw-tar.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import { expectProblem } from "../http/expect-problem.ts";

const mebibyte = 1_048_576;
const diskBytes = 64 * mebibyte;

let host: SandboxDaemon;
beforeAll(async () => {
  host = await SandboxDaemon.start("disk", 1_790_000_000);
});
afterEach(async () => {
  await host.clear();
  await until("no image is attached", () => attached().length === 0);
});
afterAll(() => host[Symbol.asyncDispose]());

const sandboxes = () => join(host.daemon.stateDir, "sandboxes");
const image = (id: string) => join(sandboxes(), id, "disk");
/** Images of this daemon's that a loop device of the host is attached to. */
const attached = (): string[] =>
  spawnSync("losetup", ["--list", "--noheadings", "--output", "BACK-FILE"], { encoding: "utf8" })
    .stdout.split("\n")
    .filter((line) => line.startsWith(sandboxes()));
const hostMounts = () => spawnSync("findmnt", ["--list", "--noheadings", "--output", "SOURCE,TARGET"], { encoding: "utf8" }).stdout;
const sh = async (id: string, script: string) => {
  const { body, text } = await host.request("POST", `/v1/sandboxes/${id}/processes?wait=true`, { command: ["/bin/bash", "-c", script] });
  expect(body?.exit?.reason, text).toBe("exited");
  return { code: body.exit.code, stdout: body.output.stdout.data as string, stderr: body.output.stderr.data as string };
};
const write = (id: string, path: string, bytes: number) => sh(id, `head -c ${bytes} /dev/zero > ${path}`);
const put = (id: string, path: string, bytes: Buffer) => sendBytes(host, "PUT", filesUrl(id, path), bytes);
const text = async (id: string, path: string) => String((await sendBytes(host, "GET", filesUrl(id, path))).bytes);
const usage = async (id: string) => (await host.request("GET", `/v1/sandboxes/${id}/stats`)).body.usage;
const verb = (id: string, name: string, body: object = {}) => host.request("POST", `/v1/sandboxes/${id}/${name}`, body);
const patch = (id: string, limits: object) => host.request("PATCH", `/v1/sandboxes/${id}`, { limits });

describe("a running sandbox with a disk of its own", () => {
  it("can write that much and no more; nobody else notices (check 39)", async () => {
    const { id } = await host.run({ limits: { diskBytes } });
    const { id: other } = await host.run({ limits: { diskBytes } });
    const { id: unbounded } = await host.run();
    const before = statfsSync(sandboxes());
    const full = await write(id, "/big", 100 * mebibyte);
    expect(full.stderr).toMatch(/No space left on device/);
    const written = Number((await sh(id, "stat -c %s /big")).stdout);
    expect(written).toBeGreaterThan(50 * mebibyte);
    expect(written).toBeLessThan(diskBytes);
    expect((await sh(id, "sync; echo")).code).toBe(0);
    expect(statSync(image(id)).blocks * 512).toBeLessThanOrEqual(diskBytes + mebibyte);
    expect(statfsSync(sandboxes()).bavail).toBeGreaterThan(before.bavail / 2);
    expect(await write(other, "/half", 30 * mebibyte)).toMatchObject({ code: 0 });
    expect(await write(unbounded, "/big", 100 * mebibyte)).toMatchObject({ code: 0 });
    // What it deletes it can write again.
    expect(await sh(id, "rm /big && head -c 40000000 /dev/zero > /again")).toMatchObject({ code: 0 });
    expect((await host.report(id)).status.state).toBe("running");
  });

  it("is on a device that detaches itself, and in no mount table but its own", async () => {
    const { id, process } = await host.run({ limits: { diskBytes } });
    expect(attached()).toEqual([image(id)]);
    expect(hostMounts()).not.toMatch(/\/dev\/loop\d+/);
    const options = spawnSync("losetup", ["-j", image(id), "--noheadings", "--output", "AUTOCLEAR,DIO,RO"], { encoding: "utf8" }).stdout;
    expect(options.trim().split(/\s+/)).toEqual(["1", "1", "0"]);
    const inside = spawnSync("nsenter", ["--target", String(process.pid), "--mount", "stat", "-f", "-c", "%b %S", "/"], {
      encoding: "utf8",
    });
    const [blocks = 0, size = 0] = inside.stdout.split(" ").map(Number);
    expect(blocks * size).toBeLessThan(diskBytes);
    expect(blocks * size).toBeGreaterThan(diskBytes * 0.8);
    // Ids on it are the sandbox's own.
    expect((await sh(id, "echo x > /mine && stat -c '%u %g' /mine")).stdout).toBe("0 0\n");
    await host.request("DELETE", `/v1/sandboxes/${id}`);
    expect([attached(), existsSync(join(sandboxes(), id))]).toEqual([[], false]);
  });

  it("tells what is in use", async () => {
    const { id } = await host.run({ limits: { diskBytes } });
    const { disk: first } = await usage(id);
    expect(first).toMatchObject({ mechanism: "image", limitBytes: diskBytes });
    await sh(id, "head -c 20971520 /dev/zero > /some; sync");
    const { disk } = await usage(id);
    expect(disk.usedBytes - first.usedBytes).toBeGreaterThanOrEqual(20 * mebibyte);
    expect(disk.usedBytes - first.usedBytes).toBeLessThan(21 * mebibyte);
    expect(first.availableBytes - disk.availableBytes).toBeGreaterThanOrEqual(20 * mebibyte);
    expect((await usage((await host.run()).id)).disk).toBeNull();
  });

  it("keeps its files from run to run, and after the end of daemon and supervisor", async () => {
    const { id } = await host.run({ limits: { diskBytes } });
    await sh(id, "echo kept > /file; sync");
    for (let round = 0; round < 3; round++) {
      expect((await verb(id, "stop", { graceSeconds: 0 })).status).toBe(200);
      expect(attached()).toEqual([]);
      expect((await verb(id, "start")).status).toBe(200);
      expect((await sh(id, "cat /file")).stdout).toBe("kept\n");
    }
    await host.daemon.end("SIGKILL");
    await host.daemon.start();
    expect((await sh(id, "cat /file; echo more > /more; sync")).stdout).toBe("kept\n");
    process.kill((await host.report(id)).supervisor.pid, "SIGKILL");
    expect((await host.reaches(id, "failed", 15_000)).status.reason).toBe("supervisor-lost");
    await until("the device is detached", () => attached().length === 0);
    expect((await verb(id, "start")).status).toBe(200);
    expect((await sh(id, "cat /file /more")).stdout).toBe("kept\nmore\n");
    const { body: receipt } = await host.request("DELETE", `/v1/sandboxes/${id}`);
    expect([receipt.complete, attached(), readdirSync(sandboxes())]).toEqual([true, [], []]);
    expect(receipt.bytes).toBeGreaterThan(0);
    expect(receipt.bytes).toBeLessThan(diskBytes);
  });

  it("grows for its next run; it does not shrink, nor end", async () => {
    const { id } = await host.run({ limits: { diskBytes } });
    expect((await write(id, "/first", 40 * mebibyte)).code).toBe(0);
    expect((await patch(id, { diskBytes: 2 * diskBytes, pids: 77 })).status).toBe(200);
    expect((await usage(id)).disk.limitBytes).toBe(diskBytes);
    for (const bytes of [2 * diskBytes, 4 * diskBytes]) {
      expect((await patch(id, { diskBytes: bytes })).status).toBe(200);
      expect((await verb(id, "restart", { graceSeconds: 0 })).status).toBe(200);
      expect((await usage(id)).disk.limitBytes).toBe(bytes);
      expect(statSync(image(id)).size).toBe(bytes);
      expect(await write(id, `/of-${bytes}`, bytes / 2 - 16 * mebibyte)).toMatchObject({ code: 0 });
    }
    expect((await sh(id, "stat -c %s /first")).stdout).toBe(`${40 * mebibyte}\n`);
    await verb(id, "stop", { graceSeconds: 0 });
    for (const bytes of [diskBytes, null]) {
      const problem = expectProblem(await patch(id, { diskBytes: bytes }), 422);
      expect([problem.code, problem.errors?.[0]?.pointer]).toEqual(["unsupported", "/limits/diskBytes"]);
    }
    expect((await host.report(id)).definition.limits).toMatchObject({ diskBytes: 4 * diskBytes, pids: 77 });
    expect(spawnSync("e2fsck", ["-f", "-n", image(id)]).status).toBe(0);
  });
});

describe("files", () => {
  it("that do not fit are refused, and nothing of them is left", async () => {
    for (const start of [true, false]) {
      const { id } = (await host.request("POST", `/v1/sandboxes?start=${start}`, { limits: { diskBytes: diskBytes / 2 } })).body;
      expect((await put(id, "/small", Buffer.from("small"))).status).toBe(201);
      const refused = await put(id, "/large", Buffer.alloc(36 * mebibyte));
      expect([refused.status, refused.body.code]).toEqual([507, "no-space"]);
      const tar = rawTar({ name: "one", data: Buffer.from("one") }, { name: "two", data: Buffer.alloc(36 * mebibyte) });
      const archive = await sendBytes(host, "PUT", archiveUrl(id, "/"), tar);
      expect([archive.status, archive.body.code]).toEqual([507, "no-space"]);
      for (const path of ["/large", "/one", "/two"]) expect((await sendBytes(host, "GET", filesUrl(id, path))).status).toBe(404);
      expect(await text(id, "/small")).toBe("small");
      // The room is there again.
      expect((await put(id, "/fits", Buffer.alloc(20 * mebibyte))).status).toBe(201);
    }
  });

  it("of one that never ran are there when it is started", async () => {
    const { id } = (await host.request("POST", "/v1/sandboxes", { limits: { diskBytes } })).body;
    expect(readdirSync(sandboxes())).toEqual([]);
    await put(id, "/before", Buffer.from("before"));
    expect((await verb(id, "start")).status).toBe(200);
    expect((await sh(id, "cat /before")).stdout).toBe("before");
    await verb(id, "stop", { graceSeconds: 0 });
    expect(await text(id, "/before")).toBe("before");
  });
});

describe("a limit", () => {
  it("is chosen until there are files, and then not given or taken", async () => {
    const { id } = (await host.request("POST", "/v1/sandboxes", {})).body;
    expect((await host.report(id)).definition.limits.diskBytes).toBeNull();
    for (const bytes of [3 * diskBytes, null, diskBytes]) expect((await patch(id, { diskBytes: bytes })).status).toBe(200);
    expect((await verb(id, "start")).status).toBe(200);
    expect(statSync(image(id)).size).toBe(diskBytes);
  });

  it("is a number of bytes that a filesystem fits in, for a root of the sandbox's own", async () => {
    for (const bytes of [0, 16_777_215, 2 ** 43 + 1, 1.5, "1"])
      expectProblem(await host.request("POST", "/v1/sandboxes", { limits: { diskBytes: bytes } }), [400, 422]);
    const { id } = await host.run({ limits: { diskBytes: 16_777_216 } });
    expect((await write(id, "/big", 16_777_216)).stderr).toMatch(/No space/);
    const shared = { namespaces: { mount: false }, limits: { diskBytes } };
    expect(expectProblem(await host.request("POST", "/v1/sandboxes", shared), 422).code).toBe("invalid-definition");
  });

  it("that came too late is refused, for the files lie elsewhere", async () => {
    const { id } = await host.run();
    const problem = expectProblem(await patch(id, { diskBytes }), 422);
    expect([problem.code, problem.errors?.[0]?.pointer]).toEqual(["unsupported", "/limits/diskBytes"]);
    expect(existsSync(image(id))).toBe(false);
  });
});

it("eight at once start, write and end without a trace", async () => {
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      const { id } = await host.run({ limits: { diskBytes } });
      expect((await sh(id, "head -c 8000000 /dev/zero > /f && stat -c %s /f")).stdout).toBe("8000000\n");
      expect((await host.request("DELETE", `/v1/sandboxes/${id}`)).body.complete).toBe(true);
    }),
  );
  expect([attached(), readdirSync(sandboxes())]).toEqual([[], []]);
});
