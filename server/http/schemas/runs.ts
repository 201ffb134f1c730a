import { type Static, Type } from "typebox";
import { DomainError } from "../../domain/errors.ts";
import { limitBounds } from "../../domain/limits.ts";
import { omissionReasons, type RunProblem, type RunReason, runCounters, runReasons, runStates } from "../../domain/run.ts";
import { defaultTimeoutSeconds } from "../../domain/run-definitions.ts";
import { type RunReport, type RunSummary, runReport, runSummary } from "../../domain/run-reports.ts";
import type { Run } from "../../domain/runs.ts";
import { problemOf } from "../problems.ts";
import { Command, EnvironmentInput, Id, SeccompInputBody } from "./definitions.ts";
import { StartBody } from "./processes.ts";
import { Labels, Nullable, named, OneOf, Reference, Text, Timestamp } from "./shared.ts";

const strict = { additionalProperties: false } as const;
const base64 = Type.String({ pattern: "^[A-Za-z0-9+/]*={0,2}$" });

/** Text, or an object with its bytes as base64 (which the domain asks for) and what else is to be said of it. */
const content = (members: Record<string, unknown>, description: string) =>
  Type.Unsafe<string | { base64?: string; mode?: string }>({
    type: ["string", "object"],
    pattern: "^[^\\u0000]*$",
    properties: { base64, ...members },
    additionalProperties: false,
    description,
  });
const mode = Type.String({ pattern: "^[0-7]{3,4}$", description: "Octal; 0644 by default." });

const limit = (minimum: number, maximum: number, description: string) => Type.Optional(Type.Integer({ minimum, maximum, description }));
const Limits = Type.Object(
  {
    memoryBytes: limit(...limitBounds.memoryBytes, "No limit by default. Swap is off when it is set."),
    cpus: Type.Optional(Type.Number({ minimum: limitBounds.cpus[0], maximum: limitBounds.cpus[1], description: "No limit by default." })),
    cpuWeight: limit(...limitBounds.cpuWeight, "Share of the CPU against other sandboxes; 100 by default."),
    diskBytes: limit(...limitBounds.diskBytes, "No limit by default."),
    pids: limit(8, 4_194_304, "Processes and threads, one or two of the sandbox's own included; 512 by default."),
    openFiles: limit(...limitBounds.openFiles, "RLIMIT_NOFILE; 1,024 by default."),
    outputBytes: limit(4_096, 4_194_304, "Of both streams together; 1 MiB by default. Who writes more is killed."),
  },
  strict,
);

const members = {
  command: Type.Optional(Command),
  script: StartBody.properties.script,
  stdin: Type.Optional(content({}, "What the command reads from its stdin, which is then closed. /dev/null by default.")),
  files: Type.Optional(
    Type.Record(Type.String({ pattern: "^[^\\u0000]+$" }), content({ mode }, "Text, or base64 and a mode."), {
      ...strict,
      maxProperties: 256,
      description: "Put in before the command begins, by absolute path, as the run's user; missing directories are made.",
    }),
  ),
  collect: Type.Optional(
    Type.Array(Text({ minLength: 1, maxLength: 4_095 }), {
      maxItems: 64,
      description:
        "Regular files to give back: absolute paths with `*` and `?` in names, `**` for any directories. The directory before the first of these is made for the run's user.",
    }),
  ),
  env: Type.Optional(EnvironmentInput),
  cwd: Type.Optional(Text({ minLength: 1, maxLength: 4095, description: "Absolute path inside; / by default." })),
  user: Type.Optional(Type.Object({ uid: Type.Optional(Id), gid: Type.Optional(Id) }, { ...strict, description: "0 by default." })),
  limits: Type.Optional(Limits),
  seccomp: Type.Optional(SeccompInputBody),
  timeoutSeconds: Type.Optional(
    Type.Number({
      minimum: 0.001,
      maximum: 86_400,
      description: `The command is killed when it has run so long; ${defaultTimeoutSeconds} by default.`,
    }),
  ),
  labels: Type.Optional(Labels),
};
const root = Type.Optional(Reference);

const exampleInput = {
  command: ["/bin/bash", "/job/main.sh"],
  stdin: "21\n",
  files: { "/job/main.sh": "read n; echo $((2 * n)); echo done > /job/out/state\n" },
  collect: ["/job/out/*"],
  limits: { memoryBytes: 134_217_728, pids: 64 },
  timeoutSeconds: 10,
};

export const RunBody = Type.Object({ root, ...members }, { ...strict, examples: [{ root: "default", ...exampleInput }] });

export const BatchBody = Type.Object(
  { root, runs: Type.Array(Type.Object(members, strict), { minItems: 1, maxItems: 100, description: "All of them are taken, or none." }) },
  { ...strict, examples: [{ root: "default", runs: [exampleInput] }] },
);

const exampleSummary = {
  id: "01jd9f3c7k3m5n8p0q2r4s6t8v",
  state: "queued",
  position: 1,
  root: "default",
  labels: {},
  sandbox: null,
  problem: null,
  createdAt: "2026-11-24T10:00:00.000Z",
  startedAt: null,
  endedAt: null,
};
const nothing = {
  reason: null,
  exit: null,
  stdout: null,
  stderr: null,
  cpuSeconds: null,
  wallSeconds: null,
  peakMemoryBytes: null,
  countedBy: null,
  files: null,
  filesTruncated: null,
  archive: null,
};
const exampleRun = {
  ...exampleSummary,
  state: "ended",
  position: null,
  startedAt: "2026-11-24T10:00:00.001Z",
  endedAt: "2026-11-24T10:00:00.031Z",
  reason: "exited",
  exit: { code: 0, signal: null },
  stdout: { data: "42\n", encoding: "utf-8", bytes: 3, truncated: false },
  stderr: { data: "", encoding: "utf-8", bytes: 0, truncated: false },
  cpuSeconds: { user: 0.002, system: 0.003 },
  wallSeconds: 0.006,
  peakMemoryBytes: 3_407_872,
  countedBy: { cpu: "cgroup", memory: "cgroup" },
  files: [
    { path: "/job/out/state", sizeBytes: 5, data: "done\n", encoding: "utf-8" },
    { path: "/job/out/log", sizeBytes: 2_000_000, archived: true },
  ],
  filesTruncated: false,
  archive: { url: "/v1/runs/01jd9f3c7k3m5n8p0q2r4s6t8v/archive", bytes: 2_001_920, files: 1, expiresAt: "2026-11-24T10:10:00.030Z" },
};

const summary = {
  id: Type.String(),
  state: OneOf(runStates, { description: "ended: the command ended, however that was. failed: `problem` says why." }),
  position: Nullable(Type.Integer({ description: "In the queue: 1 for the next, as it stands now; null where it does not wait." })),
  root: Type.String(),
  labels: Type.Record(Type.String(), Type.String()),
  sandbox: Nullable(Type.String({ description: "Id of its sandbox, while there is one." })),
  problem: Nullable(
    Type.Object({}, { additionalProperties: true, description: "Why it failed, or why the files of one that ended are not there." }),
  ),
  createdAt: Timestamp,
  startedAt: Nullable(Timestamp),
  endedAt: Nullable(Timestamp),
};
const encoding = OneOf(["utf-8", "base64"], { description: "base64 where the bytes are not UTF-8." });
const stream = Nullable(
  Type.Object({
    data: Type.String({ description: "The first bytes that were written." }),
    encoding,
    bytes: Type.Integer({ description: "Bytes in data." }),
    truncated: Type.Boolean({ description: "Whether something after it, or between, is missing." }),
  }),
);
const seconds = Type.Number();

/** The report on a run (domain/run-reports.ts). */
export const RunReportBody = named(
  "Run",
  Type.Object(
    {
      ...summary,
      reason: Type.Unsafe<RunReason | null>({ type: ["string", "null"], enum: [...runReasons, null] }),
      exit: Nullable(Type.Object({ code: Nullable(Type.Integer()), signal: Nullable(Type.String()) })),
      stdout: stream,
      stderr: stream,
      cpuSeconds: Nullable(
        Type.Object({ user: seconds, system: seconds }, { description: "From the command's start to its end, as `countedBy` says." }),
      ),
      wallSeconds: Nullable(Type.Number({ description: "From the command's start to its end." })),
      peakMemoryBytes: Nullable(
        Type.Integer({
          description: "The most memory at one time, as `countedBy` says. That of the cgroup is since the sandbox was made.",
        }),
      ),
      countedBy: Nullable(
        Type.Object(
          { cpu: OneOf(runCounters), memory: OneOf(runCounters) },
          {
            description:
              "cgroup: of all that ran in the sandbox, its memory with the page cache of the files it used. rusage, where the cgroup could not be read any more: of the command and the children that it waited for, its memory that of the largest of them.",
          },
        ),
      ),
      files: Nullable(
        Type.Array(
          Type.Object({
            path: Type.String(),
            sizeBytes: Type.Integer(),
            data: Type.Optional(Type.String()),
            encoding: Type.Optional(encoding),
            archived: Type.Optional(Type.Boolean({ description: "Its bytes are in the archive: all files here together have 1 MiB." })),
            truncated: Type.Optional(Type.Boolean({ description: "Its bytes are nowhere, for the `reason` given." })),
            reason: Type.Optional(
              OneOf(omissionReasons, {
                description:
                  "archive-limit: 256 MiB a run. storage-limit: 2 GiB all archives together. no-space: the state directory is full.",
              }),
            ),
          }),
        ),
      ),
      filesTruncated: Nullable(Type.Boolean({ description: "Whether more matched than is named here." })),
      archive: Nullable(
        Type.Object(
          { url: Type.String(), bytes: Type.Integer(), files: Type.Integer(), expiresAt: Timestamp },
          { description: "The files that are `archived`, as a tar archive of so many bytes, until `expiresAt`." },
        ),
      ),
    },
    { examples: [exampleRun, { ...exampleSummary, ...nothing }] },
  ),
);

const RunSummaryBody = named("RunSummary", Type.Object(summary, { examples: [exampleSummary] }));

export const BatchReply = Type.Object({ items: Type.Array(RunSummaryBody) }, { examples: [{ items: [exampleSummary] }] });
export const RunList = Type.Object(
  { items: Type.Array(RunSummaryBody), nextCursor: Nullable(Type.String()) },
  { examples: [{ items: [exampleSummary], nextCursor: null }] },
);

export const RunPath = Type.Object({ run: Reference });
export const RunQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
    cursor: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9_-]{1,64}$" })),
    state: Type.Optional(Type.Array(OneOf(runStates), { maxItems: 5 })),
    label: Type.Optional(
      Type.Array(Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}=[^\\u0000]{0,255}$" }), {
        maxItems: 64,
        description: "key=value; all must match.",
      }),
    ),
  },
  strict,
);

/** The longest that is waited for the end of a run. */
const longestWaitSeconds = 300;
export const RunWaitQuery = Type.Object(
  {
    wait: Type.Optional(
      Type.String({
        pattern: "^(true|false|[0-9]|[1-9][0-9]|[12][0-9][0-9]|300)$",
        description: `How long to wait for the end: seconds (0 to 300), or \`true\` for ${longestWaitSeconds}.`,
        examples: ["true", "30"],
      }),
    ),
  },
  strict,
);
export const runWaitMilliseconds = (wait: string | undefined): number =>
  wait === undefined || wait === "false" ? 0 : (wait === "true" ? longestWaitSeconds : Number(wait)) * 1000;

/** What a failed run would have thrown at a caller who waited. */
export const runFailure = ({ code, detail, members: given, faults }: RunProblem): DomainError =>
  new DomainError(code, detail, { members: given, faults });

const shown = <T extends RunSummary>(run: T) => ({
  ...run,
  problem: run.problem === null ? null : { ...problemOf(runFailure(run.problem), `/v1/runs/${run.id}`) },
});

/** The wire forms of a run. */
export const runBody = (run: Run): Static<typeof RunReportBody> => shown<RunReport>(runReport(run));
export const runSummaryBody = (run: Run): Static<typeof RunSummaryBody> => shown(runSummary(run));
