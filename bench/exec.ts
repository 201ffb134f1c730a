import { clientSamples, enterSamples, type Jobs, type Runs, readSamples } from "./native.ts";
import type { Column, Race, Subject } from "./race.ts";
import { dockerAbsent, nsenterCommand, type Stage, withDocker } from "./stage.ts";

const command = ["/bin/bash", "-c", "echo ok"];

const columns: Column[] = [
  { title: "first byte, p50 ms", take: "firstByte", share: 0.5, digits: 2 },
  { title: "p90 ms", take: "firstByte", share: 0.9, digits: 2 },
  { title: "1: /s", take: "rate1", share: 0.5, digits: 1 },
  { title: "8: /s", take: "rate8", share: 0.5, digits: 1 },
];

/** Jobs a second. */
export const rate = ({ cycle, wallMicroseconds }: Jobs): number => (cycle.length / wallMicroseconds) * 1e6;

const milliseconds = (microseconds: number[]): number[] => microseconds.map((time) => time / 1000);

/** Commands in a sandbox that runs: until the first byte that they print, and how many are done in a second. */
export const execRace = async (stage: Stage, count: number): Promise<Race> => {
  const subject = (name: string, what: string, share: number, run: (runs: Runs) => Promise<Jobs>, rates = run): Subject => ({
    name,
    what,
    takes: {
      firstByte: async () => milliseconds((await run({ count: Math.ceil(count * share) })).firstByte),
      rate1: async () => [rate(await rates({ count: Math.ceil(count * share) }))],
      rate8: async () => [rate(await rates({ count: Math.ceil(count * share * 4), parallel: 8 }))],
    },
  });
  const path = `/v1/sandboxes/${stage.sandbox.id}/processes`;
  const flags = { socket: stage.socket, body: JSON.stringify({ command }) };
  const wait = (runs: Runs) => clientSamples("post", { ...flags, path: `${path}?wait=true`, expect: '"ok\\n"' }, runs);
  const follow = (runs: Runs) => clientSamples("follow", { ...flags, path }, runs);
  const enter = await nsenterCommand(stage);
  return {
    title: "Commands in a running sandbox",
    columns,
    ratio: { title: "first byte, × floor", take: "firstByte", to: "floor" },
    subjects: [
      subject(
        "unshared",
        "over HTTP: start, then follow the output until its first byte; the rates are of starts with wait=true",
        1,
        follow,
        wait,
      ),
      subject("unshared, wait=true", "over HTTP: start with wait=true, until the whole answer is there, with output and exit", 1, wait),
      subject("floor", "C program: setns into all namespaces, fork, execve", 1, (runs) =>
        enterSamples(stage.sandbox.process?.pid ?? 0, command, runs),
      ),
      subject("nsenter", "`nsenter --all --root --wd`", 1, (runs) => readSamples([...enter, ...command], runs)),
      ...withDocker(stage, (docker) =>
        subject("docker", "`docker exec`", 0.1, (runs) => readSamples([...docker.command, "exec", docker.container, ...command], runs)),
      ),
    ],
    absent: dockerAbsent(stage),
  };
};
