/** Other runtimes as a person starts them, with the tree of a root: bwrap, crun, systemd-nspawn and Docker's engine, as bench/ fetches and starts them. */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { image, openEngine } from "../../bench/docker-engine.ts";
import { fetchPeers, findProgram, peerLibraries } from "../../bench/packages.ts";
import { run } from "../../bench/program.ts";
import { cgroupName, makeScratch } from "../../bench/scratch.ts";
import type { Undo } from "../../bench/undo.ts";

export interface Peer {
  name: string;
  /** Its version, and how it is called. */
  how: string;
  /** What a command writes to stdout inside; its exit status does not count. @param terminal whether who starts it has one */
  inside(command: readonly string[], terminal?: boolean): Promise<string>;
}

/** A peer, or why there is none. */
export type Found = Peer | { name: string; why: string };

const environment = async (program: string): Promise<string[]> =>
  (await run("ldd", [program]).catch(() => "")).includes("not found") ? ["env", `LD_LIBRARY_PATH=${peerLibraries}`] : [];

const versionOf = (command: readonly string[]): string => {
  const [file = "", ...args] = command;
  return (
    execFileSync(file, [...args, "--version"], { encoding: "utf8" })
      .split("\n")[0]
      ?.trim() ?? ""
  );
};

/** Who starts it has a directory of the host open, as the daemon of the battery's sandboxes has. */
const careless = ["-c", 'exec 100</ && exec "$@"', "bash"];
/** The probes end as they like: only what they wrote counts. */
const whatever = ["/bin/bash", "-c", '"$@"; true', "bash"];
const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
const told = async (peer: readonly string[], terminal = false): Promise<string> => {
  const command = ["bash", ...careless, ...peer];
  const [program = "", ...rest] = terminal ? ["script", "-qec", command.map(quoted).join(" "), "/dev/null"] : command;
  return (await run(program, rest, { timeoutSeconds: 60 })).replaceAll("\r\n", "\n");
};

const bwrap = async (tree: string): Promise<Peer> => {
  const program = [...(await environment(await findProgram("bwrap"))), await findProgram("bwrap")];
  const flags = ["--unshare-all", "--bind", tree, "/", "--proc", "/proc", "--dev", "/dev"];
  return {
    name: "bwrap",
    how: `${versionOf(program)}: \`bwrap --unshare-all --bind TREE / --proc /proc --dev /dev\`, by root`,
    inside: (command, terminal) => told([...program, ...flags, "--", ...whatever, ...command], terminal),
  };
};

/** crun refuses a host that has controllers in both trees: the tree of version 2 is hidden from it there. */
const isHybrid = (): boolean => / \/sys\/fs\/cgroup\/unified cgroup2 /.test(readFileSync("/proc/self/mounts", "utf8"));
const hidden = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'umount /sys/fs/cgroup/unified && exec "$@"', "sh"];

const crun = async (tree: string): Promise<Peer> => {
  const path = await findProgram("crun");
  const program = [...(await environment(path)), path];
  const bundle = await makeScratch("bundle");
  const state = await makeScratch("crun");
  const [file = "", ...args] = program;
  execFileSync(file, [...args, "spec"], { cwd: bundle });
  const config = join(bundle, "config.json");
  const spec = JSON.parse(readFileSync(config, "utf8"));
  let count = 0;
  return {
    name: "crun",
    how: `${versionOf(program)}: \`crun run\` with what \`crun spec\` writes, without a terminal, the tree writable`,
    inside: (command, terminal) => {
      spec.process = { ...spec.process, terminal: false, args: [...whatever, ...command] };
      spec.root = { path: tree, readonly: false };
      spec.linux.cgroupsPath = `/${cgroupName}-crun-${count}`;
      writeFileSync(config, JSON.stringify(spec));
      return told(
        [...(isHybrid() ? hidden : []), ...program, "--root", state, "run", "--bundle", bundle, `battery-${process.pid}-${count++}`],
        terminal,
      );
    },
  };
};

const docker = async (tree: string, undo: Undo): Promise<Peer> => {
  const socket = await openEngine("docker", tree, undo);
  const client = [await findProgram("docker"), "-H", `unix://${socket}`];
  const engine = execFileSync(client[0] ?? "", [...client.slice(1), "version", "--format", "{{.Server.Version}}"], {
    encoding: "utf8",
  }).trim();
  return {
    name: "docker",
    how: `Docker Engine ${engine}: \`docker run --rm --network none\`, all else as it is by default`,
    inside: (command, terminal) => told([...client, "run", "--rm", "--network", "none", image, ...whatever, ...command], terminal),
  };
};

/** Its own cgroups are made below the one that it is started in, and are left there. */
const inCgroup = [
  "bash",
  "-c",
  `for top in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    [ -f $top/cgroup.procs ] && mkdir -p $top/${cgroupName}-nspawn && echo $$ > $top/${cgroupName}-nspawn/cgroup.procs
  done; exec "$@"`,
  "bash",
];

const nspawn = async (tree: string, undo: Undo): Promise<Peer> => {
  const path = await findProgram("systemd-nspawn");
  const program = [...(await environment(path)), path];
  mkdirSync(join(tree, "usr"), { recursive: true });
  mkdirSync(join(tree, "etc"), { recursive: true });
  writeFileSync(join(tree, "etc/os-release"), "ID=battery\n");
  const runtime = "/run/systemd/nspawn";
  if (!existsSync(runtime)) undo.push(runtime, async () => rmSync(runtime, { recursive: true, force: true }));
  const flags = ["--quiet", "--register=no", "--keep-unit", "--private-network"];
  return {
    name: "nspawn",
    how: `${versionOf(program)}: \`systemd-nspawn --register=no --keep-unit --private-network\``,
    inside: (command, terminal) => told([...inCgroup, ...program, ...flags, "-D", tree, "--", ...whatever, ...command], terminal),
  };
};

/** Each with a copy of the tree that it may write to. */
export const openPeers = async (tree: string, undo: Undo): Promise<Found[]> => {
  const reason = await fetchPeers();
  const copyFor = async (name: string): Promise<string> => {
    const copy = join(await makeScratch("trees"), name);
    execFileSync("cp", ["-a", tree, copy]);
    for (const directory of ["proc", "sys", "dev", "tmp"]) mkdirSync(join(copy, directory), { recursive: true });
    chmodSync(copy, 0o755);
    return copy;
  };
  const found: Found[] = [];
  for (const [name, open] of Object.entries({ docker, bwrap, crun, nspawn }))
    try {
      found.push(await open(await copyFor(name), undo));
    } catch (error) {
      found.push({ name, why: [reason, error instanceof Error ? error.message : String(error)].filter(Boolean).join("; ") });
    }
  return found;
};
