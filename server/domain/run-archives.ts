/** Files of runs that an answer has no room for: tar archives in the state directory, which are held for a while. */
import type { Readable } from "node:stream";
import { DomainError } from "./errors.ts";
import type { Entry } from "./file-ports.ts";
import type { Logger } from "./ports.ts";
import type { OmissionReason, RunArchive } from "./run.ts";
import { blockBytes, paddingOf } from "./tar-format.ts";
import { tarEnd, tarHeader } from "./tar-writer.ts";

/** How long an archive is held; what one, and all of them together, may have in bytes. */
export const archiveLimits = { heldMilliseconds: 600_000, bytesEach: 268_435_456, bytesTogether: 2_147_483_648 };

/** A file that is being written. */
export interface ArchiveFile {
  /** @throws DomainError `no-space` */
  write(bytes: Buffer, position: number): Promise<void>;
  /** Cuts it to `bytes`, and closes it. */
  end(bytes: number): Promise<void>;
}

/** Where archives lie. */
export interface ArchiveFolder {
  create(run: string): Promise<ArchiveFile>;
  /** Its bytes; null where there is no file of that size. */
  open(run: string, bytes: number): Promise<Readable | null>;
  remove(run: string): Promise<void>;
  list(): Promise<{ run: string; bytes: number }[]>;
}

/** Writes the archive of one run; its file is made when the first entry comes. */
export class RunArchiveWriter {
  readonly #run: string;
  readonly #archives: RunArchives;
  #file: ArchiveFile | null = null;
  #bytes = 0;
  #files = 0;

  constructor(run: string, archives: RunArchives) {
    this.#run = run;
    this.#archives = archives;
  }

  /**
   * Adds a regular file of at most `entry.sizeBytes`; one that has become shorter is filled up with zeros.
   * @param read gives its bytes, which are read to their end
   * @returns why it is left out; null where it is in
   */
  async add(entry: Entry, read: () => Promise<AsyncIterable<Buffer>>): Promise<OmissionReason | null> {
    const { name, sizeBytes, mode, uid, gid, modifiedMicroseconds } = entry;
    const shared = { mode: mode & 0o777, uid, gid, modifiedSeconds: modifiedMicroseconds / 1e6, target: null, segments: null };
    const header = tarHeader({ path: name.subarray(1), type: "file", sizeBytes, ...shared });
    const next = this.#bytes + header.length + sizeBytes + paddingOf(sizeBytes);
    const { bytesEach } = this.#archives.limits;
    if (next + 2 * blockBytes > bytesEach) return "archive-limit";
    if (!this.#archives.reserve(this.#run, next + 2 * blockBytes)) return "storage-limit";
    const piece = { at: this.#bytes, failure: await this.#write(header, this.#bytes) };
    piece.at += header.length;
    for await (const bytes of await read()) {
      piece.failure ??= await this.#write(bytes, piece.at);
      piece.at += bytes.length;
    }
    for (const zeros = Buffer.alloc(65_536); piece.at < next; piece.at += zeros.length)
      piece.failure ??= await this.#write(zeros.subarray(0, next - piece.at), piece.at);
    if (piece.failure !== null) return piece.failure;
    this.#bytes = next;
    this.#files += 1;
    return null;
  }

  /** What became of it; null where nothing was added. */
  async end(): Promise<RunArchive | null> {
    if (this.#files === 0 || (await this.#write(tarEnd(), this.#bytes)) !== null) {
      await this.abandon();
      return null;
    }
    const bytes = this.#bytes + tarEnd().length;
    const file = this.#file;
    this.#file = null;
    await file?.end(bytes);
    this.#archives.reserve(this.#run, bytes);
    return { bytes, files: this.#files, expiresAt: Date.now() + this.#archives.limits.heldMilliseconds };
  }

  /** Leaves nothing of it. */
  async abandon(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.end(0);
    await this.#archives.drop(this.#run);
  }

  async #write(bytes: Buffer, position: number): Promise<OmissionReason | null> {
    try {
      this.#file ??= await this.#archives.folder.create(this.#run);
      await this.#file.write(bytes, position);
      return null;
    } catch (error) {
      if (error instanceof DomainError && error.code === "no-space") return "no-space";
      throw error;
    }
  }
}

/** All archives, those that are being written included. */
export class RunArchives {
  readonly folder: ArchiveFolder;
  readonly limits: typeof archiveLimits;
  readonly #log: Logger;
  /** Bytes of each on the disk, or that it may come to have. */
  readonly #sizes = new Map<string, number>();
  readonly #expiries = new Map<string, NodeJS.Timeout>();

  constructor(folder: ArchiveFolder, log: Logger, limits = archiveLimits) {
    this.folder = folder;
    this.limits = limits;
    this.#log = log;
  }

  /** Whether all archives have room where this one has so many bytes; they are its own then. */
  reserve(run: string, bytes: number): boolean {
    const others = [...this.#sizes].reduce((sum, [name, size]) => (name === run ? sum : sum + size), 0);
    if (others + bytes > this.limits.bytesTogether) return false;
    this.#sizes.set(run, bytes);
    return true;
  }

  /** Removes it when its time has come; by a clock that was set back since, when it was held for as long as any is. */
  hold(run: string, { expiresAt }: RunArchive): void {
    const left = Math.min(Math.max(0, expiresAt - Date.now()), this.limits.heldMilliseconds);
    const expiry = setTimeout(() => void this.drop(run), left);
    this.#expiries.set(run, expiry.unref());
  }

  /** Its bytes. @throws DomainError `run-archive-expired` */
  async open(run: string, { bytes, expiresAt }: RunArchive): Promise<Readable> {
    const found = expiresAt > Date.now() ? await this.folder.open(run, bytes) : null;
    if (found !== null) return found;
    throw new DomainError("run-archive-expired", `the archive of the run ${run} was held until ${new Date(expiresAt).toISOString()}`);
  }

  /** Removes it, if there is one. A reader that has it open reads on. */
  async drop(run: string): Promise<void> {
    clearTimeout(this.#expiries.get(run));
    this.#expiries.delete(run);
    if (!this.#sizes.has(run)) return;
    try {
      await this.folder.remove(run);
      this.#sizes.delete(run);
    } catch (error) {
      this.#log.error({ run, err: error }, "the archive of a run could not be removed");
    }
  }

  /** For the daemon's start: holds those that the runs still have, and removes all others. */
  async recover(archiveOf: (run: string) => RunArchive | null): Promise<void> {
    for (const { run, bytes } of await this.folder.list()) {
      this.#sizes.set(run, bytes);
      const archive = archiveOf(run);
      if (archive !== null && archive.bytes === bytes && archive.expiresAt > Date.now()) this.hold(run, archive);
      else await this.drop(run);
    }
  }

  /** Leaves what is held to the next daemon. */
  close(): void {
    for (const expiry of this.#expiries.values()) clearTimeout(expiry);
  }
}
