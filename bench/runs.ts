import { image } from "./docker-engine.ts";
import { rate } from "./exec.ts";
import { limitedBwrap } from "./limited-bwrap.ts";
import { clientSamples, type Jobs, type Runs, readSamples } from "./native.ts";
import { ending } from "./program.ts";
import type { Column, Race, Subject } from "./race.ts";
import { dockerAbsent, runsAtOnce, type Stage, withDocker } from "./stage.ts";

const command = ["/bin/bash", "-c", "echo ok"];
/** The same for all. */
const limits = { memoryBytes: 268_435_456, pids: 64, openFiles: 1024 };
const timeoutSeconds = 10;

const columns: Column[] = [
  { title: "1: p50 ms", take: "time1", share: 0.5, digits: 2 },
  { title: "1: /s", take: "rate1", share: 0.5, digits: 1 },
  { title: `${runsAtOnce}: /s`, take: "rate8", share: 0.5, digits: 1 },
];

/** Whole jobs with memory, pids, files and time limited: a sandbox made, a command run, its output had, all removed. */
export const runsRace = async (stage: Stage, withBwrap: boolean, count: number): Promise<Race> => {
  const subject = (name: string, what: string, share: number, run: (runs: Runs) => Promise<Jobs>): Subject => {
    let alone: number[] = [];
    return {
      name,
      what,
      takes: {
        rate1: async () => {
          const jobs = await run({ count: Math.ceil(count * share) });
          alone = jobs.cycle.map((time) => time / 1000);
          return [rate(jobs)];
        },
        time1: async () => alone,
        rate8: async () => [rate(await run({ count: Math.ceil(count * share * 4), parallel: runsAtOnce }))],
      },
    };
  };
  const absent = dockerAbsent(stage);
  const bwrap = withBwrap
    ? await limitedBwrap(stage.tree, { ...limits, timeoutSeconds }, command).catch((error: Error) => error.message)
    : null;
  ending.signal.throwIfAborted();
  if (typeof bwrap === "string") absent.set("bwrap", bwrap);
  const flags = {
    socket: stage.socket,
    path: "/v1/runs?wait=true",
    body: JSON.stringify({ root: "bash", command, limits, timeoutSeconds }),
    expect: '"ok\\n"',
  };
  const dockerLimits = ["--memory", `${limits.memoryBytes}`, "--pids-limit", `${limits.pids}`, "--ulimit", `nofile=${limits.openFiles}`];
  const dockerRun = ["run", "--rm", "--network", "none", "--log-driver", "none", ...dockerLimits, image, ...command];
  return {
    title: "Runs",
    columns,
    ratio: { title: `${runsAtOnce}: × bwrap`, take: "rate8", to: "bwrap" },
    subjects: [
      subject("unshared", "`POST /v1/runs?wait=true`, shells ready", 1, (runs) => clientSamples("post", flags, runs)),
      ...(bwrap === null || typeof bwrap === "string"
        ? []
        : [
            subject("bwrap", "a script: cgroups with the limits, ulimit, timeout, `bwrap --unshare-all`, cgroups removed", 1, (runs) =>
              readSamples(bwrap, runs),
            ),
          ]),
      ...withDocker(stage, (docker) =>
        subject("docker", "`docker run --rm --network none` with the limits, no timeout", 0.1, (runs) =>
          readSamples([...docker.command, ...dockerRun], runs),
        ),
      ),
    ],
    absent,
  };
};
