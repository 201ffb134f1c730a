import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Connection } from "./connection.ts";
import { type Report, startDaemon } from "./daemon.ts";
import { openEngine, startContainer } from "./docker-engine.ts";
import { writerProgram } from "./native.ts";
import { findProgram } from "./packages.ts";
import { createStarted, remove } from "./sandboxes.ts";
import { makeScratch } from "./scratch.ts";
import type { Undo } from "./undo.ts";

/** Docker's command line for an engine of the bench, and its container with a waiting bash. */
export interface DockerStage {
  command: readonly string[];
  container: string;
}

/** What stands while commands, output, files and runs are measured. */
export interface Stage {
  socket: string;
  connection: Connection;
  /** A sandbox with a waiting bash and the writer. */
  sandbox: Report;
  /** The same files for the peers. */
  tree: string;
  /** Or why there is none; null where it was not asked for. */
  docker: DockerStage | string | null;
}

/** The most runs that are measured side by side. */
export const runsAtOnce = 8;

/** @param withDocker whether Docker takes part */
export const openStage = async (tree: string, withDocker: boolean, undo: Undo): Promise<Stage> => {
  const flags = ["--run-concurrency", `${runsAtOnce}`];
  const daemon = await startDaemon({ name: "stage", readyShells: 4, idBase: 2_200_000_000, flags }, undo);
  const connection = await Connection.open(daemon.socket);
  undo.push("close the connection to the stage", () => connection.close());
  const sandbox = await startWithWriter(connection);
  const docker = withDocker ? await openDockerStage(tree, undo).catch((error: Error) => error.message) : null;
  return { socket: daemon.socket, connection, sandbox, tree, docker };
};

const startWithWriter = async (connection: Connection): Promise<Report> => {
  const sandbox = await createStarted(connection);
  const writer = await readFile(writerProgram);
  await connection.expect("PUT", `/v1/sandboxes/${sandbox.id}/files?path=/writer&mode=0755`, writer);
  return sandbox;
};

/** Lends a sandbox of its own with the writer: the supervisor holds the output of what ended, up to 64 MiB each, until the delete. */
export const withSandbox = async <T>({ connection }: Stage, use: (sandbox: Report) => Promise<T>): Promise<T> => {
  const sandbox = await startWithWriter(connection);
  try {
    return await use(sandbox);
  } finally {
    await remove(connection, sandbox.id);
  }
};

const openDockerStage = async (tree: string, undo: Undo): Promise<DockerStage> => {
  const program = await findProgram("docker");
  const socket = await openEngine("docker-stage", tree, undo);
  const connection = await Connection.open(socket);
  try {
    const settings = join(await makeScratch("docker-stage"), "settings");
    const command = [program, "--config", settings, "--host", `unix://${socket}`];
    return { command, container: await startContainer(connection) };
  } finally {
    connection.close();
  }
};

/** What a subject of Docker is made with; none where there is no engine. */
export const withDocker = <T>({ docker }: Stage, make: (docker: DockerStage) => T): T[] =>
  docker === null || typeof docker === "string" ? [] : [make(docker)];

/** Docker among the absent, where it is. */
export const dockerAbsent = ({ docker }: Stage): Map<string, string> => new Map(typeof docker === "string" ? [["docker", docker]] : []);

/** What a person at the host's shell would type to be inside. */
export const nsenterCommand = async ({ sandbox }: Stage): Promise<string[]> => [
  await findProgram("nsenter"),
  "--target",
  `${sandbox.process?.pid}`,
  "--all",
  "--root",
  "--wd",
];
