import type { Problem, ProblemCode } from "./api.ts";

/** Everything that this client itself throws. */
export class UnsharedError extends Error {
  override readonly name: string = "UnsharedError";
}

/** The daemon refused: a problem document (RFC 9457). What each code means is at `/problems/CODE` of the daemon. */
export class ProblemError extends UnsharedError {
  override readonly name = "ProblemError";
  readonly code: ProblemCode;
  readonly status: number;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** What is wrong with which field of the request. */
  readonly errors: readonly { pointer: string; detail: string }[];
  /** The whole document, with the members that some codes add. */
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.code}: ${problem.detail}`);
    this.code = problem.code as ProblemCode;
    this.status = problem.status;
    this.retryable = problem.retryable;
    this.errors = problem.errors ?? [];
    this.problem = problem;
  }
}

/** The daemon could not be reached, or the connection broke, after all attempts. The reason is the `cause`. */
export class ConnectionError extends UnsharedError {
  override readonly name = "ConnectionError";
}

/** No answer in time. What was asked for may have been done all the same. */
export class TimeoutError extends UnsharedError {
  override readonly name = "TimeoutError";
}

/** Something of a stream is held no more. `first` is what can be read next; null where nothing can. */
export class GapError extends UnsharedError {
  override readonly name = "GapError";
  readonly first: number | string | null;

  constructor(what: string, first: number | string | null) {
    super(`some ${what} is held no more${first === null ? "" : `; what comes next is ${first}`}`);
    this.first = first;
  }
}

/** A command that was to succeed did not: it exited with another code than 0, or was killed. */
export class CommandError extends UnsharedError {
  override readonly name = "CommandError";
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;

  constructor(command: string, end: { code: number | null; signal: string | null; stdout: string; stderr: string }) {
    const how = end.signal === null ? `exited with ${end.code}` : `was killed by ${end.signal}`;
    super(`${command} ${how}${end.stderr === "" ? "" : `: ${end.stderr.trimEnd().slice(-1_000)}`}`);
    this.code = end.code;
    this.signal = end.signal;
    this.stdout = end.stdout;
    this.stderr = end.stderr;
  }
}

/** The problem that an answer holds. An answer by somebody else, such as a proxy, becomes one of that status. */
export const problemOf = (status: number, text: string, path: string): ProblemError => {
  try {
    const problem = JSON.parse(text) as Problem;
    if (typeof problem.code === "string") return new ProblemError(problem);
  } catch {
    // Not JSON: told below.
  }
  const detail = text === "" ? `the answer was ${status} without a body` : text.slice(0, 1_000);
  const retryable = status === 429 || status >= 502;
  return new ProblemError({
    type: "about:blank",
    code: "internal",
    title: "Not a problem document",
    status,
    detail,
    instance: path,
    retryable,
  });
};
