/** Trees in and out as tar archives; tar(1) on the host and the sandbox's upper directory are the witnesses. */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { archiveUrl, filesUrl, sendBytes } from "../fixtures/files-client.ts";
import { until } from "../fixtures/processes.ts";
import { paxRecord, type RawEntry, rawEntry, rawTar } from "../fixtures/raw-tar.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const limit = 60_000_000;
let host: SandboxDaemon;
let id: string;
beforeAll(async () => {
  host = await SandboxDaemon.start("archive", 1_250_000_000, "--archive-bytes", String(limit));
  id = (await host.run({ name: "box" })).id;
});
afterAll(() => host[Symbol.asyncDispose]());
beforeEach(async () => {
  await sendBytes(host, "DELETE", filesUrl(id, "/job", "&recursive=true"));
  await host.request("POST", `/v1/sandboxes/${id}/files`, { op: "mkdir", path: "/job" });
});

const upper = (path: string) => join(host.daemon.stateDir, "sandboxes", id, "upper", path);
const unpack = (body: Buffer | Readable, headers = {}, path = "/job") => sendBytes(host, "PUT", archiveUrl(id, path), body, headers);
const fetched = (path: string, headers = {}) => sendBytes(host, "GET", archiveUrl(id, path), null, headers);
const names = (path: string) => (readdirSync(path, { recursive: true }) as string[]).sort();

const evil = Buffer.from("evil");
const makeTree = (): string => {
  const tree = join(host.daemon.directory, "tree");
  rmSync(tree, { recursive: true, force: true });
  const deep = join(tree, "d".repeat(120), "e".repeat(120));
  mkdirSync(deep, { recursive: true });
  writeFileSync(join(deep, "f".repeat(200)), "deep");
  writeFileSync(join(tree, "big"), randomBytes(1_500_000), { mode: 0o640 });
  writeFileSync(join(tree, "empty"), "");
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0x0a])]), "odd");
  linkSync(join(tree, "big"), join(tree, "second"));
  symlinkSync("/etc/../../outside", join(tree, "link"));
  symlinkSync("t".repeat(150), join(tree, "long-link"));
  for (const directory of [deep, join(deep, "..")]) utimesSync(directory, 1_400_000_000, 1_400_000_000);
  return tree;
};
/** Every name with type, mode, owner, seconds of its time, links where it is no directory, and what it holds. */
const facts = (tree: string): string[] =>
  String(
    spawnSync("bash", [
      "-c",
      `cd ${tree} && find . -mindepth 1 -printf '%P %y %m %U:%G %l %Ts ' -type d -printf '\\n' -o -mindepth 1 -printf '%n\\n' | sort; find . -type f -exec sha256sum {} + | sort`,
    ]).stdout,
  ).split("\n");

describe("a tree", () => {
  it.each(["identity", "gzip", "zstd"])("goes in and comes out the same, %s", async (coding) => {
    const tree = makeTree();
    const { stdout } = spawnSync("tar", ["cf", "-", "-C", tree, "."], { maxBuffer: 1e8 });
    const body = coding === "gzip" ? gzipSync(stdout) : coding === "zstd" ? zstdCompressSync(stdout) : stdout;
    const put = await unpack(body, { "content-encoding": coding });
    expect([put.status, put.body]).toMatchObject([200, { entries: names(tree).length, bytes: 1_500_007 }]);
    expect(facts(upper("job"))).toEqual(facts(tree));
    const got = await fetched("/job", { "accept-encoding": coding });
    expect([got.status, got.headers["content-type"], got.headers["content-encoding"]]).toEqual([
      200,
      "application/x-tar",
      coding === "identity" ? undefined : coding,
    ]);
    const archive = coding === "gzip" ? gunzipSync(got.bytes) : coding === "zstd" ? zstdDecompressSync(got.bytes) : got.bytes;
    const back = join(host.daemon.directory, "back");
    rmSync(back, { recursive: true, force: true });
    mkdirSync(back);
    const untar = spawnSync("tar", ["xpf", "-", "-C", back], { input: archive });
    expect([untar.status, String(untar.stderr)]).toEqual([0, ""]);
    expect(facts(back)).toEqual(facts(tree));
    expect(archive.length).toBeLessThan(1_600_000);
  });

  it("is merged with what is there; what has the same name is replaced", async () => {
    mkdirSync(upper("job/d"));
    writeFileSync(upper("job/d/kept"), "kept");
    writeFileSync(upper("job/d/old"), "old");
    const { status } = await unpack(rawTar({ name: "d/", type: "5", mode: 0o755 }, { name: "d/old", data: Buffer.from("new") }));
    expect([status, readFileSync(upper("job/d/old"), "utf8"), readFileSync(upper("job/d/kept"), "utf8")]).toEqual([200, "new", "kept"]);
  });

  it("that meets a file where it has a directory, or the other way, is refused before anything of it is moved", async () => {
    mkdirSync(upper("job/z/directory"), { recursive: true, mode: 0o750 });
    writeFileSync(upper("job/z/file"), "kept");
    symlinkSync("/etc", upper("job/z/link"));
    const before = facts(upper("job"));
    const met: [string, RawEntry, string][] = [
      ["z/directory", { name: "z/directory", data: evil }, "is-a-directory"],
      ["z/file", { name: "z/file/", type: "5" }, "not-a-directory"],
      ["z/link", { name: "z/link/passwd", data: evil }, "not-a-directory"],
    ];
    for (const [entry, raw, reason] of met) {
      const { status, body } = await unpack(rawTar({ name: "a", data: evil }, { name: "z/", type: "5", mode: 0o711 }, raw));
      expect([status, body.code, body.entry], reason).toEqual([422, "archive-invalid", entry]);
      await until("all is as it was", () => facts(upper("job")).join() === before.join());
    }
  });

  it("keeps the mode and owner of a directory that is there, be it empty or not", async () => {
    for (const name of ["empty", "full/x"]) mkdirSync(upper(`job/${name}`), { recursive: true });
    for (const name of ["empty", "full"]) chmodSync(upper(`job/${name}`), 0o700);
    const { status } = await unpack(rawTar(...["empty/", "full/", "new/"].map((name) => ({ name, type: "5", mode: 0o711, uid: 9 }))));
    const modes = ["empty", "full", "new"].map((name) => lstatSync(upper(`job/${name}`))).map(({ mode }) => mode & 0o7777);
    expect([status, ...modes]).toEqual([200, 0o700, 0o700, 0o711]);
  });

  it("keeps the holes of sparse files, in all forms that tar has", async () => {
    const tree = join(host.daemon.directory, "sparse");
    rmSync(tree, { recursive: true, force: true });
    mkdirSync(tree);
    const holes = join(tree, "holes");
    writeFileSync(holes, "begin");
    for (let at = 1; at <= 30; at += 1)
      spawnSync("dd", ["if=/dev/urandom", `of=${holes}`, "bs=4096", "count=1", `seek=${at * 100}`, "conv=notrunc"]);
    truncateSync(holes, 40_000_000);
    writeFileSync(join(tree, "all"), "");
    truncateSync(join(tree, "all"), 2 ** 40);
    const hashOf = (path: string) => String(spawnSync("sha256sum", [path]).stdout).split(" ")[0];
    for (const form of [["--format=gnu"], ...["0.0", "0.1", "1.0"].map((version) => ["--format=pax", `--sparse-version=${version}`])]) {
      await sendBytes(host, "DELETE", filesUrl(id, "/job/holes"));
      const { stdout } = spawnSync("tar", ["cSf", "-", ...form, "-C", tree, "holes", "all"]);
      const { status, body } = await unpack(stdout);
      expect([status, body?.detail], form.join()).toEqual([200, undefined]);
      expect(hashOf(upper("job/holes")), form.join()).toBe(hashOf(holes));
      expect(lstatSync(upper("job/holes")).blocks * 512).toBeLessThan(1_000_000);
      expect([lstatSync(upper("job/all")).size, lstatSync(upper("job/all")).blocks]).toEqual([2 ** 40, 0]);
    }
    const { bytes } = await fetched("/job");
    expect(bytes.length).toBeLessThan(400_000);
    const back = join(host.daemon.directory, "back");
    rmSync(back, { recursive: true, force: true });
    mkdirSync(back);
    expect(String(spawnSync("tar", ["xf", "-", "-C", back], { input: bytes }).stderr)).toBe("");
    expect(hashOf(join(back, "holes"))).toBe(hashOf(holes));
    expect([lstatSync(join(back, "all")).size, lstatSync(join(back, "all")).blocks]).toEqual([2 ** 40, 0]);
  });

  it("of the whole sandbox has nothing of /proc, /sys and /dev", async () => {
    const { bytes } = await fetched("/");
    const listed = String(spawnSync("tar", ["tf", "-"], { input: bytes, maxBuffer: 1e8 }).stdout).split("\n");
    expect(listed.filter((name) => /^(proc|sys|dev)\//.test(name)).sort()).toEqual(["dev/", "proc/", "sys/"]);
    expect(listed.length).toBeGreaterThan(50);
  });

  it("leaves FIFOs out, and may be one file", async () => {
    spawnSync("mkfifo", [upper("job/fifo")]);
    writeFileSync(upper("job/f"), "f");
    expect(String(spawnSync("tar", ["tf", "-"], { input: (await fetched("/job")).bytes }).stdout)).toBe("f\n");
    expect(String(spawnSync("tar", ["xOf", "-"], { input: (await fetched("/job/f")).bytes }).stdout)).toBe("f");
    expect((await fetched("/job/fifo")).body.code).toBe("not-a-regular-file");
    expect((await fetched("/none")).body.code).toBe("file-not-found");
    expect((await fetched("/proc")).body.code).toBe("path-on-other-mount");
  });

  it("goes only into a directory", async () => {
    expect((await unpack(rawTar(), {}, "/none")).body.code).toBe("file-not-found");
    expect((await unpack(rawTar(), {}, "/etc/passwd")).body.code).toBe("not-a-directory");
    expect((await unpack(rawTar(), {}, "/proc")).body.code).toBe("path-on-other-mount");
    expect((await unpack(rawTar(), { "content-encoding": "br" })).status).toBe(415);
  });
});

const pax = (key: string, value: string) => rawEntry({ name: "x", type: "x", data: paxRecord(key, value) });
/** Each with a good entry before it, which must not be left behind. */
const slips: [string, Buffer, string | null][] = [
  ["a path with ..", rawTar({ name: "../evil", data: evil }), "../evil"],
  ["a path with .. within", rawTar({ name: "a/../../evil", data: evil }), "a/../../evil"],
  ["an absolute path", rawTar({ name: "/evil", data: evil }), "/evil"],
  ["a pax path with ..", Buffer.concat([pax("path", "../evil"), rawTar({ name: "fine", data: evil })]), "../evil"],
  ["an absolute pax path", Buffer.concat([pax("path", "/tmp/evil"), rawTar({ name: "fine", data: evil })]), "/tmp/evil"],
  ["a pax path with a NUL", Buffer.concat([pax("path", "a\0b"), rawTar({ name: "fine", data: evil })]), "a\0b"],
  [
    "a GNU name with ..",
    Buffer.concat([rawEntry({ name: "././@LongLink", type: "L", data: Buffer.from("../evil\0") }), rawTar({ name: "fine", data: evil })]),
    "../evil",
  ],
  ["a file below a link", rawTar({ name: "out", type: "2", link: "/tmp" }, { name: "out/evil", data: evil }), "out/evil"],
  ["a file below a link up", rawTar({ name: "out", type: "2", link: "../../tmp" }, { name: "out/evil", data: evil }), "out/evil"],
  ["a file below a link to the top", rawTar({ name: "out", type: "2", link: "/" }, { name: "out/evil", data: evil }), "out/evil"],
  [
    "a file below a link to a directory of its own",
    rawTar({ name: "d/", type: "5" }, { name: "out", type: "2", link: "d" }, { name: "out/evil", data: evil }),
    "out/evil",
  ],
  [
    "a hard link by way of a link",
    rawTar({ name: "f" }, { name: "out", type: "2", link: "." }, { name: "h", type: "1", link: "out/f" }),
    "h",
  ],
  ["a file in place of a link", rawTar({ name: "l", type: "2", link: "/etc/passwd" }, { name: "l", data: evil }), "l"],
  ["a hard link to .. ", rawTar({ name: "h", type: "1", link: "../etc/passwd" }), "h"],
  ["an absolute hard link", rawTar({ name: "h", type: "1", link: "/etc/passwd" }), "h"],
  ["a hard link to what is not in it", rawTar({ name: "h", type: "1", link: "etc/passwd" }), "h"],
  [
    "a hard link to a link, written through",
    rawTar({ name: "l", type: "2", link: "/etc/passwd" }, { name: "h", type: "1", link: "l" }, { name: "h", data: evil }),
    "h",
  ],
  ["a character device", rawTar({ name: "dev", type: "3", devmajor: 1 }), "dev"],
  ["a block device", rawTar({ name: "dev", type: "4", devmajor: 8 }), "dev"],
  ["a FIFO", rawTar({ name: "fifo", type: "6" }), "fifo"],
  ["an owner beyond the range", rawTar({ name: "f", uid: 70_000 }), "f"],
  ["a link without a target", rawTar({ name: "l", type: "2" }), "l"],
  ["a file in place of a directory", rawTar({ name: "d/", type: "5" }, { name: "d", data: evil }), "d"],
  ["a name that is too long", Buffer.concat([pax("path", "n".repeat(300)), rawTar({ name: "fine" })]), "n".repeat(300)],
  ["an end in the middle", rawTar({ name: "f", data: Buffer.alloc(5_000) }).subarray(0, 3_000), null],
  ["no end", rawEntry({ name: "f", data: evil }), null],
  ["no tar at all", randomBytes(2_000), null],
];

describe("an archive with", () => {
  it.each(slips)("%s is refused, and nothing of it is left (check 51)", async (_, archive, entry) => {
    const passwd = readFileSync("/etc/passwd", "utf8");
    const before = names(upper("."));
    const reply = await unpack(Buffer.concat([rawEntry({ name: "good", data: Buffer.from("good") }), archive]));
    expect([reply.status, reply.body.code], JSON.stringify(reply.body)).toEqual([422, "archive-invalid"]);
    if (entry !== null) expect(reply.body.entry).toBe(entry);
    await until("nothing of it is left", () => names(upper(".")).join() === before.join());
    expect(existsSync("/evil") || existsSync("/tmp/evil") || existsSync(join(host.daemon.stateDir, "evil"))).toBe(false);
    expect(readFileSync("/etc/passwd", "utf8")).toBe(passwd);
  });

  it("set-user-id gets it stripped; a file twice is the later one; a link out stays a mere link (check 56)", async () => {
    const entries: RawEntry[] = [
      { name: "./suid", mode: 0o6755, data: evil },
      { name: "twice", data: Buffer.from("first, and longer") },
      { name: "twice", data: Buffer.from("second") },
      { name: "out", type: "2", link: "/../../etc/shadow" },
    ];
    expect((await unpack(rawTar(...entries))).status).toBe(200);
    expect(lstatSync(upper("job/suid")).mode & 0o7777).toBe(0o755);
    expect(readFileSync(upper("job/twice"), "utf8")).toBe("second");
    expect(lstatSync(upper("job/out")).isSymbolicLink()).toBe(true);
  });
});

describe("an archive that is too large", () => {
  const refused = async (body: Buffer | Readable, headers = {}) => {
    const before = names(upper("."));
    const { status, body: problem } = await unpack(body, headers);
    expect([status, problem.code], JSON.stringify(problem)).toEqual([413, "archive-too-large"]);
    await until("nothing of it is left", () => names(upper(".")).join() === before.join());
    return problem.detail;
  };

  it("in bytes is refused while it comes (check 54)", async () => {
    async function* endless() {
      yield rawEntry({ name: "f", size: 2 ** 32 }).subarray(0, 512);
      for (;;) yield randomBytes(65_536);
    }
    expect(await refused(Readable.from(endless()))).toContain(String(limit));
  });

  it("by its compression is refused, gzip and zstd (check 54)", async () => {
    const bomb = rawTar({ name: "zeros", data: Buffer.alloc(40_000_000) });
    expect(await refused(gzipSync(bomb), { "content-encoding": "gzip" })).toContain("200 to 1");
    expect(await refused(zstdCompressSync(bomb), { "content-encoding": "zstd" })).toContain("200 to 1");
  });

  it("in entries is refused (check 54)", { timeout: 60_000 }, async () => {
    const block = Buffer.concat(Array.from({ length: 1_000 }, () => rawEntry({ name: "same", type: "5" })));
    expect(
      await refused(gzipSync(Buffer.concat(Array.from({ length: 101 }, () => block)), { level: 0 }), { "content-encoding": "gzip" }),
    ).toContain("entries");
  });
});

describe("a transfer that is broken off", () => {
  it("leaves nothing when it was an upload", async () => {
    const before = names(upper("."));
    const body = new PassThrough();
    const broken = unpack(body).catch(() => null);
    body.write(rawTar({ name: "a/b/c", data: randomBytes(300_000) }).subarray(0, 200_000));
    await until("its bytes on the way", () => readdirSync(upper("job")).some((name) => name.startsWith(".unshared-")));
    body.destroy(new Error("the client is gone"));
    await broken;
    await until("nothing is left", () => names(upper(".")).join() === before.join());
  });

  it("of damaged gzip is a refusal", async () => {
    const good = gzipSync(rawTar({ name: "f", data: randomBytes(100_000) }));
    for (const bad of [good.subarray(0, 50_000), Buffer.concat([good.subarray(0, 60_000), Buffer.alloc(100), good.subarray(60_100)])]) {
      const { status, body } = await unpack(bad, { "content-encoding": "gzip" });
      expect([status, body.code]).toEqual([422, "archive-invalid"]);
    }
    await until("nothing is left", () => readdirSync(upper("job")).length === 0);
  });

  it("of a tree is seen by its reader as cut off, never as whole", async () => {
    writeFileSync(upper("job/large"), randomBytes(5_000_000));
    const { bytes } = await sendBytes(host, "GET", archiveUrl(id, "/job"), null, {}, 100_000);
    expect(spawnSync("tar", ["tf", "-"], { input: bytes }).status).not.toBe(0);
  });
});
