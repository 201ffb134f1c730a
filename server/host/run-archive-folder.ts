import { type FileHandle, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { DomainError } from "../domain/errors.ts";
import type { ArchiveFile, ArchiveFolder } from "../domain/run-archives.ts";

/** `STATE_DIR/run-archives`: `ID.tar` for each run that has an archive. */
export class StateArchiveFolder implements ArchiveFolder {
  readonly #path: string;

  constructor(stateDir: string) {
    this.#path = join(stateDir, "run-archives");
  }

  async create(run: string): Promise<ArchiveFile> {
    const file = await open(this.#file(run), "w", 0o600).catch(failure);
    return {
      write: (bytes, position) => writeAll(file, bytes, position).catch(failure),
      end: async (bytes) => {
        try {
          await file.truncate(bytes);
        } finally {
          await file.close();
        }
      },
    };
  }

  async open(run: string, bytes: number): Promise<Readable | null> {
    try {
      const file = await open(this.#file(run), "r");
      if ((await file.stat()).size === bytes) return file.createReadStream({ highWaterMark: 262_144 });
      await file.close();
      return null;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  async remove(run: string): Promise<void> {
    await rm(this.#file(run), { force: true });
  }

  async list(): Promise<{ run: string; bytes: number }[]> {
    const names = (await readdir(this.#path)).filter((name) => /^[0-9a-z]+\.tar$/.test(name));
    return Promise.all(names.map(async (name) => ({ run: name.slice(0, -4), bytes: (await stat(join(this.#path, name))).size })));
  }

  #file(run: string): string {
    return join(this.#path, `${run}.tar`);
  }
}

const writeAll = async (file: FileHandle, bytes: Buffer, position: number): Promise<void> => {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
};

const failure = (error: unknown): never => {
  const { code = "" } = error as NodeJS.ErrnoException;
  if (!["ENOSPC", "EDQUOT", "EFBIG"].includes(code)) throw error;
  throw new DomainError("no-space", `the state directory has no room: ${code}`, { cause: error });
};
