import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import type { ErrorCode } from "../domain/errors.ts";
import type { Operation, Operations } from "../domain/operations.ts";
import type { Report } from "../domain/reports.ts";
import { operationBody, operationFailure, PatientWait, waitMilliseconds } from "./schemas/operations.ts";

/** What any start can end in. */
export const launchCodes: readonly ErrorCode[] = [
  "command-not-found",
  "command-not-executable",
  "working-directory-invalid",
  "invalid-definition",
  "launch-failed",
  "host-not-ready",
  "launcher-unavailable",
  "idempotency-key-reused",
];

/** Gives the report the ETag of its definition. */
export const tagged = (reply: FastifyReply, report: Report): Report => {
  void reply.header("etag", `"${report.generation}"`);
  return report;
};

export const PatientQuery = Type.Object({ wait: PatientWait }, { additionalProperties: false });

/**
 * Answers for an operation that has begun: with what `done` gives where it has succeeded within the time that `wait` means, with its
 * problem where it has failed, else 202 with the operation, which goes on.
 */
export const whenDone = async <T>(
  operations: Operations,
  { id }: Operation,
  wait: string,
  reply: FastifyReply,
  done: (operation: Operation) => T,
): Promise<T> => {
  const now = await operations.wait(id, waitMilliseconds(wait));
  if (now.state === "failed") throw operationFailure(now);
  if (now.state === "succeeded") return done(now);
  return reply.code(202).header("location", `/v1/operations/${id}`).send(operationBody(now)) as T;
};
