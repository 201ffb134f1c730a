import { createHash } from "node:crypto";
import { constants, type Dirent } from "node:fs";
import { chmod, lstat, mkdir, open, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BuildControl, ManifestEntry, Why } from "../domain/root-ports.ts";
import { octal } from "./copy-build.ts";
import { debootstrapShare } from "./debootstrap-progress.ts";
import { programs } from "./programs.ts";

// Hashed on the event loop: a chunk of this size takes about a tenth of a millisecond.
const chunkBytes = 128 * 1024;

/** What debootstrap leaves that a shared root should not have: device nodes, downloads, and facts of this host. */
const leftovers = [
  "var/cache/apt/archives",
  "var/lib/apt/lists",
  "etc/resolv.conf",
  "etc/hostname",
  "etc/machine-id",
  "var/log/bootstrap.log",
];
const mountPoints: [path: string, mode: number][] = [
  ["proc", 0o555],
  ["sys", 0o555],
  ["dev", 0o755],
  ["run", 0o755],
  ["tmp", 0o1777],
  ["var/tmp", 0o1777],
  ["root", 0o700],
  ["home", 0o755],
];

/** Takes out of a fresh Debian tree what does not belong into a root, describes the rest, and puts it on the disk. */
export async function finishDebootstrap(tree: string, control: BuildControl): Promise<ManifestEntry[]> {
  control.report("cleaning up", debootstrapShare);
  for (const path of ["dev", "run", "tmp"]) await emptyDirectory(join(tree, path));
  for (const path of leftovers) await rm(join(tree, path), { recursive: true, force: true });
  for (const path of ["var/cache/apt/archives/partial", "var/lib/apt/lists/partial"]) await mkdir(join(tree, path), { recursive: true });
  for (const [path, mode] of mountPoints) {
    await mkdir(join(tree, path), { recursive: true });
    await chmod(join(tree, path), mode);
  }
  await writeFile(join(tree, "etc/hosts"), "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n", { flag: "wx" }).catch(
    () => {},
  );
  const owners = await packagesOfFiles(tree);
  const manifest: ManifestEntry[] = [];
  for await (const [path, entry] of walk(tree, "")) {
    control.signal.throwIfAborted();
    const described = await describe(tree, path, entry, owners.get(path) ?? null);
    if (described) manifest.push(described);
    if (manifest.length % 64 === 0)
      control.report("writing the manifest", debootstrapShare + 0.07 * Math.min(manifest.length / Math.max(owners.size, 1), 1), path);
  }
  control.report("syncing", 0.99);
  // One syncfs(2) for thousands of files; Node has no call for it.
  const { execa } = await programs();
  await execa("sync", ["--file-system", tree], { env: { PATH: "/usr/bin:/bin" }, extendEnv: false });
  return manifest.sort((one, other) => (one.path < other.path ? -1 : 1));
}

async function emptyDirectory(path: string): Promise<void> {
  for (const name of await readdir(path).catch(() => [])) await rm(join(path, name), { recursive: true, force: true });
}

/** Which package each path is of, by dpkg's lists; paths as they are on the disk, with the top links of a merged /usr followed. */
async function packagesOfFiles(tree: string): Promise<Map<string, string>> {
  const tops = new Map<string, string>();
  for (const top of ["bin", "sbin", "lib", "lib32", "lib64", "libx32"]) {
    const target = await readlink(join(tree, top)).catch(() => null);
    if (target?.startsWith("usr/")) tops.set(top, target);
  }
  const owners = new Map<string, string>();
  const info = join(tree, "var/lib/dpkg/info");
  for (const name of await readdir(info)) {
    if (!name.endsWith(".list")) continue;
    const owner = name.slice(0, -".list".length).replace(/:.*$/, "");
    for (const path of (await readFile(join(info, name), "utf8")).split("\n")) {
      const [top = "", ...rest] = path.slice(1).split("/");
      owners.set(`/${[tops.get(top) ?? top, ...rest].join("/")}`, owner);
    }
  }
  return owners;
}

/** Everything below `at` that is no directory. Links are met, never followed. */
async function* walk(tree: string, at: string): AsyncGenerator<[path: string, entry: Dirent]> {
  for (const entry of await readdir(tree + at, { withFileTypes: true })) {
    const path = `${at}/${entry.name}`;
    if (entry.isDirectory()) yield* walk(tree, path);
    else yield [path, entry];
  }
}

/** The manifest's line; null for a device, FIFO or socket, which is removed. */
async function describe(tree: string, path: string, entry: Dirent, owner: string | null): Promise<ManifestEntry | null> {
  const why: Why[] = [owner ? { kind: "package", of: owner } : { kind: "generated", of: "debootstrap" }];
  const said = { path, source: "debootstrap", sizeBytes: 0, sha256: null, target: null, why };
  if (entry.isSymbolicLink()) return { ...said, type: "link", mode: "0777", target: await readlink(tree + path) };
  if (!entry.isFile()) {
    await rm(tree + path);
    return null;
  }
  const { mode, size } = await lstat(tree + path);
  return { ...said, type: "file", mode: octal(mode), sizeBytes: size, sha256: await digest(tree + path) };
}

async function digest(path: string): Promise<string> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const sha256 = createHash("sha256");
  const chunk = Buffer.allocUnsafe(chunkBytes);
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, chunkBytes, null);
    if (bytesRead === 0) return sha256.digest("hex");
    sha256.update(chunk.subarray(0, bytesRead));
  }
}
