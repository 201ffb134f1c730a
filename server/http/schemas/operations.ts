import { type Static, Type } from "typebox";
import { DomainError, type ErrorCode } from "../../domain/errors.ts";
import type { Operation } from "../../domain/operations.ts";
import { problemOf } from "../problems.ts";
import { Nullable, OneOf, Timestamp } from "./shared.ts";

export const operationStates = ["running", "succeeded", "failed", "cancelled"] as const;

/** Long enough for a copy, short enough for the patience of proxies. */
export const defaultWaitSeconds = 30;

export const Wait = Type.Optional(
  Type.String({
    pattern: "^(true|false|[0-9]|[1-9][0-9]|[12][0-9][0-9]|300)$",
    description: `How long to wait for the end: seconds (0 to 300), or \`true\` for ${defaultWaitSeconds}.`,
    examples: ["true", "30"],
  }),
);

/** The same where whoever leaves it out waits for however long it takes. */
export const PatientWait = Type.Optional({
  ...Wait,
  description: `Makes it an operation, and waits for its end so many seconds (0 to 300; \`true\`: ${defaultWaitSeconds}): 202 with the operation where it has not ended by then. Without it, the end is waited for however long it takes.`,
});

/** The milliseconds that a `wait` parameter means. */
export const waitMilliseconds = (wait: string | undefined): number =>
  wait === undefined || wait === "false" ? 0 : (wait === "true" ? defaultWaitSeconds : Number(wait)) * 1000;

export const exampleOperation = {
  id: "01ke5z3m2v8q4x9r7t6w5y1n0p",
  kind: "root.provision",
  subject: "01ke5z3m2tq0d8f6g4h2j1k3m5",
  state: "running",
  phase: "retrieving packages",
  progress: 0.21,
  message: "libc6 2.36-9",
  result: null,
  problem: null,
  createdAt: "2026-11-24T10:00:00.000Z",
  endedAt: null,
};

export const OperationBody = Type.Object(
  {
    id: Type.String(),
    kind: Type.String({
      description: "What is being done.",
      examples: ["root.provision", "sandbox.stop", "sandbox.restart", "sandbox.delete"],
    }),
    subject: Type.String({ description: "Id of the root or sandbox that it works on." }),
    state: OneOf(operationStates),
    phase: Type.String({ description: "The step it is in, or was in when it ended.", examples: ["retrieving packages"] }),
    progress: Nullable(Type.Number({ minimum: 0, maximum: 1, description: "The part that is done, 0 to 1; null where it is not known." })),
    message: Nullable(Type.String({ description: "What is being worked on right now; null once it has ended." })),
    result: Nullable(Type.Object({}, { additionalProperties: true, description: "What came out of it; null unless it succeeded." })),
    problem: Nullable(
      Type.Object({}, { additionalProperties: true, description: "The problem document of its failure; null unless it failed." }),
    ),
    createdAt: Timestamp,
    endedAt: Nullable(Timestamp),
  },
  {
    description: "A long job.",
    examples: [exampleOperation],
  },
);

/** The wire form of an operation. */
export const operationBody = (operation: Operation): Static<typeof OperationBody> => ({
  id: operation.id,
  kind: operation.kind,
  subject: operation.subject,
  state: operation.state,
  phase: operation.phase,
  progress: operation.progress === null ? null : Math.round(operation.progress * 1000) / 1000,
  message: operation.message,
  result: operation.result,
  problem: operation.problem === null ? null : { ...problemOf(operationFailure(operation), `/v1/operations/${operation.id}`) },
  createdAt: new Date(operation.createdAt).toISOString(),
  endedAt: operation.endedAt === null ? null : new Date(operation.endedAt).toISOString(),
});

/** What a failed operation would have thrown at a caller who waited. */
export const operationFailure = ({ problem }: Operation): DomainError =>
  new DomainError((problem?.code ?? "internal") as ErrorCode, problem?.detail ?? "the operation failed", {
    members: problem?.members ?? {},
  });
