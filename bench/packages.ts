import { access, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./program.ts";
import { buildDirectory } from "./scratch.ts";

const packages = ["bubblewrap", "crun", "runc", "containerd", "docker.io", "systemd-container"];
const place = join(buildDirectory, "peers");
const tree = join(place, "tree");
const folders = ["usr/bin", "usr/sbin", "bin", "sbin"].map((folder) => join(tree, folder));

export const peerLibraries = ["usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib", "usr/lib/x86_64-linux-gnu/systemd"]
  .map((folder) => join(tree, folder))
  .join(":");

/**
 * Fetches the peers' Debian packages, with what they need and this machine lacks, and unpacks them into a folder of the bench.
 * They are not installed: no service starts, no unit, group or rule of theirs reaches the host. Done once; answers the reason
 * when it cannot be done.
 */
export const fetchPeers = async (): Promise<string | null> => {
  const stamp = join(place, `complete-${packages.length}`);
  try {
    await access(stamp);
    return null;
  } catch {
    // not fetched yet
  }
  try {
    const archives = join(place, "archives");
    await mkdir(join(archives, "partial"), { recursive: true });
    const fetch = [
      "install",
      "-y",
      "--no-install-recommends",
      "--download-only",
      "--reinstall",
      "-o",
      `Dir::Cache::archives=${archives}`,
      ...packages,
    ];
    await run("apt-get", fetch, { timeoutSeconds: 300 }).catch(async () => {
      await run("apt-get", ["update"], { timeoutSeconds: 300 });
      await run("apt-get", fetch, { timeoutSeconds: 300 });
    });
    const files = (await readdir(archives)).filter((name) => name.endsWith(".deb"));
    for (const file of files) await run("dpkg-deb", ["-x", join(archives, file), tree]);
    await writeFile(stamp, `${files.join("\n")}\n`);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

/** Where a peer's program is: the host's own first, then the bench's copy. */
export const findProgram = async (name: string): Promise<string> => {
  for (const folder of [...(process.env["PATH"] ?? "").split(":"), ...folders]) {
    const path = join(folder, name);
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  throw new Error(`${name} is not on this machine and could not be fetched`);
};
