/** Roots that were made to lead mounts astray: a change of the root's tree, and whether a sandbox of it starts. */
import { spawnSync } from "node:child_process";
import { lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { expect } from "vitest";
import { hostMounts } from "../fixtures/fingerprint.ts";
import { expectedMounts, mountsOf } from "./mount-list.ts";
import type { Stage } from "./stage.ts";
import { treeDigest } from "./tree-digest.ts";

interface HostileTree {
  name: string;
  /** Of the root, without a leading slash; what is there is moved aside. */
  path: string;
  /** Puts something at `path`. `sentinel`: a directory of the host. */
  plant(path: string, sentinel: string): void;
  starts: boolean;
}

const link = (target: (sentinel: string) => string) => (path: string, sentinel: string) => symlinkSync(target(sentinel), path);

/** Instead of a directory that something is mounted on. */
const instead: Record<string, HostileTree["plant"]> = {
  "a link to a directory of the host": link((sentinel) => sentinel),
  "a link upwards": link((sentinel) => `../../../../../../..${sentinel}`),
  "a link to itself": (path) => symlinkSync(basename(path), path),
  "a dangling link": link(() => "/no/such/place"),
  "a link into /proc": link(() => "/proc/self/cwd"),
  "a file": (path) => writeFileSync(path, ""),
  "a fifo": (path) => void spawnSync("mkfifo", [path]),
};

const directory = (plant: HostileTree["plant"]) => (path: string, sentinel: string) => {
  mkdirSync(path);
  plant(path, sentinel);
};

export const hostileTrees: HostileTree[] = [
  ...["proc", "sys", "dev"].flatMap((path) => [
    ...Object.entries(instead).map(([kind, plant]) => ({ name: `/${path} is ${kind}`, path, plant, starts: false })),
    { name: `/${path} is absent`, path, plant: () => {}, starts: true },
  ]),
  ...["null", "pts", "shm", "ptmx"].map((name) => ({
    name: `/dev/${name} is a link`,
    path: "dev",
    plant: directory((path, sentinel) => symlinkSync(join(sentinel, "file"), join(path, name))),
    starts: true,
  })),
  ...["etc", "tmp", "mnt"].map((path) => ({ name: `/${path} is a link`, path, plant: link((sentinel) => sentinel), starts: true })),
  {
    name: "/etc/resolv.conf is a link",
    path: "etc",
    plant: directory((path, sentinel) => symlinkSync(join(sentinel, "file"), join(path, "resolv.conf"))),
    starts: true,
  },
];

const exists = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** Starts a sandbox of the root, changed; `use` gets the answer. The host's files and mounts are compared. */
export const withHostileTree = async (
  stage: Stage,
  { path, plant, name }: HostileTree,
  // biome-ignore lint/suspicious/noExplicitAny: bodies, whose shape the caller states
  use: (status: number, body: any) => Promise<void>,
): Promise<void> => {
  const sentinel = mkdtempSync(join(tmpdir(), "unshared-sentinel-"));
  const place = join(stage.rootTree(), path);
  const aside = join(stage.rootTree(), ".aside");
  mkdirSync(join(sentinel, "directory"));
  writeFileSync(join(sentinel, "file"), "of the host\n");
  const before = [treeDigest(sentinel), hostMounts(stage.host.daemon.directory)];
  if (exists(place)) renameSync(place, aside);
  try {
    plant(place, sentinel);
    const definition = { name: "hostile", root: "probes", command: ["/bin/sleep", "1000"] };
    const { status, body } = await stage.host.request("POST", "/v1/sandboxes?start=true", definition);
    await use(status, body);
    if (status === 201) {
      expect(mountsOf(body.process.pid), name).toEqual(expectedMounts());
      const writes = "for f in /etc/x /tmp/x /mnt/x /etc/resolv.conf /dev/null; do echo of the sandbox > $f; done; true";
      await stage.output("exec", ["/bin/bash", "-c", `{ ${writes}; } 2>/bin/errors`], "hostile");
    }
    expect([treeDigest(sentinel), hostMounts(stage.host.daemon.directory)], name).toEqual(before);
  } finally {
    await stage.host.request("DELETE", "/v1/sandboxes/hostile");
    rmSync(place, { recursive: true, force: true });
    if (exists(aside)) renameSync(aside, place);
    rmSync(sentinel, { recursive: true });
  }
};
