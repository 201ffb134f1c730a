/** What a guest is given: a file with an ext4 filesystem, which it finds as /dev/vdb and mounts on /mnt. */
import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { buildProbes, probePath } from "../isolation/stage.ts";

const execute = promisify(execFile);
const repository = resolve(import.meta.dirname, "../..");

/** The package as it is, the same with the next version, and the probes. */
export const packages = async (directory: string): Promise<string> => {
  const { stdout } = await execute(join(repository, "script/package"), ["--fast", join(directory, "package")]);
  const tree = join(directory, "tree");
  const cargo = join(directory, "cargo");
  await execute("dpkg-deb", ["--raw-extract", stdout.trim(), tree]);
  await execute("sed", ["-i", "s/^Version: .*/&.1/", join(tree, "DEBIAN/control")]);
  await mkdir(cargo);
  await execute("dpkg-deb", ["--root-owner-group", "-Znone", "--build", tree, join(cargo, "new.deb")]);
  await execute("mv", [stdout.trim(), join(cargo, "old.deb")]);
  buildProbes();
  await cp(probePath("."), join(cargo, "probes"), { recursive: true });
  await rm(tree, { recursive: true });
  return pack(cargo, "512M");
};

/** The package as unshared.deb, and Debian's trinity, which is one program. */
export const fuzzer = async (directory: string): Promise<string> => {
  const [cargo, fetched] = [join(directory, "cargo"), join(directory, "fetched")];
  for (const each of [cargo, fetched]) await mkdir(each);
  const { stdout } = await execute(join(repository, "script/package"), ["--fast", join(directory, "package")]);
  await execute("mv", [stdout.trim(), join(cargo, "unshared.deb")]);
  await execute("apt-get", ["-qq", "-o", "APT::Sandbox::User=root", "download", "trinity"], { cwd: fetched });
  for (const name of await readdir(fetched)) await execute("dpkg-deb", ["-x", join(fetched, name), fetched]);
  await execute("mv", [join(fetched, "usr/bin/trinity"), cargo]);
  return pack(cargo, "512M");
};

/** What the isolation tests need of the repository, ready to run: /mnt/repository, and the Node that runs here as /mnt/node. */
export const checkout = async (directory: string): Promise<string> => {
  await execute("make", ["-s", "-C", join(repository, "supervisor"), "-j2"]);
  await execute("make", ["-s", "-C", join(repository, "supervisor"), "-j2", "MUTANTS=1"]);
  buildProbes();
  const cargo = join(directory, "cargo");
  const tree = join(cargo, "repository");
  await mkdir(join(tree, "build/mutants"), { recursive: true });
  const rooms = [
    "server",
    "client",
    "migrations",
    "openapi",
    "script",
    "supervisor",
    "test",
    "package.json",
    "tsconfig.json",
    "vitest.config.ts",
  ];
  const programs = ["build/unshared-supervisor", "build/mutants/unshared-supervisor", "build/probes"];
  // With their times: nothing of it is out of date there, where there is no compiler.
  for (const name of [...rooms, ...programs]) await execute("cp", ["-a", join(repository, name), join(tree, dirname(name))]);
  // Of the packages not those of tens of megabytes that only lint, types and browsers need.
  const idle = ["@biomejs", "@typescript", "typescript", "playwright-core", "@xterm", "axe-core"].map((name) => `--exclude=./${name}`);
  await mkdir(join(tree, "node_modules"));
  await execute("bash", [
    "-c",
    'tar -C "$1" "${@:3}" -c . | tar -C "$2" -x',
    "bash",
    join(repository, "node_modules"),
    join(tree, "node_modules"),
    ...idle,
  ]);
  await copyFile(process.execPath, join(cargo, "node"));
  return pack(cargo, "1G");
};

/** A file with the filesystem of a tree, which goes. */
const pack = async (tree: string, size: string): Promise<string> => {
  const file = `${tree}.img`;
  await writeFile(file, "");
  await execute("truncate", ["-s", size, file]);
  await execute("mke2fs", ["-q", "-t", "ext4", "-d", tree, file]);
  await rm(tree, { recursive: true });
  return file;
};
