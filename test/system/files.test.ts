/** Files of a running sandbox, with the host's view of its upper directory and programs inside as witnesses. */
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { filesUrl, sendBytes } from "../fixtures/files-client.ts";
import { until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

let host: SandboxDaemon;
let id: string;
let pid: number;
beforeAll(async () => {
  host = await SandboxDaemon.start("files", 1_240_000_000);
  const report = await host.run({ name: "box" });
  [id, pid] = [report.id, report.process.pid];
  await change({ op: "mkdir", path: "/job" });
});
afterAll(() => host[Symbol.asyncDispose]());

const upper = (path: string) => join(host.daemon.stateDir, "sandboxes", id, "upper", path);
const inside = (...command: string[]) => {
  const { status, stdout, stderr } = spawnSync("nsenter", ["--target", String(pid), "--all", "--root", "--wd", ...command]);
  return { status, text: String(stdout), error: String(stderr) };
};
const get = (path: string | Buffer, rest = "", headers = {}) => sendBytes(host, "GET", filesUrl(id, path, rest), null, headers);
const put = (path: string | Buffer, body: Buffer | Readable, rest = "", headers = {}) =>
  sendBytes(host, "PUT", filesUrl(id, path, rest), body, headers);
const remove = (path: string | Buffer, rest = "") => sendBytes(host, "DELETE", filesUrl(id, path, rest));
const change = (body: object) => host.request("POST", `/v1/sandboxes/${id}/files`, body);
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

describe("a file that is written", () => {
  it("is seen inside and on the host, byte for byte, with mode and owner (check 56)", async () => {
    const bytes = randomBytes(3_000_000);
    const made = await put("/job/data", bytes, "&mode=0640&uid=5&gid=6");
    expect([made.status, made.body]).toMatchObject([
      201,
      { name: "/job/data", type: "file", sizeBytes: 3_000_000, mode: "0640", uid: 5, gid: 6 },
    ]);
    expect(inside("sha256sum", "/job/data").text.split(" ")[0]).toBe(sha256(bytes));
    expect(statSync(upper("job/data"))).toMatchObject({ size: 3_000_000, mode: 0o100640, uid: 5, gid: 6 });
    const { status, headers, bytes: back } = await get("/job/data");
    expect([status, sha256(back)]).toEqual([200, sha256(bytes)]);
    expect(headers).toMatchObject({
      "content-length": "3000000",
      "content-type": "application/octet-stream",
      "x-content-type-options": "nosniff",
      "accept-ranges": "bytes",
      "unshared-mode": "0640",
      "unshared-uid": "5",
      "unshared-gid": "6",
      "last-modified": expect.stringMatching(/GMT$/),
    });
    expect((await put("/job/data", Buffer.from("new"))).status).toBe(200);
    expect(inside("cat", "/job/data").text).toBe("new");
  });

  it("never has set-user-id, whatever is asked (check 56)", async () => {
    await put("/job/suid", Buffer.from("x"), "&mode=6755");
    expect(statSync(upper("job/suid")).mode & 0o7777).toBe(0o755);
    await change({ op: "chmod", path: "/job/suid", mode: "4755" });
    expect(statSync(upper("job/suid")).mode & 0o7777).toBe(0o755);
  });

  it("is there as a whole or not at all", async () => {
    const before = readdirSync(upper("job")).sort();
    const body = new PassThrough();
    const broken = put("/job/half", body).catch(() => null);
    body.write(randomBytes(500_000));
    await until("its bytes on the way", () => readdirSync(upper("job")).some((name) => name.startsWith(".unshared-")));
    body.destroy(new Error("the client is gone"));
    await broken;
    await until("nothing is left", () => readdirSync(upper("job")).sort().join() === before.join());
  });

  it("is refused with If-None-Match: * where something has the name, also while it is being sent", async () => {
    expect((await put("/job/once", Buffer.from("1"), "", { "if-none-match": "*" })).status).toBe(201);
    const large = Readable.from(Array.from({ length: 200 }, () => randomBytes(65_536)));
    const again = await put("/job/once", large, "", { "if-none-match": "*" });
    expect([again.status, again.body.code]).toEqual([412, "precondition-failed"]);
    expect(readFileSync(upper("job/once"), "utf8")).toBe("1");
    expect((await put("/job/once", Buffer.from("2"), "", { "if-none-match": '"x"' })).status).toBe(400);
  });

  it("makes the directories that are missing only when asked, through links too", async () => {
    expect((await put("/job/a/b/c", Buffer.from("x"))).body.code).toBe("file-not-found");
    expect((await put("/job/a/b/c", Buffer.from("x"), "&parents=true")).status).toBe(201);
    await change({ op: "symlink", path: "/job/way", target: "a" });
    expect((await put("/job/way/d/e", Buffer.from("y"), "&parents=true")).status).toBe(201);
    expect(readFileSync(upper("job/a/d/e"), "utf8")).toBe("y");
  });

  it("replaces a link itself, and takes any media type and no bytes at all", async () => {
    await change({ op: "symlink", path: "/job/to-passwd", target: "/etc/passwd" });
    const passwd = inside("cat", "/etc/passwd").text;
    await put("/job/to-passwd", Buffer.from("{nope"), "", { "content-type": "application/json" });
    expect([inside("cat", "/etc/passwd").text, inside("cat", "/job/to-passwd").text]).toEqual([passwd, "{nope"]);
    expect((await put("/job/empty", Buffer.alloc(0))).body.sizeBytes).toBe(0);
    expect((await get("/job/empty")).headers["content-length"]).toBe("0");
  });
});

describe("a file that is read", () => {
  it("comes in ranges, by its version, and as HEAD", async () => {
    await put("/job/digits", Buffer.from("0123456789"));
    const whole = await get("/job/digits");
    const etag = String(whole.headers["etag"]);
    expect(etag).toMatch(/^"[0-9a-z-]+"$/);
    const part = await get("/job/digits", "", { range: "bytes=2-4" });
    expect([part.status, String(part.bytes), part.headers["content-range"], part.headers["content-length"]]).toEqual([
      206,
      "234",
      "bytes 2-4/10",
      "3",
    ]);
    expect(String((await get("/job/digits", "", { range: "bytes=-3" })).bytes)).toBe("789");
    const outside = await get("/job/digits", "", { range: "bytes=10-" });
    expect([outside.status, outside.body.code, outside.headers["content-range"]]).toEqual([416, "range-not-satisfiable", "bytes */10"]);
    expect((await get("/job/digits", "", { range: "bytes=0-1", "if-range": '"old"' })).status).toBe(200);
    const same = await get("/job/digits", "", { "if-none-match": etag });
    expect([same.status, same.bytes.length, same.headers["etag"]]).toEqual([304, 0, etag]);
    await put("/job/digits", Buffer.from("0123456789"));
    expect((await get("/job/digits", "", { "if-none-match": etag })).status).toBe(200);
    const head = await sendBytes(host, "HEAD", filesUrl(id, "/job/digits"));
    expect([head.status, head.headers["content-length"], head.bytes.length]).toEqual([200, "10", 0]);
  });

  it("is followed through links inside, never outside", async () => {
    await change({ op: "symlink", path: "/job/abs", target: "/../../../../etc/hostname-of-host" });
    expect((await get("/job/abs")).body.code).toBe("file-not-found");
    await change({ op: "symlink", path: "/job/rel", target: "../../../../etc/passwd" });
    expect(String((await get("/job/rel")).bytes)).toBe(inside("cat", "/etc/passwd").text);
    const { body } = await get("/job/rel", "&stat=true");
    expect(body).toMatchObject({ type: "link", target: "../../../../etc/passwd" });
  });
});

describe("a directory", () => {
  it("is listed in pages, every name once, in the order of bytes", async () => {
    const names = Array.from({ length: 25 }, (_, index) => `n${index}`);
    for (const name of names) await put(`/job/many/${name}`, Buffer.from(name), "&parents=true");
    const seen: string[] = [];
    for (let cursor = ""; ; ) {
      const { body } = await get("/job/many", `&limit=10${cursor}`);
      seen.push(...body.entries.map((entry: { name: string }) => entry.name));
      if (body.nextCursor === null) break;
      cursor = `&cursor=${body.nextCursor}`;
    }
    expect(seen).toEqual(names.sort());
    expect((await get("/job/many/n3", "&stat=true")).body.modifiedAt).toBe(
      new Date(Math.floor(statSync(upper("job/many/n3")).mtimeMs)).toISOString(),
    );
  });

  it("is deleted with what is in it only when asked", async () => {
    expect((await remove("/job/many")).body.code).toBe("directory-not-empty");
    expect((await remove("/job/many", "&recursive=true")).status).toBe(204);
    expect([existsSync(upper("job/many")), (await get("/job/many")).status]).toEqual([false, 404]);
    expect((await remove("/", "&recursive=true")).body.code).toBe("path-invalid");
    expect(inside("ls", "/job").status).toBe(0);
  });
});

it("names of any bytes are written, listed and read by their escapes", async () => {
  const name = Buffer.from([0xff, 0xfe, 0x0a, 0x25]);
  const path = Buffer.concat([Buffer.from("/job/odd/"), name]);
  expect((await put(path, Buffer.from("odd"), "&parents=true")).status).toBe(201);
  expect(readdirSync(Buffer.from(upper("job/odd")), { encoding: "buffer" })).toEqual([name]);
  const [entry] = (await get("/job/odd")).body.entries;
  expect([entry.name, entry.nameBytes]).toEqual([name.toString(), name.toString("base64")]);
  expect(String((await get(path)).bytes)).toBe("odd");
  const moved = await change({ op: "move", pathBytes: path.toString("base64"), to: "/job/odd/plain" });
  expect([moved.status, moved.body.name]).toEqual([200, "/job/odd/plain"]);
  expect((await change({ op: "symlink", path: "/job/odd/link", targetBytes: name.toString("base64") })).body.targetBytes).toBe(
    name.toString("base64"),
  );
  expect(readlinkSync(Buffer.from(upper("job/odd/link")), "buffer")).toEqual(name);
});

describe("changes", () => {
  it("are made as asked", async () => {
    expect((await change({ op: "mkdir", path: "/job/x/y", mode: "0700", parents: true })).body).toMatchObject({
      type: "directory",
      mode: "0700",
    });
    await put("/job/x/f", Buffer.from("f"));
    expect((await change({ op: "copy", path: "/job/x/f", to: "/job/x/g" })).status).toBe(200);
    expect((await change({ op: "link", path: "/job/x/f", to: "/job/x/h" })).body.links).toBe(2);
    expect((await change({ op: "move", path: "/job/x/g", to: "/job/x/y/g" })).body.name).toBe("/job/x/y/g");
    expect((await change({ op: "chmod", path: "/job/x/f", mode: "0600" })).body.mode).toBe("0600");
    expect((await change({ op: "chown", path: "/job/x/f", uid: 7, gid: 8 })).body).toMatchObject({ uid: 7, gid: 8 });
    expect(lstatSync(upper("job/x/h"))).toMatchObject({ uid: 7, gid: 8, nlink: 2, mode: 0o100600 });
    expect(readFileSync(upper("job/x/y/g"), "utf8")).toBe("f");
  });

  const refused: [string, object, number, string][] = [
    ["a directory that is there", { op: "mkdir", path: "/job" }, 409, "file-exists"],
    ["a directory in none", { op: "mkdir", path: "/none/x" }, 404, "file-not-found"],
    ["a directory below a file", { op: "mkdir", path: "/etc/passwd/x" }, 422, "not-a-directory"],
    ["the top", { op: "mkdir", path: "/" }, 422, "path-invalid"],
    ["dots", { op: "mkdir", path: "/job/.." }, 422, "path-invalid"],
    ["a move to another mount", { op: "move", path: "/etc/passwd", to: "/dev/shm/x" }, 422, "path-on-other-mount"],
    ["a move below itself", { op: "move", path: "/job", to: "/job/in" }, 422, "path-invalid"],
    ["a copy of a directory", { op: "copy", path: "/job", to: "/job2" }, 422, "is-a-directory"],
    ["a copy of nothing", { op: "copy", path: "/none", to: "/job2" }, 404, "file-not-found"],
    ["a name that is too long", { op: "mkdir", path: `/${"n".repeat(256)}` }, 422, "path-invalid"],
    ["a mode without one", { op: "chmod", path: "/job" }, 400, "invalid-request"],
    ["a field of another op", { op: "mkdir", path: "/x", to: "/y" }, 400, "invalid-request"],
    ["no path", { op: "mkdir" }, 400, "invalid-request"],
    ["two paths", { op: "mkdir", path: "/x", pathBytes: "L3g=" }, 400, "invalid-request"],
    ["a path of bytes with a NUL", { op: "mkdir", pathBytes: "L3gA" }, 400, "invalid-request"],
  ];
  it.each(refused)("are refused for %s", async (_, body, status, code) => {
    const reply = await change(body);
    expect([reply.status, reply.body.code], reply.text).toEqual([status, code]);
  });
});

describe("what is no plain file", () => {
  it("is never read, and nothing waits for it", async () => {
    spawnSync("mkfifo", [upper("job/fifo")]);
    const codes = async (path: string) => (await get(path)).body.code;
    expect(await codes("/job/fifo")).toBe("not-a-regular-file");
    expect((await get("/job/fifo")).body.detail).toContain("no regular file");
    expect((await get("/proc/self/status")).body.detail).toContain("something else is mounted there");
    for (const path of ["/dev/zero", "/proc/self/mem", "/proc/1/root/etc/passwd", "/sys/kernel", "/dev/pts/0"])
      expect(await codes(path), path).toBe("path-on-other-mount");
    await change({ op: "symlink", path: "/job/loop", target: "loop" });
    expect(await codes("/job/loop")).toBe("path-invalid");
    await change({ op: "symlink", path: "/job/magic", target: "/proc/self/exe" });
    expect(await codes("/job/magic")).toBe("path-on-other-mount");
    expect((await put("/dev/shm/x", Buffer.from("x"))).body.code).toBe("path-on-other-mount");
    expect((await remove("/proc", "&recursive=true")).status).toBe(422);
    expect((await put("/job", Buffer.from("x"))).body.code).toBe("is-a-directory");
  });

  it("may be 1 TB of holes: it streams, and a client that leaves ends it", async () => {
    await put("/job/sparse", Buffer.from("x"));
    truncateSync(upper("job/sparse"), 2 ** 40);
    const reply = await sendBytes(host, "GET", filesUrl(id, "/job/sparse"), null, {}, 10_000_000);
    expect([reply.status, reply.headers["content-length"]]).toEqual([200, String(2 ** 40)]);
    const tail = await get("/job/sparse", "", { range: `bytes=${2 ** 40 - 5}-` });
    expect([tail.status, tail.bytes]).toEqual([206, Buffer.alloc(5)]);
    await until("no agent is left", () => host.pidsInside({ process: { pid } }).length === 2);
    await remove("/job/sparse");
  });
});

it("a file that is exchanged with a link to the host while it is read never gives a byte of the host (check 52)", async () => {
  const secret = join(host.daemon.directory, "secret");
  const source = join(host.daemon.directory, "flip.c");
  spawnSync("bash", ["-c", `echo HOST-SECRET > ${secret}; cat > ${source}`], {
    input: `#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
int main(void) { for (;;) { renameat2(AT_FDCWD, "/job/race/a", AT_FDCWD, "/job/race/b", RENAME_EXCHANGE); renameat2(AT_FDCWD, "/job/race/d", AT_FDCWD, "/job/race/e", RENAME_EXCHANGE); } }`,
  });
  expect(spawnSync("gcc", ["-static", "-O1", "-o", `${source}.out`, source]).status).toBe(0);
  await put("/job/flip", readFileSync(`${source}.out`), "&mode=0755");
  await put("/job/race/a", Buffer.from("fine"), "&parents=true");
  await put("/job/race/d/f", Buffer.from("fine"), "&parents=true");
  for (const [path, target] of [
    ["/job/race/b", secret],
    ["/job/race/e", host.daemon.directory],
  ])
    await change({ op: "symlink", path, target });
  const started = await host.request("POST", `/v1/sandboxes/${id}/processes`, { command: ["/job/flip"] });
  expect(started.status, started.text).toBe(201);
  const seen = new Map<string, number>();
  const names = readdirSync(host.daemon.directory).sort();
  for (let turn = 0; turn < 100; turn++) {
    const read = await Promise.all([get("/job/race/a"), get("/job/race/d/f"), put("/job/race/d/new", Buffer.from("n"))]);
    for (const { status, bytes } of read) {
      if (status === 200 && bytes.length < 100) expect(String(bytes)).toBe("fine");
      expect(String(bytes)).not.toContain("HOST-SECRET");
      seen.set(String(status), (seen.get(String(status)) ?? 0) + 1);
    }
  }
  expect(seen.get("200")).toBeGreaterThan(20);
  expect(readdirSync(host.daemon.directory).sort()).toEqual(names);
  await host.request("DELETE", `/v1/sandboxes/${id}/processes/${started.body.id}`);
});

it("more requests at once than there may be agents are answered or told to come again", async () => {
  await put("/job/small", Buffer.from("small"));
  const replies = await Promise.all(Array.from({ length: 100 }, () => get("/job/small")));
  for (const { status, headers, body, bytes } of replies) {
    if (status === 200) expect(String(bytes)).toBe("small");
    else expect([status, body?.code, headers["retry-after"]]).toEqual([503, "files-busy", "1"]);
  }
  expect(replies.filter(({ status }) => status === 200).length).toBeGreaterThan(20);
  await sleep(50);
  expect((await get("/job/small")).status).toBe(200);
});

it("a sandbox that shares the host's mounts has no files to give", async () => {
  const shared = await host.run({ command: ["/bin/sleep", "100"], namespaces: { mount: false } });
  const { status, body } = await sendBytes(host, "GET", filesUrl(shared.id, "/etc/passwd"));
  expect([status, body.code]).toEqual([409, "files-unavailable"]);
});
