import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { type ElfImage, readElf } from "./elf.ts";
import { type LdCacheEntry, parseLdCache } from "./ld-cache.ts";

/** One object of a program as the linker has it loaded: where it was found, and who asked for it. */
export interface LoadedObject {
  path: string;
  image: ElfImage;
  loader: LoadedObject | null;
}

/** The GNU multiarch directory and AT_PLATFORM of each machine number this host could be (multiarch-tuples of Debian). */
const machineNames: Record<number, { tuple: string; platform: string }> = {
  62: { tuple: "x86_64-linux-gnu", platform: "x86_64" },
  183: { tuple: "aarch64-linux-gnu", platform: "aarch64" },
  243: { tuple: "riscv64-linux-gnu", platform: "riscv64" },
  22: { tuple: "s390x-linux-gnu", platform: "z900" },
  21: { tuple: "powerpc64le-linux-gnu", platform: "power8" },
};

// musl's libc is its linker too, and answers for these names without any file (musl, ldso/dynlink.c).
const muslOwnNames = /^lib(c|pthread|rt|m|dl|util|xnet)\./;

/** Where the linker of this host looks for a library: ld.so(8), without LD_LIBRARY_PATH, which a sandbox does not inherit. */
export class LibrarySearch {
  private cache: Promise<LdCacheEntry[]> | null = null;
  private readonly images = new Map<string, Promise<ElfImage | null>>();

  /** The entries of the host's /etc/ld.so.cache; none when it has no cache. */
  cacheEntries(): Promise<LdCacheEntry[]> {
    this.cache ??= readFile("/etc/ld.so.cache").then(parseLdCache, () => []);
    return this.cache;
  }

  /** The library that `name`, needed by `loader`, means to the linker; null when there is none for its class and machine. */
  async find(name: string, loader: LoadedObject): Promise<LoadedObject | null> {
    const main = chain(loader).at(-1) ?? loader;
    const musl = main.image.interpreter?.includes("/ld-musl-") ?? false;
    if (musl && muslOwnNames.test(name) && main.image.interpreter) return await this.match(main.image.interpreter, loader);
    if (name.includes("/")) return await this.match(expand(name, loader), loader);
    for await (const candidate of this.candidates(name, loader, musl)) {
      const found = await this.match(candidate, loader);
      if (found) return found;
    }
    return null;
  }

  /** The default directories of the linker, which need no cache to be searched. */
  static defaultDirectories(machine: number, wide: boolean): string[] {
    const tuple = machineNames[machine]?.tuple;
    const multiarch = tuple ? [`/lib/${tuple}`, `/usr/lib/${tuple}`] : [];
    return wide ? [...multiarch, "/lib64", "/usr/lib64", "/lib", "/usr/lib"] : [...multiarch, "/lib", "/usr/lib"];
  }

  private async *candidates(name: string, loader: LoadedObject, musl: boolean): AsyncGenerator<string> {
    const in_ = (directories: readonly string[], of: LoadedObject) =>
      directories.filter((each) => each !== "").map((each) => `${expand(each, of).replace(/\/+$/, "")}/${name}`);
    // RPATH counts only when the object asking has no RUNPATH, and then those of all who led to it, up to the program.
    if (loader.image.runpath === null) {
      for (const each of chain(loader)) if (each.image.rpath && !each.image.runpath) yield* in_(each.image.rpath, each);
    }
    yield* in_(loader.image.runpath ?? [], loader);
    if (musl) {
      yield* in_(await muslDirectories(loader.image.machine), loader);
      return;
    }
    const defaults = LibrarySearch.defaultDirectories(loader.image.machine, loader.image.class === 64);
    for (const entry of await this.cacheEntries()) {
      // A build for newer processors only (glibc-hwcaps) is passed over: the tree must run wherever its host's base system runs.
      if (entry.name !== name || entry.hwcap !== 0n) continue;
      if (!loader.image.noDefaultLibraries || !defaults.includes(dirname(entry.path))) yield entry.path;
    }
    if (!loader.image.noDefaultLibraries) yield* in_(defaults, loader);
  }

  /** The object at `path` when it is a shared object of the loader's class and machine; as the linker, others are passed over. */
  private async match(path: string, loader: LoadedObject): Promise<LoadedObject | null> {
    const image = await this.image(path);
    if (!image || image.class !== loader.image.class || image.machine !== loader.image.machine) return null;
    return image.littleEndian === loader.image.littleEndian && image.type === 3 ? { path, image, loader } : null;
  }

  private image(path: string): Promise<ElfImage | null> {
    let image = this.images.get(path);
    if (!image) {
      image = readRegular(path);
      this.images.set(path, image);
    }
    return image;
  }
}

async function readRegular(path: string): Promise<ElfImage | null> {
  try {
    return (await stat(path)).isFile() ? await readElf(path) : null;
  } catch {
    return null;
  }
}

/** The object and those that led to it, the program last. */
function chain(object: LoadedObject): LoadedObject[] {
  const all: LoadedObject[] = [];
  for (let each: LoadedObject | null = object; each; each = each.loader) all.push(each);
  return all;
}

/** Replaces $ORIGIN, $LIB and $PLATFORM, with or without braces (ld.so(8), "Dynamic string tokens"). */
function expand(path: string, object: LoadedObject): string {
  const names = machineNames[object.image.machine];
  const values: Record<string, string> = {
    ORIGIN: dirname(object.path),
    LIB: names ? `lib/${names.tuple}` : object.image.class === 64 ? "lib64" : "lib",
    PLATFORM: names?.platform ?? "",
  };
  return path.replace(
    /\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))/g,
    (_, braced, bare) => values[braced ?? bare] ?? "",
  );
}

/** musl reads its directories from /etc/ld-musl-ARCH.path (lines or colons), or takes these three. */
async function muslDirectories(machine: number): Promise<string[]> {
  const arch = machineNames[machine]?.tuple.split("-")[0];
  const listed = await readFile(`/etc/ld-musl-${arch}.path`, "utf8").catch(() => "");
  const directories = listed.split(/[\n:]/).filter((each) => each.startsWith("/"));
  return directories.length > 0 ? directories : ["/lib", "/usr/local/lib", "/usr/lib"];
}
