import { makeBundle } from "./bundle.ts";
import type { Contestant, ContestantName } from "./contestant.ts";
import { spawnSamples } from "./native.ts";
import { findProgram, peerLibraries } from "./packages.ts";
import { run } from "./program.ts";
import { makeScratch } from "./scratch.ts";

const unshareFlags = ["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--user"];

/** The command line with which a peer runs the script; "{}" stands for a name that no other run has. */
type CommandLine = (script: string) => Promise<string[]>;

/**
 * A peer that is a command: it is timed from posix_spawn to its end, with `bash -c :` in it, since nothing tells from outside
 * when such a command is running. First it has to show that bash runs in it.
 */
const openCommand = async (
  name: ContestantName,
  what: string,
  perRound: number,
  commandLine: CommandLine,
  around: readonly string[] = [],
): Promise<Contestant> => {
  const proof = (await commandLine("echo inside-$((6*7))")).map((word) => word.replace("{}", `bench-proof-${process.pid}`));
  const [file = "", ...args] = [...around, ...proof];
  const said = await run(file, args, { timeoutSeconds: 20 });
  if (said.trim() !== "inside-42") throw new Error(`${name} ran, but bash in it said ${JSON.stringify(said)}`);
  const command = await commandLine(":");
  return {
    name,
    what,
    launchesPerRound: perRound,
    pauseMs: 0,
    cyclesPerRound: perRound * 4,
    launch: async (count, pauseMs) => ({ samples: (await spawnSamples(command, { count, pauseMs }, around)).cycle }),
    cycle: async (count, parallel) => {
      const { cycle, wallMicroseconds } = await spawnSamples(command, { count, parallel }, around);
      return { samples: cycle, wallMicroseconds };
    },
  };
};

export const openUnshare = (): Promise<Contestant> =>
  openCommand("unshare", "`unshare --mount --uts --ipc --net --pid --fork --user bash -c :`, to its end", 30, async (script) => [
    await findProgram("unshare"),
    ...unshareFlags,
    "bash",
    "-c",
    script,
  ]);

export const openBwrap = (tree: string): Promise<Contestant> =>
  openCommand("bwrap", "`bwrap --unshare-all` with the tree, /proc and /dev, `bash -c :`, to its end", 30, async (script) => {
    const view = ["--ro-bind", tree, "/", "--proc", "/proc", "--dev", "/dev"];
    return [await findProgram("bwrap"), "--unshare-all", "--uid", "0", "--gid", "0", ...view, "--", "/bin/bash", "-c", script];
  });

/** crun or runc, with a bundle as the floor does it and a state folder of its own. */
export const openOciRuntime = async (name: "crun" | "runc", tree: string): Promise<Contestant> => {
  const program = await findProgram(name);
  const environment = (await run("ldd", [program]).catch(() => "")).includes("not found")
    ? ["env", `LD_LIBRARY_PATH=${peerLibraries}`]
    : [];
  const state = await makeScratch("oci", name);
  const open = (remark: string, around: string[]): Promise<Contestant> => {
    const commandLine = async (script: string): Promise<string[]> => {
      const bundle = await makeBundle(`${name}-${script === ":" ? "run" : "proof"}`, tree, script);
      return [...environment, program, "--root", state, "run", "--bundle", bundle, "{}"];
    };
    return openCommand(name, `\`${name} run\` with a bundle like the floor's${remark}, \`bash -c :\`, to its end`, 12, commandLine, around);
  };
  return open("", []).catch((error: Error) => {
    if (name !== "crun" || !error.message.includes("hybrid")) throw error;
    return open(", the v2 tree hidden from it (it refuses a host that has controllers in both trees)", withoutUnifiedTree);
  });
};

const withoutUnifiedTree = [
  "unshare",
  "--mount",
  "--propagation",
  "private",
  "sh",
  "-c",
  'umount /sys/fs/cgroup/unified && exec "$@"',
  "sh",
];
