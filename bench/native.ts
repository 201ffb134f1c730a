import { chmod, copyFile, mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Contestant } from "./contestant.ts";
import { run } from "./program.ts";
import { buildDirectory, cgroupName, makeScratch, project } from "./scratch.ts";

const floorProgram = join(buildDirectory, "floor");
const spawnProgram = join(buildDirectory, "spawn");
/** Runs inside, and writes (writer.c). */
export const writerProgram = join(buildDirectory, "writer");
const compile = ["-std=gnu17", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-Wshadow"];

/** Builds the bench's own programs; two seconds. */
export const buildNative = async (): Promise<void> => {
  const folder = join(project, "bench");
  const floorSources = (await readdir(folder)).filter((name) => /^floor.*\.c$/.test(name));
  const build = (program: string, sources: string[], libraries: string[] = []): Promise<string> =>
    run("cc", [...compile, "-o", join(buildDirectory, program), ...sources.map((name) => join(folder, name)), ...libraries]);
  await mkdir(buildDirectory, { recursive: true });
  await build("floor", floorSources, ["-lseccomp"]);
  await build("spawn", ["spawn.c"]);
  await build("writer", ["writer.c"]);
  await build("enter", ["enter.c", "lanes.c"]);
  await build("client", ["client.c", "http.c", "lanes.c"]);
};

/** The tree that the floor and the peers start from: bash, its libraries as the dynamic loader names them, the writer, and mount points. */
export const makeTree = async (): Promise<string> => {
  const tree = await makeScratch("tree");
  const libraries = (await run("ldd", ["/bin/bash"])).match(/\/\S+/g) ?? [];
  for (const file of ["/bin/bash", ...libraries]) {
    await mkdir(dirname(join(tree, file)), { recursive: true });
    await copyFile(file, join(tree, file));
  }
  await copyFile(writerProgram, join(tree, "writer"));
  for (const name of ["proc", "sys", "dev", "etc", "tmp", "root"]) await mkdir(join(tree, name), { recursive: true });
  for (const folder of [tree, ...(await readdir(tree)).map((name) => join(tree, name))]) await chmod(folder, 0o755);
  return tree;
};

/** What the programs print; times are microseconds. */
export interface Samples {
  wallMicroseconds: number;
  exec: number[];
  firstByte: number[];
  cycle: number[];
  phases: Record<string, number>;
}

/** Of the jobs of enter and client. */
export interface Jobs extends Pick<Samples, "wallMicroseconds" | "firstByte" | "cycle"> {
  /** Of all jobs together. */
  bytes: number;
}

const jobs = async (program: "enter" | "client", mode: string, args: readonly string[]): Promise<Jobs> =>
  JSON.parse(await run(join(buildDirectory, program), [mode, ...args], { timeoutSeconds: 300 }));

const countsOf = ({ count, parallel = 1 }: Runs): string[] => ["--count", `${count}`, "--parallel", `${parallel}`];

/** A command that joins the namespaces of the process with that pid, as little as that can take. */
export const enterSamples = (pid: number, command: readonly string[], runs: Runs): Promise<Jobs> =>
  jobs("enter", "floor", ["--pid", `${pid}`, ...countsOf(runs), "--", ...command]);

/** A command of the host whose stdout is read to its end. */
export const readSamples = (command: readonly string[], runs: Runs): Promise<Jobs> =>
  jobs("enter", "spawn", [...countsOf(runs), "--", ...command]);

/** Requests to a daemon (client.c says which, and with what flags). */
export const clientSamples = (
  mode: "post" | "follow" | "stream" | "upload" | "download",
  flags: Record<string, string | number>,
  runs: Runs = { count: 1 },
): Promise<Jobs> =>
  jobs("client", mode, [...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, `${value}`]), ...countsOf(runs)]);

/** Opens the floor, and proves first that bash really runs inside as it should. */
export const openFloor = async (tree: string): Promise<Contestant> => {
  const work = await makeScratch("floor");
  const program = async (...args: string[]): Promise<Samples> =>
    JSON.parse(
      await run(floorProgram, [...args, "--root", tree, "--work", work, "--cgroup", `${cgroupName}-floor`, "--id-base", "2400000000"]),
    );
  await program("check");
  return {
    name: "floor",
    what: "C program without a daemon, until execve of bash succeeded",
    launchesPerRound: 30,
    pauseMs: 0,
    cyclesPerRound: 160,
    async launch(count, pauseMs) {
      const { exec, firstByte, phases } = await program("launch", "--count", `${count}`, "--pause-ms", `${pauseMs}`);
      return { samples: exec, firstByte, phases: new Map(Object.entries(phases).map(([phase, time]) => [phase, [time]])) };
    },
    async cycle(count, parallel) {
      const samples = await program("cycle", "--count", `${count}`, "--parallel", `${parallel}`);
      return { samples: samples.cycle, wallMicroseconds: samples.wallMicroseconds };
    },
  };
};

/**
 * Times a command from posix_spawn to its end; "{}" in it becomes a name that no other run has. `around` is a command that runs
 * the whole measurement, untimed.
 */
export const spawnSamples = async (command: readonly string[], runs: Runs, around: readonly string[] = []): Promise<Samples> => {
  const counts = ["--count", `${runs.count}`, "--parallel", `${runs.parallel ?? 1}`, "--pause-ms", `${runs.pauseMs ?? 0}`];
  const [file = spawnProgram, ...args] = [...around, spawnProgram, ...counts, "--", ...command];
  return JSON.parse(await run(file, args, { timeoutSeconds: 300 }));
};

export interface Runs {
  count: number;
  parallel?: number;
  pauseMs?: number;
}
