import { realpath } from "node:fs/promises";
import { basename } from "node:path";
import { type ElfImage, readElf } from "./elf.ts";
import type { LibrarySearch, LoadedObject } from "./library-search.ts";

/** One file that a program cannot start without. */
export interface Dependency {
  /** As the linker would open it; a link on the way is part of the answer. */
  path: string;
  kind: "needed-by" | "interpreter-of";
  /** Path of the object that asks for it. */
  of: string;
}

export interface Closure {
  image: ElfImage;
  dependencies: Dependency[];
  /** Names that no directory of the linker holds, with the object that needs each. */
  missing: { name: string; of: string }[];
}

/**
 * Everything that the ELF file at `path` needs to start: its interpreter, and the shared objects in the order in which
 * ld.so(8) would load them (breadth first, each name once). Nothing is run. Throws `ElfError` when `path` is no sound ELF file.
 */
export async function libraryClosure(path: string, search: LibrarySearch): Promise<Closure> {
  const image = await readElf(path);
  // The linker takes $ORIGIN of the program from /proc/self/exe, which has no links left in it.
  const main: LoadedObject = { path: await realpath(path), image, loader: null };
  const closure: Closure = { image, dependencies: [], missing: [] };
  const names = new Set<string>();
  const know = (object: LoadedObject, name?: string) => {
    for (const each of [name, object.image.soname, basename(object.path)]) if (each) names.add(each);
  };
  if (image.interpreter) {
    closure.dependencies.push({ path: image.interpreter, kind: "interpreter-of", of: path });
    names.add(basename(image.interpreter));
  }
  const queue: LoadedObject[] = [main];
  for (let object = queue.shift(); object; object = queue.shift()) {
    const of = object === main ? path : object.path;
    for (const name of object.image.needed) {
      if (names.has(name)) {
        noteAnother(closure, name, of);
        continue;
      }
      const found = await search.find(name, object);
      if (!found) {
        names.add(name);
        closure.missing.push({ name, of });
        continue;
      }
      know(found, name);
      closure.dependencies.push({ path: found.path, kind: "needed-by", of });
      queue.push(found);
    }
  }
  return closure;
}

/** A library that is there already is needed by this object too, which the manifest says. */
function noteAnother(closure: Closure, name: string, of: string): void {
  const there = closure.dependencies.find((each) => basename(each.path) === name);
  if (there) closure.dependencies.push({ path: there.path, kind: "needed-by", of });
}
