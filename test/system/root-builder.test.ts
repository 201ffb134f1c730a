import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, copyFile, lstat, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BuildControl, ManifestEntry, ManifestTotals } from "../../server/domain/root-ports.ts";
import { HostRootBuilder } from "../../server/host/root-builder.ts";

let state: string;
let builder: HostRootBuilder;
beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), "unshared-roots-"));
  builder = new HostRootBuilder(state);
  await builder.sweep([]);
});
afterAll(() => rm(state, { recursive: true }));

const quiet = (signal = new AbortController().signal): BuildControl => ({ signal, report: () => {} });
const tree = (id: string, path = "") => join(state, "roots", id, "tree", path);
const inRoot = (id: string, script: string) =>
  execFileSync("chroot", [tree(id), "/bin/bash", "-c", script], { encoding: "utf8", env: { PATH: "/usr/bin:/bin:/usr/sbin" } });
const manifestOf = async (id: string): Promise<{ root: string; totals: ManifestTotals; files: ManifestEntry[] }> =>
  JSON.parse(await text((await builder.manifest(id)).stream));
const names = async () => (await readdir(join(state, "roots"))).sort();

describe("a root of kind copy", () => {
  it("runs bash and its programs in a chroot of it", async () => {
    const provision = await builder.prepare({
      kind: "copy",
      binaries: ["/bin/bash", "/bin/sh", "/bin/ls", "/usr/bin/awk", "/usr/bin/id"],
      files: ["/etc/services"],
    });
    await provision.run("programs", quiet());
    // A merged /usr has as many links as this host has.
    const libraries = ["lib", "lib32", "lib64", "libx32"].filter((name) => existsSync(`/${name}`));
    const top = ["bin", "dev", "etc", "home", ...libraries, "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"];
    expect(inRoot("programs", "echo $BASH; ls /; sh -c 'echo from sh'; awk 'BEGIN { print 6 * 7 }'; id -un")).toBe(
      `/bin/bash\n${top.join("\n")}\nfrom sh\n42\nroot\n`,
    );
  });

  it("is described file by file, and the description is true", async () => {
    const { root, totals, files } = await manifestOf("programs");
    expect(root).toBe("programs");
    for (const file of files) {
      const stats = await lstat(tree("programs", file.path));
      expect((stats.mode & 0o7777).toString(8).padStart(4, "0"), file.path).toBe(file.mode);
      expect([stats.uid, stats.gid]).toEqual([0, 0]);
      if (file.type !== "file") continue;
      const bytes = await readFile(tree("programs", file.path));
      expect(bytes.length).toBe(file.sizeBytes);
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(file.sha256);
      if (file.source) expect(bytes.equals(await readFile(file.source))).toBe(true);
    }
    const found = execFileSync("find", [tree("programs"), "!", "-type", "d", "-printf", "/%P\n"], { encoding: "utf8" })
      .trim()
      .split("\n")
      .sort();
    expect(files.filter((file) => file.type !== "directory").map((file) => file.path)).toEqual(found);
    expect(files.every((file) => file.why.length > 0)).toBe(true);
    expect(totals.files + totals.links).toBe(found.length);
    expect(files.find((file) => file.path === "/etc/services")).toMatchObject({ source: "/etc/services", why: [{ kind: "asked-for" }] });
  });

  it("drops set-user-id bits and owners, keeps permissions and times", async () => {
    const source = join(state, "special");
    await copyFile("/bin/true", source);
    execFileSync("chown", ["1234:1234", source]);
    await chmod(source, 0o6751);
    await utimes(source, 1_000_000_000, 1_000_000_000);
    const provision = await builder.prepare({ kind: "copy", binaries: ["/bin/bash"], files: [{ source, target: "/opt/special" }] });
    await provision.run("special", quiet());
    const stats = await lstat(tree("special", "opt/special"));
    expect([stats.uid, stats.gid, stats.mode & 0o7777, stats.mtimeMs]).toEqual([0, 0, 0o751, 1e12]);
    expect((await lstat(tree("special", "tmp"))).mode & 0o7777).toBe(0o1777);
  });

  it("leaves nothing when it is refused, fails or is cancelled", async () => {
    const before = await names();
    await expect(builder.prepare({ kind: "copy", binaries: ["/no/such"] })).rejects.toMatchObject({
      code: "root-source-invalid",
      faults: [{ pointer: "/source/binaries/0" }],
    });

    const source = join(state, "vanishing");
    await writeFile(source, "x");
    const failing = await builder.prepare({ kind: "copy", files: [source] });
    await rm(source);
    await expect(failing.run("failing", quiet())).rejects.toMatchObject({ code: "root-provision-failed" });

    const controller = new AbortController();
    const cancelled = await builder.prepare({ kind: "copy", binaries: ["/bin/bash", "/bin/ls"] });
    const control: BuildControl = { signal: controller.signal, report: () => controller.abort(new Error("cancelled")) };
    await expect(cancelled.run("cancelled", control)).rejects.toThrow("cancelled");
    expect(await names()).toEqual(before);
  });

  it("is gone after its removal, and a sweep clears what a crash left", async () => {
    await mkdir(join(state, "roots/.tmp-crashed/tree/usr"), { recursive: true });
    await mkdir(join(state, "roots/.trash-crashed/tree"), { recursive: true });
    await mkdir(join(state, "roots/unknown/tree"), { recursive: true });
    await builder.remove("special");
    const { removed, lost } = await builder.sweep(["programs", "vanished"]);
    expect(removed.sort()).toEqual([".tmp-crashed", ".trash-crashed", "unknown"]);
    expect(lost).toEqual(["vanished"]);
    expect(await names()).toEqual(["programs"]);
    await builder.remove("never-was");
  });

  it("makes the embedded default from this host: a shell with the usual programs", async () => {
    const provision = await builder.prepare(await builder.defaultSource());
    const { sizeBytes } = await provision.run("default", quiet());
    expect(sizeBytes).toBeLessThan(64 * 1024 * 1024);
    const script =
      "for each in ls cat grep sed awk find xargs tar gzip env id stat sort head tail sleep tty stty; do command -v $each > /dev/null || echo missing $each; done; seq 3 | sort -r | head -1";
    expect(inRoot("default", script)).toBe("3\n");
    expect(inRoot("default", "find / -xdev -perm /6000 ! -type d")).toBe("");
    expect(inRoot("default", "TERM=xterm tput cols > /dev/null && LC_ALL=C.UTF-8 awk 'BEGIN { print 1 }'")).toBe("1\n");
  });
});
