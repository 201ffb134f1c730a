/** Archives of runs in a real directory: what has room, what is left out, and when they go. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Entry } from "../../server/domain/file-ports.ts";
import type { RunArchive } from "../../server/domain/run.ts";
import { RunArchives, RunArchiveWriter } from "../../server/domain/run-archives.ts";
import { StateArchiveFolder } from "../../server/host/run-archive-folder.ts";
import { until } from "../fixtures/processes.ts";

let directory: string;
let folder: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "unshared-run-archives-"));
  folder = join(directory, "run-archives");
  mkdirSync(folder);
});
afterEach(() => rmSync(directory, { recursive: true }));

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} } as never;
const limits = { heldMilliseconds: 60_000, bytesEach: 10_240, bytesTogether: 16_384 };
const make = (changed = {}) => new RunArchives(new StateArchiveFolder(directory), log, { ...limits, ...changed });

const entry = (path: string, sizeBytes: number): Entry => ({
  name: Buffer.from(path),
  type: "file",
  sizeBytes,
  mode: 0o4755,
  uid: 7,
  gid: 8,
  modifiedMicroseconds: 1_700_000_000e6,
  links: 1,
  inode: "1",
  hardlink: null,
  target: null,
  segments: null,
});
const add = (writer: RunArchiveWriter, path: string, sizeBytes: number, given = sizeBytes) =>
  writer.add(entry(path, sizeBytes), async () =>
    (async function* () {
      yield Buffer.alloc(given, "x");
    })(),
  );
const tar = (...args: string[]): string => String(spawnSync("tar", args).stdout);

/** That of the run "1a", with one file. */
const small = async (archives: RunArchives): Promise<RunArchive> => {
  const writer = new RunArchiveWriter("1a", archives);
  await add(writer, "/a", 8_000);
  const archive = await writer.end();
  if (archive === null) throw new Error("no archive");
  return archive;
};

describe("an archive", () => {
  it("is one of tar's, with plain modes; a file that became shorter is filled up", async () => {
    const writer = new RunArchiveWriter("1a", make());
    expect([await add(writer, "/a/b", 700), await add(writer, "/c", 1_000, 10), await add(writer, "/e", 0)]).toEqual([null, null, null]);
    const archive = await writer.end();
    const path = join(folder, "1a.tar");
    expect([archive?.files, archive?.bytes]).toEqual([3, readFileSync(path).length]);
    expect(tar("-tvf", path, "--numeric-owner", "--utc").split("\n").slice(0, 3)).toEqual([
      expect.stringMatching(/^-rwxr-xr-x 7\/8 +700 2023-11-14 22:13 a\/b$/),
      expect.stringMatching(/^-rwxr-xr-x 7\/8 +1000 2023-11-14 22:13 c$/),
      expect.stringMatching(/^-rwxr-xr-x 7\/8 +0 2023-11-14 22:13 e$/),
    ]);
    expect(tar("-xOf", path, "c")).toBe("x".repeat(10) + "\0".repeat(990));
  });

  it("leaves out what one of them, or all together, have no room for", async () => {
    const archives = make();
    const [first, second] = [new RunArchiveWriter("1a", archives), new RunArchiveWriter("1b", archives)];
    expect([await add(first, "/a", 9_000), await add(first, "/b", 8_000), await add(first, "/c", 1)]).toEqual([
      "archive-limit",
      null,
      "archive-limit",
    ]);
    expect([await add(second, "/a", 8_000), await add(second, "/b", 1)]).toEqual(["storage-limit", null]);
    expect(tar("-tf", join(folder, "1a.tar"))).toBe("b\n");
    await first.end();
    await archives.drop("1a");
    expect([await add(second, "/c", 4_000), (await second.end())?.files]).toEqual([null, 2]);
    expect(tar("-tf", join(folder, "1b.tar"))).toBe("b\nc\n");
  });

  it("has no file where nothing is in it, or it was given up", async () => {
    const archives = make();
    const [empty, given] = [new RunArchiveWriter("1a", archives), new RunArchiveWriter("1b", archives)];
    expect([await add(empty, "/a", 90_000), await empty.end(), await add(given, "/a", 8_000)]).toEqual(["archive-limit", null, null]);
    expect(readdirSync(folder)).toEqual(["1b.tar"]);
    await given.abandon();
    expect(readdirSync(folder)).toEqual([]);
    expect(await add(new RunArchiveWriter("1c", archives), "/a", 8_000)).toBe(null);
  });

  it("keeps what was in it where the disk has no more room", async () => {
    expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "archives", folder]).status).toBe(0);
    try {
      const writer = new RunArchiveWriter("1a", make({ bytesEach: 1e6, bytesTogether: 1e6 }));
      expect([await add(writer, "/a", 9_000), await add(writer, "/b", 90_000), await add(writer, "/c", 1_000)]).toEqual([
        null,
        "no-space",
        null,
      ]);
      expect((await writer.end())?.files).toBe(2);
      expect(tar("-tf", join(folder, "1a.tar"))).toBe("a\nc\n");
    } finally {
      spawnSync("umount", [folder]);
    }
  });

  it("goes when its time has come; who has it open reads on", async () => {
    const archives = make({ heldMilliseconds: 300 });
    const archive = await small(archives);
    archives.hold("1a", archive);
    const reader = await archives.open("1a", archive);
    await until("it is gone", () => readdirSync(folder).length === 0);
    expect(Date.now()).toBeGreaterThanOrEqual(archive.expiresAt - 1);
    expect((await reader.toArray()).reduce((sum, piece) => sum + piece.length, 0)).toBe(archive.bytes);
    await expect(archives.open("1a", archive)).rejects.toMatchObject({ code: "run-archive-expired" });
    expect(await add(new RunArchiveWriter("1b", archives), "/a", 8_000)).toBe(null);
  });

  it("is held no longer than any by a clock that was set back, however far, nor less", async () => {
    const archives = make({ heldMilliseconds: 500 });
    const archive = await small(archives);
    const began = performance.now();
    archives.hold("1a", { ...archive, expiresAt: Date.now() + 10 * 365 * 86_400_000 });
    await until("it is gone", () => readdirSync(folder).length === 0);
    expect(performance.now() - began).toBeGreaterThanOrEqual(499);
  });
});
