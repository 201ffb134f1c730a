/** Every code a refusal can carry; `openapi/problems.md` documents each, `http/problems.ts` gives each its status. */
export type ErrorCode =
  | "invalid-request"
  | "invalid-definition"
  | "namespace-combination"
  | "unsupported"
  | "unauthorized"
  | "forbidden"
  | "quota-exceeded"
  | "too-many-requests"
  | "not-found"
  | "method-not-allowed"
  | "request-timeout"
  | "payload-too-large"
  | "unsupported-media-type"
  | "headers-too-large"
  | "misdirected-request"
  | "root-not-found"
  | "sandbox-not-found"
  | "operation-not-found"
  | "process-not-found"
  | "run-not-found"
  | "token-not-found"
  | "webhook-not-found"
  | "name-taken"
  | "root-in-use"
  | "root-not-ready"
  | "root-source-invalid"
  | "root-provision-failed"
  | "state-conflict"
  | "limit-in-use"
  | "precondition-failed"
  | "idempotency-key-reused"
  | "root-unusable"
  | "command-not-found"
  | "command-not-executable"
  | "working-directory-invalid"
  | "process-limit"
  | "process-lost"
  | "run-interrupted"
  | "run-queue-full"
  | "run-archive-not-found"
  | "run-archive-expired"
  | "output-dropped"
  | "events-dropped"
  | "audit-dropped"
  | "logs-dropped"
  | "stdin-closed"
  | "no-terminal"
  | "upgrade-required"
  | "file-not-found"
  | "file-exists"
  | "not-a-directory"
  | "is-a-directory"
  | "directory-not-empty"
  | "not-a-regular-file"
  | "path-invalid"
  | "path-on-other-mount"
  | "file-permission"
  | "no-space"
  | "storage-failed"
  | "host-exhausted"
  | "range-not-satisfiable"
  | "archive-invalid"
  | "archive-too-large"
  | "files-unavailable"
  | "pause-failed"
  | "files-busy"
  | "files-interrupted"
  | "file-failed"
  | "launch-failed"
  | "host-not-ready"
  | "launcher-unavailable"
  | "deadline-exceeded"
  | "teardown-incomplete"
  | "shutting-down"
  | "internal";

/** One thing wrong with the input: where (RFC 6901 pointer into the body, or the name of a parameter) and what. */
export interface InputFault {
  pointer: string;
  detail: string;
}

/** A refusal that the caller may see. It knows no HTTP status: `http/problems.ts` translates it, and only there. */
export class DomainError extends Error {
  readonly code: ErrorCode;
  readonly faults: readonly InputFault[];
  /** Members added to the problem document, such as `layer` and `errno` of a failed launch, or `users` of a root. */
  readonly members: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    detail: string,
    options: { faults?: InputFault[]; members?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(detail, { cause: options.cause });
    this.name = "DomainError";
    this.code = code;
    this.faults = options.faults ?? [];
    this.members = options.members ?? {};
  }
}
