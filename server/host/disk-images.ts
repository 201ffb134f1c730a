import { constants } from "node:fs";
import { access, type FileHandle, link, mkdir, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { DomainError } from "../domain/errors.ts";
import type { DiskState } from "../domain/ports.ts";
import type { Check } from "../domain/preflight.ts";
import { programs } from "./programs.ts";

const programDirectories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const makeMilliseconds = 20_000;
const blockBytes = 4096;

/**
 * mke2fs(8): nothing is written that a hole of the sparse file holds already, no block is kept back for root, and a filesystem with an error
 * is written no more. It has a journal, so that a power cut leaves it whole.
 */
const makeArguments = (path: string): string[] => [
  "-q",
  "-F",
  ...["-b", String(blockBytes)],
  ...["-m", "0"],
  ...["-e", "remount-ro"],
  ...["-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"],
  path,
];

const hasProgram = async (name: string): Promise<boolean> => {
  const found = await Promise.all(
    programDirectories.map((directory) =>
      access(join(directory, name), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
};

/** What `limits.diskBytes` needs of this host where no quota bounds it. */
export const imageCheck = async (): Promise<Check> => {
  const name = "disk-limits";
  const cost = "sandboxes with limits.diskBytes cannot be started";
  if (!(await hasProgram("mkfs.ext4")))
    return { name, status: "degraded", detail: "mkfs.ext4 is not installed", cost, remedy: "install e2fsprogs" };
  if (!(await exists("/dev/loop-control")))
    return { name, status: "degraded", detail: "there is no /dev/loop-control", cost, remedy: "modprobe loop" };
  return { name, status: "ok", detail: "by loop-mounted ext4 images", cost: null, remedy: null };
};

/** The images: sparse files with an ext4 filesystem each, which supervisors mount (supervisor/disk.c). */
export class DiskImages {
  readonly #directory: string;

  constructor(stateDir: string) {
    this.#directory = join(stateDir, "sandboxes");
  }

  async stateOf(id: string): Promise<DiskState> {
    const image = await stat(join(this.#directory, id, "disk")).catch(absent);
    if (image !== null) return { kind: "image", bytes: image.size };
    return { kind: (await exists(join(this.#directory, id, "upper"))) ? "directory" : "none" };
  }

  /**
   * Makes an empty image where the sandbox has no files yet; one that is smaller grows, which takes a sandbox that does not run.
   * @throws DomainError `host-not-ready` where it cannot be made here, `launch-failed` (member layer) where it fails
   */
  async make(id: string, bytes: number): Promise<void> {
    const { kind } = await this.stateOf(id);
    if (kind === "directory") throw failed("the sandbox has files that lie in no disk of its own");
    const blocks = Math.floor(bytes / blockBytes);
    try {
      if (kind === "image") await grow(join(this.#directory, id, "disk"), blocks);
      else await this.#make(join(this.#directory, id), blocks);
    } catch (error) {
      if (error instanceof DomainError) throw error;
      if (!(await hasProgram("mkfs.ext4")))
        throw new DomainError("host-not-ready", "limits.diskBytes needs mkfs.ext4, which is not installed here (e2fsprogs)", {
          cause: error,
        });
      throw failed((error as { stderr?: string }).stderr || (error as Error).message, error);
    }
  }

  /** It gets its name when it is whole and on the disk: what a crash leaves is made anew. */
  async #make(directory: string, blocks: number): Promise<void> {
    await mkdir(directory, { mode: 0o700 }).catch(unless("EEXIST"));
    const growing = join(directory, "disk.new");
    await rm(growing, { force: true });
    const file = await open(growing, "wx", 0o600);
    try {
      await file.truncate(blocks * blockBytes);
      await run("mkfs.ext4", makeArguments(growing));
      await file.datasync();
      await link(growing, join(directory, "disk")).catch(unless("EEXIST"));
    } finally {
      await file.close();
      await rm(growing, { force: true });
    }
    const parent = await open(directory);
    await parent.sync().finally(() => parent.close());
  }
}

const run = async (program: string, args: readonly string[], alsoFine: readonly number[] = []): Promise<void> => {
  const { execa } = await programs();
  try {
    await execa(program, args, {
      env: { PATH: programDirectories.join(":"), LC_ALL: "C" },
      extendEnv: false,
      timeout: makeMilliseconds,
      stdin: "ignore",
    });
  } catch (error) {
    const { exitCode } = error as { exitCode?: number };
    if (exitCode === undefined || !alsoFine.includes(exitCode)) throw error;
  }
};

/** How many blocks the filesystem has (https://docs.kernel.org/filesystems/ext4/globals.html#super-block). */
const blocksOf = async (image: FileHandle): Promise<number> => {
  const { buffer } = await image.read(Buffer.alloc(1024), 0, 1024, 1024);
  return buffer.readUInt32LE(0x4) + buffer.readUInt32LE(0x150) * 2 ** 32;
};

/** Not while it is mounted: the supervisor's lock (supervisor/disk.c) is waited for. One that was interrupted is done again. */
const grow = async (path: string, blocks: number): Promise<void> => {
  const image = await open(path, "r+");
  try {
    if ((await blocksOf(image)) >= blocks) return;
    if ((await image.stat()).size < blocks * blockBytes) await image.truncate(blocks * blockBytes);
  } finally {
    await image.close();
  }
  const locked = ["--exclusive", "--wait", "5", path];
  // e2fsck(8) says 1 where it mended something; resize2fs(8) wants a filesystem that was just checked.
  await run("flock", [...locked, "e2fsck", "-f", "-p", path], [1]);
  await run("flock", [...locked, "resize2fs", path, String(blocks)]);
};

const absent = (error: NodeJS.ErrnoException): null => {
  if (error.code === "ENOENT") return null;
  throw error;
};

const unless =
  (code: string) =>
  (error: NodeJS.ErrnoException): void => {
    if (error.code !== code) throw error;
  };

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(absent)) !== null;

const failed = (detail: string, cause?: unknown): DomainError =>
  new DomainError("launch-failed", `the layer "disk" could not be applied: ${detail.trim()}`, {
    members: { layer: "disk", errno: 0 },
    cause,
  });
