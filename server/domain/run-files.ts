import { isUtf8 } from "node:buffer";
import { DomainError } from "./errors.ts";
import type { Entry, FileAgent } from "./file-ports.ts";
import type { CollectedFile, RunResult } from "./run.ts";
import type { RunArchiveWriter } from "./run-archives.ts";
import type { RunPlan } from "./run-definitions.ts";
import { fitsName, isPattern, partsOf, pathOf } from "./run-patterns.ts";

/** Bytes of all files that an answer holds. */
const inlineBytes = 1_048_576;
/** Files that an answer names. */
const mostFiles = 1_000;
/** Directory entries that are looked at for one run. */
const mostEntries = 20_000;
const pageEntries = 1_000;

/** The entry, or null where there is none. */
const look = async (agent: FileAgent, path: Buffer): Promise<Entry | null> => {
  try {
    return await agent.stat(path, true);
  } catch (error) {
    if (error instanceof DomainError && ["file-not-found", "not-a-directory"].includes(error.code)) return null;
    throw error;
  }
};

/** Puts a run's files in, as its user's, and makes the directories that its patterns name, so that the command can write there. */
export const place = async (agent: FileAgent, { files, collect, user }: RunPlan): Promise<void> => {
  for (const { path, bytes, mode } of files)
    await agent.write(
      path,
      { mode, ...user, parents: true, exclusive: false },
      (async function* () {
        yield bytes;
      })(),
    );
  for (const pattern of collect) {
    const parts = partsOf(pattern);
    const wild = parts.findIndex(isPattern);
    const directory = pathOf(parts.slice(0, wild === -1 ? -1 : wild));
    if ((await look(agent, directory)) !== null) continue;
    await agent.change({ op: "mkdir", path: directory, mode: 0o755, parents: true });
    await agent.change({ op: "chown", path: directory, ...user });
  }
};

/** Collects what fits a run's patterns. */
export class RunFiles {
  readonly #agent: FileAgent;
  readonly #archive: RunArchiveWriter;
  readonly #found = new Map<string, CollectedFile>();
  #room = inlineBytes;
  #entries = mostEntries;
  #cut = false;

  /** @param archive takes what an answer has no room for; it is ended or abandoned here */
  constructor(agent: FileAgent, archive: RunArchiveWriter) {
    this.#agent = agent;
    this.#archive = archive;
  }

  /** Regular files, in the order of the patterns and of their names; one that is not there is passed over. */
  async collect(patterns: readonly string[]): Promise<Pick<RunResult, "files" | "filesTruncated" | "archive">> {
    try {
      for (const pattern of patterns) await this.#match([], partsOf(pattern));
      const archive = await this.#archive.end();
      const files = [...this.#found.values()].map((file) => (archive === null && "archived" in file ? unarchived(file) : file));
      return { files, filesTruncated: this.#cut, archive };
    } catch (error) {
      await this.#archive.abandon();
      throw error;
    }
  }

  async #match(above: readonly string[], parts: readonly string[]): Promise<void> {
    const [part, ...rest] = parts;
    if (part === undefined) return this.#take(above);
    if (!isPattern(part)) return this.#match([...above, part], rest);
    if (part === "**") await this.#match(above, rest);
    for (const { name, type } of await this.#list(pathOf(above))) {
      const text = name.toString("latin1");
      // Links to directories are not followed, so that a walk ends.
      if (part === "**" && type === "directory" && !text.startsWith(".")) await this.#match([...above, text], parts);
      else if (part !== "**" && fitsName(part, text) && (rest.length === 0 || type !== "file")) await this.#match([...above, text], rest);
    }
  }

  async #list(path: Buffer): Promise<Entry[]> {
    const found: Entry[] = [];
    try {
      for (let after: Buffer | null = null; ; ) {
        const limit = Math.min(pageEntries, this.#entries);
        if (limit === 0) {
          this.#cut = true;
          return found;
        }
        const { entries, more } = await this.#agent.list(path, after, limit);
        found.push(...entries);
        this.#entries -= entries.length;
        after = entries.at(-1)?.name ?? null;
        if (!more || after === null) return found;
      }
    } catch (error) {
      if (isPassedOver(error)) return found;
      throw error;
    }
  }

  async #take(parts: readonly string[]): Promise<void> {
    const path = pathOf(parts);
    const key = path.toString("latin1");
    if (this.#found.has(key)) return;
    try {
      const entry = await look(this.#agent, path);
      if (entry?.type !== "file") return;
      if (this.#found.size === mostFiles) this.#cut = true;
      else this.#found.set(key, await this.#read(path, entry));
    } catch (error) {
      if (!isPassedOver(error)) throw error;
    }
  }

  async #read(path: Buffer, entry: Entry): Promise<CollectedFile> {
    const { sizeBytes } = entry;
    const name = { path: path.toString(), sizeBytes };
    if (sizeBytes > this.#room) {
      const read = async () => (await this.#agent.read(path, 0, sizeBytes)).bytes;
      const reason = await this.#archive.add({ ...entry, name: path }, read);
      return { ...name, ...(reason === null ? { archived: true } : { truncated: true, reason }) };
    }
    const pieces: Buffer[] = [];
    if (sizeBytes > 0) {
      // No more than was there when it was looked at, whatever still writes to it.
      const { bytes } = await this.#agent.read(path, 0, sizeBytes);
      for await (const piece of bytes) pieces.push(piece);
    }
    const all = Buffer.concat(pieces);
    this.#room -= all.length;
    const encoding = isUtf8(all) ? "utf-8" : "base64";
    return { ...name, sizeBytes: all.length, data: all.toString(encoding === "utf-8" ? "utf8" : "base64"), encoding };
  }
}

const unarchived = ({ path, sizeBytes }: CollectedFile): CollectedFile => ({ path, sizeBytes, truncated: true, reason: "no-space" });

/** A pattern may lead to what is no directory, no file, or is gone by now: that is no failure of the run. */
const passedOver: readonly string[] = [
  "file-not-found",
  "not-a-directory",
  "not-a-regular-file",
  "path-on-other-mount",
  "path-invalid",
  "file-permission",
];
const isPassedOver = (error: unknown): boolean => error instanceof DomainError && passedOver.includes(error.code);
