import { execFileSync } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CopySource } from "../../server/domain/root-ports.ts";
import { planCopy } from "../../server/host/copy-plan.ts";
import { parseLdCache } from "../../server/host/ld-cache.ts";

let directory: string;
let socket: Server;
const at = (name: string) => join(directory, name);

beforeAll(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "unshared-plan-")));
  execFileSync("mkfifo", [at("fifo")]);
  socket = createServer().listen(at("socket"));
  await writeFile(at("text"), "no program\n", { mode: 0o755 });
  await writeFile(at("script"), "#!/bin/bash\n", { mode: 0o755 });
  await writeFile(at("plain-script"), "#!/bin/bash\n", { mode: 0o644 });
  await writeFile(at("env-script"), "#! /usr/bin/env -S A=1 awk -f\n", { mode: 0o755 });
  await writeFile(at("lost-script"), "#!/nowhere/interpreter\n", { mode: 0o755 });
  await writeFile(at("lost-env-script"), "#!/usr/bin/env nothing-of-that-name\n", { mode: 0o755 });
  await symlink(at("loop-b"), at("loop-a"));
  await symlink(at("loop-a"), at("loop-b"));
  await symlink("nothing", at("dangling"));
  await symlink("/etc", at("to-directory"));
  const foreign = await readFile("/bin/true");
  foreign.writeUInt16LE(foreign.readUInt16LE(18) === 183 ? 62 : 183, 18);
  await writeFile(at("foreign"), foreign, { mode: 0o755 });
  await writeFile(at("damaged"), foreign.subarray(0, 100), { mode: 0o755 });
});
afterAll(async () => {
  socket.close();
  await rm(directory, { recursive: true });
});

const plan = (source: Partial<CopySource>) => planCopy({ kind: "copy", binaries: [], files: [], ...source });

describe("planning a copy", () => {
  it("brings a program, its libraries and the links on the way, each with its reason", async () => {
    const { plan: tree, faults } = await plan({ binaries: ["/bin/bash", "/bin/sh"] });
    expect(faults).toEqual([]);
    expect(tree.entries.get("/usr/bin/bash")?.why).toContainEqual({ kind: "asked-for", of: "/bin/bash" });
    expect(tree.entries.get("/bin")).toMatchObject({ type: "link", target: "usr/bin" });
    expect(tree.entries.get("/usr/bin/sh")).toMatchObject({ type: "link", why: [{ kind: "asked-for", of: "/bin/sh" }] });
    const shell = await realpath("/bin/sh");
    expect(tree.entries.get(shell)?.why).toContainEqual({ kind: "link-target", of: "/usr/bin/sh" });
    const libc = tree.entries.get(await realpath("/lib/x86_64-linux-gnu/libc.so.6").catch(() => "/none"));
    expect(libc?.why).toContainEqual({ kind: "needed-by", of: "/usr/bin/bash" });
    const linkers = [...tree.entries.values()].filter((each) =>
      each.why.some((why) => why.kind === "interpreter-of" && why.of === "/usr/bin/bash"),
    );
    expect(linkers.map((each) => each.path).join()).toMatch(/\/ld-linux/);
  });

  it("keeps a chain of links as it is on the host", async () => {
    const { plan: tree } = await plan({ binaries: ["/usr/bin/awk"] });
    expect(tree.entries.get("/usr/bin/awk")).toMatchObject({ type: "link", target: "/etc/alternatives/awk" });
    expect(tree.entries.get("/etc/alternatives/awk")).toMatchObject({ type: "link" });
    expect(tree.entries.get(await realpath("/usr/bin/awk"))).toMatchObject({ type: "file" });
  });

  it("brings the interpreter of a script, and what env looks up", async () => {
    const { plan: tree, faults } = await plan({ binaries: [at("script"), at("env-script")] });
    expect(faults).toEqual([]);
    expect(tree.entries.get("/usr/bin/bash")?.why).toEqual([{ kind: "interpreter-of", of: at("script") }]);
    expect(tree.entries.get("/usr/bin/env")?.why).toEqual([{ kind: "interpreter-of", of: at("env-script") }]);
    expect(tree.entries.get("/usr/bin/awk")?.why).toEqual([{ kind: "interpreter-of", of: at("env-script") }]);
  });

  const refused: [string, () => Partial<CopySource>, string, RegExp][] = [
    ["a missing file", () => ({ binaries: ["/bin/bash", "/no/such"] }), "/source/binaries/1", /\/no\/such does not exist/],
    ["a directory", () => ({ binaries: ["/etc"] }), "/source/binaries/0", /directory/],
    ["a directory among the files", () => ({ files: ["/etc"] }), "/source/files/0", /directory/],
    ["a link to a directory", () => ({ files: [at("to-directory")] }), "/source/files/0", /directory/],
    ["a path with a slash at its end", () => ({ files: ["/etc/passwd/"] }), "/source/files/0", /directory/],
    ["the root itself", () => ({ files: ["/"] }), "/source/files/0", /directory/],
    ["a path with ..", () => ({ binaries: ["/usr/../bin/bash"] }), "/source/binaries/0", /"\.\."/],
    ["a relative path", () => ({ binaries: ["bin/bash"] }), "/source/binaries/0", /absolute/],
    ["an empty path", () => ({ binaries: [""] }), "/source/binaries/0", /absolute/],
    ["a NUL", () => ({ binaries: ["/bin/ba\0sh"] }), "/source/binaries/0", /NUL/],
    ["a name longer than names can be", () => ({ binaries: [`/bin/${"x".repeat(300)}`] }), "/source/binaries/0", /too long/],
    ["a FIFO", () => ({ files: [at("fifo")] }), "/source/files/0", /FIFO/],
    ["a socket", () => ({ files: [at("socket")] }), "/source/files/0", /socket/],
    ["a device", () => ({ files: ["/dev/zero"] }), "/source/files/0", /device/],
    ["a file of /proc", () => ({ files: ["/proc/version"] }), "/source/files/0", /mount point/],
    ["a loop of links", () => ({ files: [at("loop-a")] }), "/source/files/0", /too many links/],
    ["a dangling link", () => ({ files: [at("dangling")] }), "/source/files/0", /nothing.* does not exist/],
    ["a program for another architecture", () => ({ binaries: [at("foreign")] }), "/source/binaries/0", /another architecture/],
    ["a damaged program", () => ({ binaries: [at("damaged")] }), "/source/binaries/0", /damaged/],
    ["a text that is no script", () => ({ binaries: [at("text")] }), "/source/binaries/0", /neither/],
    ["a script that nobody may execute", () => ({ binaries: [at("plain-script")] }), "/source/binaries/0", /not executable/],
    ["a script without its interpreter", () => ({ binaries: [at("lost-script")] }), "/source/binaries/0", /\/nowhere.* does not exist/],
    [
      "a script whose program env will not find",
      () => ({ binaries: [at("lost-env-script")] }),
      "/source/binaries/0",
      /nothing-of-that-name/,
    ],
    ["a target with ..", () => ({ files: [{ source: "/etc/passwd", target: "/a/../b" }] }), "/source/files/0/target", /"\.\."/],
    ["a source that is missing", () => ({ files: [{ source: "/no/such", target: "/a" }] }), "/source/files/0/source", /does not exist/],
    [
      "a target below a mount point",
      () => ({ files: [{ source: "/etc/passwd", target: "/dev/a" }] }),
      "/source/files/0/target",
      /mount point/,
    ],
    [
      "a target that is a mount point",
      () => ({ files: [{ source: "/etc/passwd", target: "/proc" }] }),
      "/source/files/0/target",
      /mount point/,
    ],
    [
      "two files in one place",
      () => ({ files: ["/etc/passwd", { source: "/etc/group", target: "/etc/passwd" }] }),
      "/source/files/1/target",
      /two different/,
    ],
    [
      "a file below a file",
      () => ({
        files: [
          { source: "/etc/passwd", target: "/a" },
          { source: "/etc/passwd", target: "/a/b" },
        ],
      }),
      "/source",
      /below \/a/,
    ],
    ["nothing at all", () => ({}), "/source", /names no/],
  ];
  it.each(refused)("refuses %s, and says which", async (_, source, pointer, detail) => {
    const { faults } = await plan(source());
    expect(faults).toEqual([{ pointer, detail: expect.stringMatching(detail) }]);
  });

  it("names every fault, not only the first", async () => {
    const { faults } = await plan({ binaries: ["/no/a", "/bin/bash", "/no/b"], files: ["/no/c"] });
    expect(faults.map((fault) => fault.pointer)).toEqual(["/source/binaries/0", "/source/binaries/2", "/source/files/0"]);
  });

  it("puts a file where it is wanted, through the links of the tree", async () => {
    const { plan: tree, faults } = await plan({ binaries: ["/bin/true"], files: [{ source: "/etc/hostname", target: "/bin/note" }] });
    expect(faults).toEqual([]);
    expect(tree.entries.get("/usr/bin/note")).toMatchObject({ type: "file", source: "/etc/hostname" });
  });

  it("makes its small /etc, but leaves a file that the caller brings", async () => {
    const { plan: tree } = await plan({ binaries: ["/bin/true"], files: [{ source: "/etc/hostname", target: "/etc/passwd" }] });
    expect(tree.entries.get("/etc/passwd")).toMatchObject({ source: "/etc/hostname" });
    expect(tree.entries.get("/etc/group")).toMatchObject({ source: null, why: [{ kind: "generated" }] });
  });

  it("writes a linker's cache only when a library lies where only the cache leads", async () => {
    const { plan: plain } = await plan({ binaries: ["/bin/bash"] });
    expect(plain.entries.has("/etc/ld.so.cache")).toBe(false);
    // A library of the cache in a directory of its own, as many a host has under /usr/local/lib or /etc/ld.so.conf.d; not of another machine.
    const outside = parseLdCache(await readFile("/etc/ld.so.cache")).find(
      (each) => each.hwcap === 0n && !/^(\/usr)?\/lib(32|64|x32)?(\/[a-z0-9_]+-linux-gnu)?\/[^/]+$/.test(each.path),
    );
    if (!outside) return;
    const program = at("needs-cache");
    await writeFile(at("needs-cache.c"), "int main(void) { return 0; }");
    execFileSync("gcc", ["-o", program, at("needs-cache.c"), "-Wl,--no-as-needed", outside.path, "-Wl,--allow-shlib-undefined"]);
    const { plan: tree, faults } = await plan({ binaries: [program] });
    expect(faults).toEqual([]);
    const cache = tree.entries.get("/etc/ld.so.cache");
    expect(cache?.type === "file" && cache.content && parseLdCache(cache.content).map((each) => each.path)).toContain(outside.path);
  });

  it("takes a shared library that is not executable as a binary, with what it needs", async () => {
    await mkdir(at("lib"));
    await copyFile(await realpath("/lib/x86_64-linux-gnu/libtinfo.so.6"), at("lib/libcopy.so"));
    await chmod(at("lib/libcopy.so"), 0o644);
    const { plan: tree, faults } = await plan({ binaries: [at("lib/libcopy.so")] });
    expect(faults).toEqual([]);
    expect([...tree.entries.keys()].join(" ")).toMatch(/libc\.so\.6/);
  });
});
