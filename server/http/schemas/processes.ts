import { Type } from "typebox";
import { processReasons, processStates } from "../../domain/process.ts";
import { Command, EnvironmentInput, Id } from "./definitions.ts";
import { exampleReport } from "./sandbox-examples.ts";
import { SandboxPath } from "./sandboxes.ts";
import { Labels, Nullable, named, OneOf, Text, Timestamp } from "./shared.ts";

const strict = { additionalProperties: false } as const;

export const ProcessPath = Type.Object({
  ...SandboxPath.properties,
  process: Type.String({ pattern: "^[a-z0-9]{1,64}$", description: "An id, or `main` for the main process." }),
});

export const StartBody = Type.Object(
  {
    command: Type.Optional(Command),
    script: Type.Optional(Text({ maxLength: 131_072, description: "In place of command: run by the root's /bin/sh -c." })),
    env: Type.Optional(EnvironmentInput),
    cwd: Type.Optional(Text({ minLength: 1, maxLength: 4095, description: "Absolute path inside; / by default." })),
    user: Type.Optional(
      Type.Object({ uid: Type.Optional(Id), gid: Type.Optional(Id) }, { ...strict, description: "The sandbox's user by default." }),
    ),
    tty: Type.Optional(Type.Boolean({ description: "Its stdio is a terminal; all it writes is stdout." })),
    stdin: Type.Optional(Type.Boolean({ description: "Its stdin is a pipe that can be written to; /dev/null by default." })),
    timeoutSeconds: Type.Optional(
      Nullable(Type.Number({ minimum: 0.001, maximum: 31_536_000, description: "It is killed when it has run so long; null: no limit." })),
    ),
    outputBytes: Type.Optional(
      Type.Integer({ minimum: 4_096, maximum: 67_108_864, description: "Output kept; the sandbox's limit by default." }),
    ),
    labels: Type.Optional(Labels),
  },
  { ...strict, examples: [{ command: ["/bin/bash", "-c", "echo hello"], timeoutSeconds: 30 }, { script: "ls / | wc -l" }] },
);

const exampleExit = {
  reason: "exited",
  code: 0,
  signal: null,
  exitedAt: "2026-11-24T10:00:00.250Z",
  durationMs: 250,
  userCpuSeconds: 0.004,
  systemCpuSeconds: 0.002,
  maxRssBytes: 3_407_872,
};
const exampleProcess = {
  id: "01jd9f3c7k3m5n8p0q2r4s6t8v",
  sandbox: { id: exampleReport.id, name: exampleReport.name },
  command: ["/bin/bash", "-c", "echo hello"],
  env: {},
  cwd: "/",
  user: { uid: 0, gid: 0 },
  tty: false,
  stdin: false,
  timeoutSeconds: 30,
  outputBytes: 1_048_576,
  labels: {},
  state: "running",
  pid: 4250,
  pidInside: 7,
  startTicks: 123_460,
  startedAt: "2026-11-24T10:00:00.000Z",
  exit: null,
  createdAt: "2026-11-24T10:00:00.000Z",
};
const exampleStream = { data: "hello\n", encoding: "utf-8", bytes: 6, truncated: false };
const exampleEnded = {
  ...exampleProcess,
  state: "ended",
  pid: null,
  pidInside: null,
  startTicks: null,
  exit: exampleExit,
  output: { stdout: exampleStream, stderr: { ...exampleStream, data: "", bytes: 0 }, droppedBytes: 0 },
};

export const ProcessExit = named(
  "ProcessExit",
  Type.Object(
    {
      reason: OneOf(processReasons),
      code: Nullable(Type.Integer()),
      signal: Nullable(Type.String()),
      exitedAt: Timestamp,
      durationMs: Type.Integer(),
      userCpuSeconds: Type.Number(),
      systemCpuSeconds: Type.Number(),
      maxRssBytes: Type.Integer({ description: "The most memory that it, or a child it waited for, had resident at one time." }),
    },
    { examples: [exampleExit] },
  ),
);

const stream = Type.Object({
  data: Type.String(),
  encoding: OneOf(["utf-8", "base64"], { description: "base64 where the bytes are not UTF-8." }),
  bytes: Type.Integer({ description: "Bytes in data." }),
  truncated: Type.Boolean({ description: "Whether something before it is missing." }),
});

const members = {
  id: Type.String(),
  sandbox: Type.Object({ id: Type.String(), name: Type.String() }),
  command: Type.Array(Type.String()),
  env: Type.Record(Type.String(), Type.String()),
  cwd: Type.String(),
  user: Type.Object({ uid: Type.Integer(), gid: Type.Integer() }),
  tty: Type.Boolean(),
  stdin: Type.Boolean(),
  timeoutSeconds: Nullable(Type.Number()),
  outputBytes: Type.Integer(),
  labels: Type.Record(Type.String(), Type.String()),
  state: OneOf(processStates, { description: "lost: its end was not seen, as its supervisor was lost or the host rebooted." }),
  pid: Nullable(Type.Integer({ description: "Of the host; null unless it runs." })),
  pidInside: Nullable(Type.Integer()),
  startTicks: Nullable(Type.Integer()),
  startedAt: Nullable(Timestamp),
  exit: Type.Union([ProcessExit, Type.Null()]),
  createdAt: Timestamp,
};

/** The report on a process (domain/process-reports.ts). */
export const ProcessReport = named("Process", Type.Object(members, { examples: [exampleProcess] }));

/** As the report, and what the process wrote where the end was waited for. */
export const ProcessResult = named(
  "ProcessResult",
  Type.Object(
    {
      ...members,
      output: Type.Optional(
        Type.Object(
          {
            stdout: stream,
            stderr: stream,
            droppedBytes: Nullable(
              Type.Integer({ description: "Of both streams, because of outputBytes; null: some, it is not known how many." }),
            ),
          },
          { description: "The last 4 MiB of each stream; there once the end was waited for and has come." },
        ),
      ),
    },
    { examples: [exampleEnded, exampleProcess] },
  ),
);

const exampleLive = {
  pid: 4251,
  pidInside: 8,
  parentPid: 4250,
  process: exampleProcess.id,
  command: ["sleep", "60"],
  state: "S",
  rssBytes: 1_048_576,
  cpuSeconds: 0.01,
  startTicks: 123_465,
};

/** One process of the kernel inside a sandbox (domain/live-processes.ts). */
const LiveProcess = Type.Object({
  pid: Type.Integer({ description: "Of the host." }),
  pidInside: Type.Integer(),
  parentPid: Type.Integer({ description: "Of the host." }),
  process: Nullable(Type.String({ description: "The process of the API that it is or descends from; null where that has ended." })),
  command: Type.Array(Type.String(), { description: "The command line, at most its first 4,096 bytes." }),
  state: Type.String({ description: "One letter, as in proc_pid_stat(5)." }),
  rssBytes: Type.Integer(),
  cpuSeconds: Type.Number({ description: "User and system." }),
  startTicks: Type.Integer(),
});

export const ProcessList = Type.Object(
  {
    items: Type.Array(ProcessReport),
    alive: Type.Optional(Type.Array(LiveProcess, { description: "With all=true: everything alive in the sandbox, whoever started it." })),
    nextCursor: Nullable(Type.String()),
  },
  { examples: [{ items: [exampleProcess], alive: [exampleLive], nextCursor: null }] },
);

export const ProcessQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
    cursor: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9_-]{1,64}$" })),
    state: Type.Optional(Type.Array(OneOf(processStates), { maxItems: 4 })),
    label: Type.Optional(
      Type.Array(Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}=[^\\u0000]{0,255}$" }), {
        maxItems: 64,
        description: "key=value; all must match.",
      }),
    ),
    all: Type.Boolean({ default: false, description: "Also everything else that is alive in the sandbox, from its cgroup and /proc." }),
  },
  strict,
);

export const SignalBody = Type.Object(
  {
    signal: Type.Unsafe<string | number>({
      type: ["string", "integer"],
      pattern: "^[A-Z][A-Z0-9+]{1,15}$",
      minimum: 1,
      maximum: 64,
      description: "A name, with SIG or without, or a number.",
    }),
    group: Type.Optional(Type.Boolean({ default: false, description: "To all of its process group." })),
  },
  { ...strict, examples: [{ signal: "SIGUSR1" }, { signal: 15, group: true }] },
);

const size = (description: string) => Type.Integer({ minimum: 1, maximum: 4_096, description });
export const ResizeBody = Type.Object(
  { rows: size("Lines."), columns: size("Characters in a line.") },
  { ...strict, examples: [{ rows: 40, columns: 120 }] },
);

export const InputReply = Type.Object(
  { bytesWritten: Type.Integer(), closed: Type.Boolean({ description: "Whether this request closed stdin." }) },
  { examples: [{ bytesWritten: 6, closed: true }] },
);

/** One line of the output as NDJSON. */
export const OutputLine = named(
  "OutputRecord",
  Type.Object(
    {
      seq: Type.Optional(Type.Integer({ description: "Counts up from 1; resume with ?after=." })),
      stream: Type.Optional(OneOf(["stdout", "stderr"])),
      time: Type.Optional(Timestamp),
      data: Type.Optional(Type.String()),
      encoding: Type.Optional(OneOf(["base64"], { description: "Only where the bytes of this record are not UTF-8." })),
      exit: Type.Optional(Type.Union([ProcessExit, Type.Null()], { description: "The last record of a process that has ended." })),
      gap: Type.Optional(
        Type.Object(
          { first: Nullable(Type.Integer()) },
          { description: "The last record of a reader that was too slow: what follows is dropped up to `first`; null: all of it." },
        ),
      ),
    },
    {
      examples: [
        { seq: 7, stream: "stdout", time: "2026-11-24T10:00:00.000Z", data: "hello\n" },
        { seq: 8, exit: exampleExit },
        { gap: { first: 99 } },
      ],
    },
  ),
);
