import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findProgram } from "./packages.ts";
import { run } from "./program.ts";
import { cgroupName, makeScratch } from "./scratch.ts";

export interface Limits {
  memoryBytes: number;
  pids: number;
  openFiles: number;
  timeoutSeconds: number;
}

/** A cgroup directory that the script makes for each run, with the files that hold its limits. */
interface Limited {
  parent: string;
  values: Record<string, number>;
}

const top = "/sys/fs/cgroup";
const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Makes the parent of the script's cgroups in the v2 tree, or in the v1 hierarchies where those have the controllers. */
const openCgroups = async (limits: Limits): Promise<Limited[]> => {
  const name = `${cgroupName}-bwrap`;
  const places: Limited[] = (await exists(join(top, "cgroup.controllers")))
    ? [{ parent: join(top, name), values: { "memory.max": limits.memoryBytes, "pids.max": limits.pids } }]
    : [
        { parent: join(top, "memory", name), values: { "memory.limit_in_bytes": limits.memoryBytes } },
        { parent: join(top, "pids", name), values: { "pids.max": limits.pids } },
      ];
  for (const { parent } of places) await mkdir(parent, { recursive: true });
  if (places.length === 1)
    for (const folder of [top, join(top, name)]) await writeFile(join(folder, "cgroup.subtree_control"), "+memory +pids");
  return places;
};

/** A script that does with bwrap what a run does, as one would write it by hand; answers its command line. It has to work once. */
export const limitedBwrap = async (tree: string, limits: Limits, command: readonly string[]): Promise<string[]> => {
  const program = await findProgram("bwrap");
  const cgroups = await openCgroups(limits);
  const view = `--ro-bind ${tree} / --proc /proc --dev /dev --tmpfs /tmp`;
  const lines = [
    "#!/bin/sh",
    'run="run-$$"',
    ...cgroups.map(({ parent }) => `mkdir ${parent}/$run || exit 1`),
    "(",
    ...cgroups.flatMap(({ parent, values }) => [
      ...Object.entries(values).map(([file, value]) => `echo ${value} >${parent}/$run/${file} || exit 1`),
      `echo 0 >${parent}/$run/cgroup.procs || exit 1`,
    ]),
    `ulimit -n ${limits.openFiles} || exit 1`,
    `exec timeout ${limits.timeoutSeconds} ${program} --unshare-all --die-with-parent --uid 0 --gid 0 ${view} -- "$@"`,
    ")",
    "status=$?",
    // A cgroup may be busy for a moment after its last process was reaped.
    ...cgroups.map(({ parent }) => `until rmdir ${parent}/$run 2>/dev/null; do [ -d ${parent}/$run ] || break; sleep 0.001; done`),
    "exit $status",
  ];
  const script = join(await makeScratch("bwrap"), "run.sh");
  await writeFile(script, `${lines.join("\n")}\n`, { mode: 0o755 });
  const said = await run(script, command, { timeoutSeconds: 20 });
  if (said !== "ok\n") throw new Error(`bwrap ran, but the command said ${JSON.stringify(said)}`);
  return [script, ...command];
};
