import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { InputFault } from "../domain/errors.ts";
import type { CopySource, Why } from "../domain/root-ports.ts";
import { ElfError, type ElfImage, readElf } from "./elf.ts";
import { encodeLdCache } from "./ld-cache.ts";
import { libraryClosure } from "./library-closure.ts";
import { LibrarySearch } from "./library-search.ts";
import { addMinimalFiles } from "./minimal-etc.ts";
import { scriptInterpreter } from "./script-interpreter.ts";
import { assertRegular, TreePlan, UncopiableError } from "./tree-plan.ts";

// The kernel follows as many interpreters of interpreters (BINPRM_MAX_RECURSION is 4 in older ones, 5 in newer).
const maxInterpreters = 4;

/** Works out all that a root of this source holds. Only reads; nothing is run or written. With faults, the plan is incomplete. */
export async function planCopy(source: CopySource): Promise<{ plan: TreePlan; faults: InputFault[] }> {
  const planner = new CopyPlanner();
  const faults: InputFault[] = [];
  const attempt = async (pointer: string, work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof UncopiableError)) throw error;
      faults.push({ pointer, detail: error.message });
    }
  };
  if (source.binaries.length + source.files.length === 0)
    faults.push({ pointer: "/source", detail: "the source names no binaries and no files" });
  await planner.plan.addTopLinks();
  for (const [index, path] of source.binaries.entries()) {
    await attempt(`/source/binaries/${index}`, () => planner.addProgram(soundPath(path), { kind: "asked-for", of: path }, maxInterpreters));
  }
  for (const [index, file] of source.files.entries()) {
    if (typeof file !== "string") continue;
    await attempt(`/source/files/${index}`, () => planner.plan.addHostFile(soundPath(file), { kind: "asked-for", of: file }));
  }
  // Those with a place of their own come last: where a link of the host is on the way to that place, it is known by now.
  for (const [index, file] of source.files.entries()) {
    if (typeof file === "string") continue;
    let from = "";
    await attempt(`/source/files/${index}/source`, async () => {
      from = await placeable(soundPath(file.source));
    });
    if (from !== "") await attempt(`/source/files/${index}/target`, async () => planner.addPlaced(from, soundPath(file.target)));
  }
  await planner.addLinkerCache();
  addMinimalFiles(planner.plan);
  const conflict = planner.plan.conflict();
  if (conflict) faults.push({ pointer: "/source", detail: `${conflict.path} would lie below ${conflict.above}, which is no directory` });
  return { plan: planner.plan, faults };
}

class CopyPlanner {
  readonly plan = new TreePlan();
  private readonly search = new LibrarySearch();
  private readonly done = new Set<string>();
  /** Where the linker finds each library, and the same file's path without links. */
  private readonly libraries = new Map<string, string>();
  private own: ElfImage | null = null;

  /** A program, and all it needs to start. */
  async addProgram(path: string, why: Why, interpretersLeft: number): Promise<void> {
    const file = await this.plan.addHostFile(path, why);
    if (this.done.has(file)) return;
    const executable = ((await stat(file)).mode & 0o111) !== 0;
    try {
      await this.addElf(path, file, executable);
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      if (error.code === "malformed") throw new UncopiableError(`${path} is a damaged ELF file: ${error.message}`, { cause: error });
      await this.addScript(path, file, executable, interpretersLeft);
    }
    this.done.add(file);
  }

  /** A file of the host at a place of its own inside. */
  addPlaced(source: string, target: string): void {
    this.plan.add({ path: this.plan.canonical(target), type: "file", source, content: null, why: [{ kind: "asked-for", of: source }] });
  }

  /**
   * The linker's cache, when a library lies where the linker would not look without it: the host's, cut down to what is here.
   */
  async addLinkerCache(): Promise<void> {
    const own = await this.host();
    const defaults = LibrarySearch.defaultDirectories(own.machine, own.class === 64);
    const cached = (await this.search.cacheEntries()).filter((each) => each.hwcap === 0n && this.libraries.has(each.path));
    const outside = cached.find((each) => !defaults.includes(dirname(each.path)));
    if (!outside) return;
    const why: Why[] = [{ kind: "generated", of: outside.path }];
    this.plan.addDefault({ path: "/etc/ld.so.cache", type: "file", source: null, content: encodeLdCache(cached), why });
  }

  private async addElf(path: string, file: string, executable: boolean): Promise<void> {
    const own = await this.host();
    const { image, dependencies, missing } = await libraryClosure(file, this.search);
    if (image.class !== own.class || image.machine !== own.machine || image.littleEndian !== own.littleEndian) {
      throw new UncopiableError(`${path} is for another architecture (ELF machine ${image.machine}, ${image.class} bit) than this host's`);
    }
    const isProgram = image.type === 2 || image.interpreter !== null;
    if (!isProgram && image.type !== 3) throw new UncopiableError(`${path} is neither a program nor a shared library`);
    if (isProgram && !executable) throw new UncopiableError(`${path} is not executable`);
    const lost = missing[0];
    if (lost) throw new UncopiableError(`${path} needs ${lost.name} (for ${lost.of}), which this host does not have`);
    for (const each of dependencies) {
      const why: Why = { kind: each.kind, of: this.libraries.get(each.of) ?? each.of };
      this.libraries.set(each.path, await this.plan.addHostFile(each.path, why));
    }
    const musl = /\/ld-musl-([a-z0-9_]+)\.so/.exec(image.interpreter ?? "")?.[1];
    const directories = `/etc/ld-musl-${musl}.path`;
    if (musl && (await stat(directories).catch(() => null))) await this.plan.addHostFile(directories, { kind: "needed-by", of: file });
  }

  private async addScript(path: string, file: string, executable: boolean, interpretersLeft: number): Promise<void> {
    const script = await scriptInterpreter(file);
    if (!script) throw new UncopiableError(`${path} is neither an ELF program nor a script with an interpreter`);
    if (!executable) throw new UncopiableError(`${path} is not executable`);
    if (interpretersLeft === 0) throw new UncopiableError(`${path} is interpreted by scripts too many deep`);
    const why: Why = { kind: "interpreter-of", of: file };
    await this.addProgram(script.interpreter, why, interpretersLeft - 1);
    if (!script.throughEnv) return;
    if (!script.throughEnv.path)
      throw new UncopiableError(`${path} is interpreted by ${script.throughEnv.name}, which this host does not have`);
    await this.addProgram(script.throughEnv.path, why, interpretersLeft - 1);
  }

  private async host(): Promise<ElfImage> {
    this.own ??= await readElf("/proc/self/exe");
    return this.own;
  }
}

/** The path, when a file can be copied from there; links are followed. */
async function placeable(source: string): Promise<string> {
  const stats = await stat(source).catch((error: NodeJS.ErrnoException) => {
    throw new UncopiableError(`${source} ${error.code === "ENOENT" ? "does not exist" : `cannot be read (${error.code})`}`, {
      cause: error,
    });
  });
  assertRegular(stats, source);
  return source;
}

/** A path that the host's kernel and the tree read alike. */
function soundPath(path: string): string {
  const shown = JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}...` : path);
  if (path.includes("\0")) throw new UncopiableError(`${shown} holds a NUL`);
  if (!path.startsWith("/")) throw new UncopiableError(`${shown} is not an absolute path`);
  if (path.split("/").includes("..")) throw new UncopiableError(`${shown} holds ".."`);
  if (/\/\.?$/.test(path)) throw new UncopiableError(`${shown} names a directory`);
  return path;
}
