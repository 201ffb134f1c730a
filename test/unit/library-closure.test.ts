import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ElfError } from "../../server/host/elf.ts";
import { libraryClosure } from "../../server/host/library-closure.ts";
import { LibrarySearch } from "../../server/host/library-search.ts";

let directory: string;
beforeAll(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), "unshared-closure-")));
});
afterAll(() => rm(directory, { recursive: true }));

/** What the linker itself loads for a program, by ldd(1); the paths without links, sorted. */
const witness = async (program: string): Promise<string[]> => {
  const printed = execFileSync("ldd", [program], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], env: { PATH: "/usr/bin:/bin" } });
  const paths = printed.split("\n").map((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? "");
  return unique(await Promise.all(paths.filter((path) => path !== "").map((path) => realpath(path))));
};
const ours = async (program: string): Promise<string[]> => {
  const { dependencies, missing } = await libraryClosure(program, new LibrarySearch());
  expect(missing).toEqual([]);
  return unique(await Promise.all(dependencies.map((each) => realpath(each.path))));
};
const unique = (paths: string[]) => [...new Set(paths)].sort();

/** Compiles `name` from C, with these further arguments. */
const compile = (name: string, code: string, ...args: string[]): string => {
  const source = join(directory, "source.c");
  execFileSync("sh", ["-c", 'cat > "$0"', source], { input: code });
  execFileSync("gcc", ["-o", join(directory, name), source, ...args], { cwd: directory });
  return join(directory, name);
};

describe("the closure of a program's libraries", () => {
  it("is the one that the linker loads, for the programs of this host", async () => {
    const search = new LibrarySearch();
    let compared = 0;
    for (const name of (await readdir("/usr/bin")).sort().filter((_, index) => index % 12 === 0)) {
      const program = join("/usr/bin", name);
      try {
        if ((await libraryClosure(program, search)).image.interpreter === null) continue;
      } catch (error) {
        if (error instanceof ElfError) continue;
        throw error;
      }
      // ldd takes $ORIGIN from the path it is given, the kernel from the file itself.
      expect(await ours(program), program).toEqual(await witness(await realpath(program)));
      compared += 1;
    }
    expect(compared).toBeGreaterThan(10);
  });

  it("follows RUNPATH with $ORIGIN, and a library's own RUNPATH", async () => {
    await mkdir(join(directory, "lib/deep"), { recursive: true });
    compile("lib/deep/libdeep.so.1", "int deep(void) { return 1; }", "-shared", "-fPIC", "-Wl,-soname,libdeep.so.1");
    compile(
      "lib/libmid.so",
      "int deep(void); int mid(void) { return deep(); }",
      "-shared",
      "-fPIC",
      "-Wl,-soname,libmid.so",
      "-Wl,--enable-new-dtags",
      ["-Wl,-rpath,$", "{ORIGIN}/deep"].join(""),
      "-L./lib/deep",
      "-l:libdeep.so.1",
    );
    const program = compile(
      "runpath",
      "int mid(void); int main(void) { return mid() - 1; }",
      "-Wl,--enable-new-dtags",
      "-Wl,-rpath,$ORIGIN/lib",
      "-Llib",
      "-l:libmid.so",
      "-Wl,--allow-shlib-undefined",
    );
    expect(await ours(program)).toEqual(await witness(program));
    expect(await ours(program)).toContain(join(directory, "lib/deep/libdeep.so.1"));
  });

  it("hands RPATH down to what a library needs, but not RUNPATH", async () => {
    await mkdir(join(directory, "flat"), { recursive: true });
    compile("flat/libleaf.so", "int leaf(void) { return 1; }", "-shared", "-fPIC", "-Wl,-soname,libleaf.so");
    compile(
      "flat/libbranch.so",
      "int leaf(void); int branch(void) { return leaf(); }",
      "-shared",
      "-fPIC",
      "-Wl,-soname,libbranch.so",
      "-Lflat",
      "-l:libleaf.so",
    );
    const code = "int branch(void); int main(void) { return branch() - 1; }";
    const args = ["-Wl,-rpath,$ORIGIN/flat", "-Lflat", "-l:libbranch.so", "-Wl,--allow-shlib-undefined"];
    const program = compile("rpath", code, "-Wl,--disable-new-dtags", ...args);
    expect(await ours(program)).toEqual(await witness(program));
    const other = compile("no-rpath", code, "-Wl,--enable-new-dtags", ...args);
    const { missing } = await libraryClosure(other, new LibrarySearch());
    expect(missing).toEqual([{ name: "libleaf.so", of: join(directory, "flat/libbranch.so") }]);
    expect(execFileSync("ldd", [other], { encoding: "utf8" })).toMatch(/libleaf\.so => not found/);
  });

  it("is empty for a static program", async () => {
    const program = compile("static", "int main(void) { return 0; }", "-static");
    expect((await libraryClosure(program, new LibrarySearch())).dependencies).toEqual([]);
  });

  it("passes over a library of another machine", async () => {
    await mkdir(join(directory, "wrong"), { recursive: true });
    const foreign = Buffer.alloc(128);
    foreign.write("\x7fELF\x02\x01\x01", 0, "latin1");
    foreign.writeUInt16LE(3, 16);
    foreign.writeUInt16LE(183, 18);
    foreign.writeUInt32LE(1, 20);
    await writeFile(join(directory, "wrong/libc.so.6"), foreign);
    const program = compile("passes-over", "int main(void) { return 0; }", "-Wl,-rpath,$ORIGIN/wrong");
    expect(await ours(program)).toEqual(await witness(program));
  });
});
