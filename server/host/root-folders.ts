import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BuildControl, ManifestEntry, ManifestTotals } from "../domain/root-ports.ts";
import { syncDirectory } from "./copy-build.ts";

/**
 * `STATE_DIR/roots`: a root under construction is `.tmp-ID`, one in use `ID` (both with `tree` and `manifest.json`), one
 * being removed `.trash-ID`. rename(2) moves between them, so a crash leaves a whole root or something that `sweep` removes.
 */
export class RootFolders {
  private readonly base: string;

  constructor(stateDir: string) {
    this.base = join(stateDir, "roots");
  }

  /** Has `build` make a tree and puts it into place, durably; a failure leaves nothing. */
  async make(id: string, control: BuildControl, build: (tree: string) => Promise<ManifestEntry[]>): Promise<ManifestTotals> {
    const folder = join(this.base, `.tmp-${id}`);
    try {
      await mkdir(join(folder, "tree"), { recursive: true, mode: 0o755 });
      const files = await build(join(folder, "tree"));
      control.signal.throwIfAborted();
      const totals = totalsOf(files);
      await writeManifest(join(folder, "manifest.json"), id, files, totals);
      await syncDirectory(folder);
      control.signal.throwIfAborted();
      await rename(folder, join(this.base, id));
      await syncDirectory(this.base);
      return totals;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** The manifest of a root: its size, to be announced, and its bytes. */
  async manifest(id: string): Promise<{ bytes: number; stream: NodeJS.ReadableStream }> {
    const path = join(this.base, id, "manifest.json");
    return { bytes: (await stat(path)).size, stream: createReadStream(path) };
  }

  /** Removes a root that nobody uses: out of the way at once, then file by file. */
  async remove(id: string): Promise<void> {
    const trash = join(this.base, `.trash-${id}`);
    await rename(join(this.base, id), trash).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
    await syncDirectory(this.base);
    await rm(trash, { recursive: true, force: true });
  }

  async sweep(known: readonly string[]): Promise<{ removed: string[]; lost: string[] }> {
    await mkdir(this.base, { recursive: true, mode: 0o700 });
    const found = await readdir(this.base);
    const removed = found.filter((name) => !known.includes(name));
    for (const name of removed) await rm(join(this.base, name), { recursive: true, force: true });
    return { removed, lost: known.filter((id) => !found.includes(id)) };
  }
}

function totalsOf(files: readonly ManifestEntry[]): ManifestTotals {
  const totals: ManifestTotals = { files: 0, links: 0, directories: 0, sizeBytes: 0 };
  for (const file of files) {
    totals[file.type === "file" ? "files" : file.type === "link" ? "links" : "directories"] += 1;
    totals.sizeBytes += file.sizeBytes;
  }
  return totals;
}

/** Written entry by entry: the manifest of a whole Debian is some megabytes, too long for one turn of the event loop. */
async function writeManifest(path: string, root: string, files: readonly ManifestEntry[], totals: ManifestTotals): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  await writeFile(file, manifestText(root, files, totals));
  await file.sync();
}

function* manifestText(root: string, files: readonly ManifestEntry[], totals: ManifestTotals): Generator<string> {
  yield `{"root":${JSON.stringify(root)},"totals":${JSON.stringify(totals)},"files":[`;
  for (let at = 0; at < files.length; at += 100) {
    const lines = files.slice(at, at + 100).map((each) => JSON.stringify(each));
    yield `${at === 0 ? "\n" : ",\n"}${lines.join(",\n")}`;
  }
  yield "\n]}\n";
}
