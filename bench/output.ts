import { clientSamples, enterSamples, type Jobs, readSamples } from "./native.ts";
import type { Column, Race, Subject } from "./race.ts";
import { dockerAbsent, nsenterCommand, type Stage, withDocker, withSandbox } from "./stage.ts";

const column: Column = { title: "MB/s, p50", take: "rate", share: 0.5, digits: 0 };

/** What is held of an output at most, by default and by the bound of the definition: bytes. */
const [usualHeld, mostHeld] = [1 << 20, 64 << 20];
/** The writer is at most three of these before its reader (client.c), which is less than what is held: nothing is lost. */
const windowBytes = 16 << 20;

interface Started {
  id: string;
  output?: { stderr: { data: string } };
}

/** Millions of bytes in a second. */
const megabytesPerSecond = (bytes: number, microseconds: number): number => bytes / microseconds;

/** One process that writes so many bytes to its stdout. */
export const outputRace = async (stage: Stage, bytes: number): Promise<Race> => {
  const writer = ["/writer", `${bytes}`];
  /** As the writer itself tells on its stderr: nobody reads meanwhile, and the supervisor takes all and holds the last. */
  const unread = (name: string, outputBytes: number): Subject => ({
    name,
    what: `into the supervisor, which holds the last ${outputBytes >> 20} MiB; nobody reads; the time is the writer's`,
    takes: {
      rate: () =>
        withSandbox(stage, async ({ id }) => {
          const body = { command: writer, outputBytes, timeoutSeconds: 60 };
          const ended = (await stage.connection.expect("POST", `/v1/sandboxes/${id}/processes?wait=true`, body)) as Started;
          const microseconds = Number(ended.output?.stderr.data);
          if (!(microseconds > 0)) throw new Error(`the writer said ${JSON.stringify(ended.output?.stderr)}`);
          return [megabytesPerSecond(bytes, microseconds)];
        }),
    },
  });
  const followed = (name: string, accept: string): Subject => ({
    name,
    what: `over HTTP as ${accept} to a C reader, live and to the last byte; the writer is at most ${(3 * windowBytes) >> 20} MiB ahead`,
    takes: {
      rate: () =>
        withSandbox(stage, async ({ id }) => {
          const path = `/v1/sandboxes/${id}/processes`;
          const body = { command: [...writer, `${windowBytes}`], stdin: true, outputBytes: mostHeld, timeoutSeconds: 60 };
          const process = (await stage.connection.expect("POST", path, body)) as Started;
          const flags = { socket: stage.socket, path: `${path}/${process.id}`, accept, bytes, window: windowBytes };
          return [rateOf(await clientSamples("stream", flags))];
        }),
    },
  });
  const piped = (name: string, what: string, read: () => Promise<Jobs>): Subject => ({
    name,
    what: `${what}, its stdout a pipe to a C reader`,
    takes: { rate: async () => [rateOf(await read())] },
  });
  const rateOf = (jobs: Jobs): number => {
    if (jobs.bytes !== bytes) throw new Error(`${jobs.bytes} bytes came of ${bytes}`);
    return megabytesPerSecond(bytes, jobs.cycle[0] ?? Number.NaN);
  };
  const enter = await nsenterCommand(stage);
  return {
    title: "Output of one process",
    columns: [column],
    ratio: { title: "× floor", take: "rate", to: "floor" },
    subjects: [
      unread("unshared, unread", usualHeld),
      unread("unshared, unread, most held", mostHeld),
      followed("unshared, bytes", "application/octet-stream"),
      followed("unshared, NDJSON", "application/x-ndjson"),
      piped("floor", "C program: setns, fork, execve", () => enterSamples(stage.sandbox.process?.pid ?? 0, writer, { count: 1 })),
      piped("nsenter", "`nsenter --all --root --wd`", () => readSamples([...enter, ...writer], { count: 1 })),
      ...withDocker(stage, ({ command, container }) =>
        piped("docker", "`docker exec`", () => readSamples([...command, "exec", container, ...writer], { count: 1 })),
      ),
    ],
    absent: dockerAbsent(stage),
  };
};
