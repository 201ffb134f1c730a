import type { FastifyReply } from "fastify";
import type { ErrorCode } from "../domain/errors.ts";
import type { Report } from "../domain/reports.ts";

/** What any start can end in. */
export const launchCodes: readonly ErrorCode[] = [
  "command-not-found",
  "command-not-executable",
  "working-directory-invalid",
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
