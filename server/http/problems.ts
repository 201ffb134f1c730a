import { DomainError, type ErrorCode, type InputFault } from "../domain/errors.ts";
import { hostFailure } from "../domain/host-failures.ts";
import { bodyLimit, filesBodyLimit } from "./bodies.ts";

/** How a code looks over HTTP. `retryable`: the same request may succeed later without a change by the caller. */
export interface ProblemKind {
  status: number;
  title: string;
  retryable: boolean;
}

const kind = (status: number, title: string, retryable = false): ProblemKind => ({ status, title, retryable });

/** The one place where a code of the domain gets its status; `openapi/problems.md` says the same in words. */
export const problemKinds: Readonly<Record<ErrorCode, ProblemKind>> = {
  "invalid-request": kind(400, "The request is malformed"),
  "invalid-definition": kind(422, "The definition makes no sense"),
  "namespace-combination": kind(422, "These namespaces cannot be combined"),
  unsupported: kind(422, "Not supported"),
  unauthorized: kind(401, "A valid token is needed"),
  forbidden: kind(403, "Not allowed"),
  "quota-exceeded": kind(403, "The token has used up a quota"),
  "too-many-requests": kind(429, "Too much at a time", true),
  "not-found": kind(404, "Not found"),
  "method-not-allowed": kind(405, "Method not allowed"),
  "request-timeout": kind(408, "The request took too long to arrive", true),
  "payload-too-large": kind(413, "The body is too large"),
  "unsupported-media-type": kind(415, "The body's media type is not supported"),
  "misdirected-request": kind(421, "The request is meant for another host"),
  "headers-too-large": kind(431, "The headers are too large"),
  "root-not-found": kind(422, "No such root"),
  "sandbox-not-found": kind(404, "No such sandbox"),
  "operation-not-found": kind(404, "No such operation"),
  "process-not-found": kind(404, "No such process"),
  "run-not-found": kind(404, "No such run"),
  "token-not-found": kind(404, "No such token"),
  "webhook-not-found": kind(404, "No such webhook"),
  "name-taken": kind(409, "The name is taken"),
  "root-in-use": kind(409, "The root is in use"),
  "root-not-ready": kind(409, "The root is not ready", true),
  "root-source-invalid": kind(422, "The root cannot be made from this source"),
  "root-provision-failed": kind(500, "Provisioning the root failed", true),
  "limit-in-use": kind(409, "More is in use than the new limit allows"),
  "state-conflict": kind(409, "The state does not allow this"),
  "precondition-failed": kind(412, "The precondition failed"),
  "idempotency-key-reused": kind(409, "The idempotency key was used for another request"),
  "root-unusable": kind(422, "The root cannot be mounted on"),
  "command-not-found": kind(422, "The command was not found in the root"),
  "command-not-executable": kind(422, "The command cannot be executed"),
  "working-directory-invalid": kind(422, "The working directory cannot be entered"),
  "process-limit": kind(409, "Too many processes are alive", true),
  "process-lost": kind(500, "The end of the process was not seen"),
  "run-interrupted": kind(503, "The run was cut short", true),
  "run-queue-full": kind(429, "The queue of runs is full", true),
  "run-archive-not-found": kind(404, "The run has no archive"),
  "run-archive-expired": kind(410, "The archive of the run is held no more"),
  "output-dropped": kind(410, "This output is held no more"),
  "events-dropped": kind(410, "These events are kept no more"),
  "audit-dropped": kind(410, "These calls are kept no more"),
  "logs-dropped": kind(410, "This part of the log is kept no more"),
  "stdin-closed": kind(409, "The process takes no more input"),
  "no-terminal": kind(409, "The process has no terminal"),
  "upgrade-required": kind(426, "This is a WebSocket"),
  "file-not-found": kind(404, "No such file"),
  "file-exists": kind(409, "The file exists"),
  "not-a-directory": kind(422, "Not a directory"),
  "is-a-directory": kind(422, "A directory"),
  "directory-not-empty": kind(409, "The directory is not empty"),
  "not-a-regular-file": kind(422, "Not a regular file"),
  "path-invalid": kind(422, "The path cannot be used"),
  "path-on-other-mount": kind(422, "The path leads to another mount"),
  "file-permission": kind(403, "The file may not be touched"),
  "no-space": kind(507, "No space is left"),
  "storage-failed": kind(503, "The disk could not be used", true),
  "host-exhausted": kind(503, "The host has no more to give", true),
  "range-not-satisfiable": kind(416, "The range lies outside the file"),
  "archive-invalid": kind(422, "The archive cannot be unpacked"),
  "archive-too-large": kind(413, "The archive is too large"),
  "files-unavailable": kind(409, "The sandbox has no files of its own"),
  "pause-failed": kind(503, "The sandbox could not be made to stand still", true),
  "files-busy": kind(503, "Too many requests on files", true),
  "files-interrupted": kind(503, "The work on files was broken off", true),
  "file-failed": kind(422, "The file could not be used"),
  "launch-failed": kind(500, "The launch failed"),
  "host-not-ready": kind(503, "This host cannot launch sandboxes"),
  "launcher-unavailable": kind(503, "The launcher does not answer", true),
  "deadline-exceeded": kind(504, "It took too long", true),
  "teardown-incomplete": kind(503, "Something could not be removed yet", true),
  "shutting-down": kind(503, "The daemon is shutting down", true),
  internal: kind(500, "Internal error"),
};

/** A problem document (RFC 9457). */
export interface ProblemDocument {
  type: string;
  code: ErrorCode;
  title: string;
  status: number;
  detail: string;
  instance: string;
  retryable: boolean;
  errors?: InputFault[];
  [member: string]: unknown;
}

/** The problem document of a refusal. `instance` is the path that was asked for; `status` differs from the code's own only for a missing root named in a path. */
export const problemOf = (error: DomainError, instance: string, status?: number): ProblemDocument => {
  const found = problemKinds[error.code];
  return {
    ...error.members,
    type: `/problems/${error.code}`,
    code: error.code,
    title: found.title,
    status: status ?? found.status,
    detail: error.message,
    instance,
    retryable: found.retryable,
    ...(error.faults.length > 0 ? { errors: [...error.faults] } : {}),
  };
};

interface FrameworkError {
  code?: string;
  statusCode?: number;
  message: string;
  validation?: { instancePath: string; keyword: string; message?: string; params: Record<string, unknown> }[];
  validationContext?: string;
}

/** What people call the parts of a request that fastify validates. */
const contexts: Readonly<Record<string, string>> = { body: "body", querystring: "query", params: "path", headers: "header" };

const escapePointer = (name: string): string => name.replaceAll("~", "~0").replaceAll("/", "~1");

/** How many values of a field are named in a refusal. */
const mostNamed = 16;

/** In better words than the validator's, or with what it keeps to itself; null where its own do. */
const detailOf = (keyword: string, params: Record<string, unknown>): string | null => {
  if (keyword === "additionalProperties") return "is not known";
  if (keyword === "required") return "is required";
  if (keyword !== "enum") return null;
  const allowed = (params["allowedValues"] as unknown[]).map((value) => JSON.stringify(value));
  if (allowed.length > mostNamed) return `must be one of ${allowed.length} values, such as ${allowed[0]}; /docs has them all`;
  return `must be ${allowed.join(" or ")}`;
};

const faultsOf = (error: FrameworkError): InputFault[] => {
  const seen = new Set<string>();
  const faults: InputFault[] = [];
  for (const { instancePath, keyword, message, params } of (error.validation ?? []).slice(0, 64)) {
    // "anyOf" and the like only say that one of the faults beside them must be mended.
    if ((keyword === "anyOf" || keyword === "oneOf" || keyword === "if") && (error.validation?.length ?? 0) > 1) continue;
    const property = (params["additionalProperty"] ?? params["missingProperty"] ?? params["propertyName"]) as string | undefined;
    const pointer = property === undefined ? instancePath : `${instancePath}/${escapePointer(property).slice(0, 256)}`;
    const detail = detailOf(keyword, params) ?? message ?? "is not valid";
    if (seen.has(`${pointer} ${detail}`)) continue;
    seen.add(`${pointer} ${detail}`);
    faults.push({ pointer: error.validationContext === "body" ? pointer : pointer.replace(/^\//, ""), detail });
  }
  return faults;
};

const frameworkCodes: Readonly<Record<number, ErrorCode>> = {
  400: "invalid-request",
  404: "not-found",
  405: "method-not-allowed",
  408: "request-timeout",
  413: "payload-too-large",
  414: "headers-too-large",
  415: "unsupported-media-type",
  431: "headers-too-large",
};

/** Where the framework's own words are those of the status alone. */
const frameworkDetails: Partial<Record<ErrorCode, string>> = {
  "payload-too-large": `the body is larger than ${bodyLimit / 1_048_576} MiB, or ${filesBodyLimit / 1_048_576} where runs are sent`,
  "unsupported-media-type": "the body needs the header content-type: application/json, but where files, archives and stdin are sent",
};

/** The domain's word for an error of the framework (validation, parsing, limits); null for one that nobody foresaw. */
export const refusalOf = (error: unknown): DomainError | null => {
  if (error instanceof DomainError) return error;
  const failure = error as FrameworkError;
  if (failure.validation !== undefined) {
    const faults = faultsOf(failure);
    const where = contexts[failure.validationContext ?? ""] ?? "request";
    const first = faults[0];
    return new DomainError(
      "invalid-request",
      `the ${where} does not fit its schema${first === undefined ? "" : `: ${first.pointer || "it"} ${first.detail}`}`,
      { faults },
    );
  }
  const status = typeof failure.statusCode === "number" ? failure.statusCode : 500;
  const code = frameworkCodes[status];
  return code === undefined ? hostFailure(error) : new DomainError(code, frameworkDetails[code] ?? failure.message, { cause: error });
};
