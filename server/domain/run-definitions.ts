import type { Scope } from "./callers.ts";
import type { DefinitionInput } from "./definition.ts";
import { completeDefinition } from "./definitions.ts";
import { DomainError, type InputFault } from "./errors.ts";
import type { LimitPolicy } from "./limits.ts";
import type { ProcessDefinition, ProcessInput } from "./process.ts";
import { completeProcess } from "./process-definitions.ts";
import type { Content, RunInput } from "./run.ts";

/** How long a run may take where it does not say: seconds. */
export const defaultTimeoutSeconds = 60;
/** The scope of a run that was taken: whether its caller may ask for it was decided then, and holds when its turn comes. */
export const admitted: Scope = "admin";
/** Output of both streams together where a run does not say. */
const defaultOutputBytes = 1_048_576;
/** What the supervisor holds beyond the bound, so that the first bytes are there also when they are read a little late. */
const heldBeyondBytes = 1_048_576;
const pathBytes = 4_095;

/** A run with all that is to be done for it. Paths are bytes. */
export interface RunPlan {
  sandbox: DefinitionInput & { root: string };
  process: ProcessInput;
  user: ProcessDefinition["user"];
  stdin: Buffer | null;
  files: { path: Buffer; bytes: Buffer; mode: number }[];
  collect: string[];
  outputBytes: number;
}

const bytesOf = (content: Content): Buffer =>
  typeof content === "string" ? Buffer.from(content) : Buffer.from(content.base64 ?? "", "base64");

/** Characters of a name that a pointer repeats. */
const pointerLength = 256;
const escaped = (name: string): string => name.replaceAll("~", "~0").replaceAll("/", "~1");

const pathFault = (path: string): string | null => {
  if (!path.startsWith("/")) return "must be an absolute path";
  if (Buffer.byteLength(path) > pathBytes) return `must not be longer than ${pathBytes} bytes`;
  return path.split("/").includes("..") ? 'must not have ".." in it' : null;
};

const contentFaults = (content: Content | undefined, pointer: string): InputFault[] =>
  typeof content === "object" && content.base64 === undefined ? [{ pointer: `${pointer}/base64`, detail: "is required" }] : [];

const faultsOf = ({ stdin, files = {}, collect = [] }: RunInput): InputFault[] => {
  const faults = contentFaults(stdin, "/stdin");
  for (const [path, content] of Object.entries(files)) {
    const pointer = `/files/${escaped(path).slice(0, pointerLength)}`;
    const detail = pathFault(path) ?? (path.endsWith("/") ? "must name a file" : null);
    faults.push(...(detail === null ? [] : [{ pointer, detail }]), ...contentFaults(content, pointer));
  }
  for (const [index, pattern] of collect.entries()) {
    const detail = pathFault(pattern);
    if (detail !== null) faults.push({ pointer: `/collect/${index}`, detail });
  }
  return faults;
};

/**
 * What is to be done for a run, every default filled in, checked for sense.
 * @param scope of the caller: what may be asked for depends on it
 * @throws DomainError `invalid-definition`, `unsupported`, `forbidden`; faults carry RFC 6901 pointers
 */
export const planOf = (input: RunInput, scope: Scope, policy: LimitPolicy): RunPlan => {
  const { root = "default", command, script, env = {}, cwd = "/", user = {}, labels = {}, seccomp = "default" } = input;
  const outputBytes = input.limits?.outputBytes ?? defaultOutputBytes;
  const timeoutSeconds = input.timeoutSeconds ?? defaultTimeoutSeconds;
  const limits = { ...input.limits, outputBytes };
  const words = { ...(command === undefined ? {} : { command }), ...(script === undefined ? {} : { script }) };
  const process: ProcessInput = {
    ...words,
    env,
    cwd,
    user,
    stdin: input.stdin !== undefined,
    timeoutSeconds,
    outputBytes: outputBytes + heldBeyondBytes,
  };
  const faults = faultsOf(input);
  if (faults.length > 0)
    throw new DomainError("invalid-definition", faults.map(({ pointer, detail }) => `${pointer} ${detail}`).join("; "), { faults });
  const whole = completeProcess(process, completeDefinition({ root, limits, seccomp }, "run", scope, policy));
  return {
    sandbox: { root, command: whole.command, env, cwd, user: whole.user, limits, labels, seccomp },
    process,
    user: whole.user,
    stdin: input.stdin === undefined ? null : bytesOf(input.stdin),
    files: Object.entries(input.files ?? {}).map(([path, content]) => ({
      path: Buffer.from(path),
      bytes: bytesOf(content),
      mode: Number.parseInt(typeof content === "string" ? "644" : (content.mode ?? "644"), 8),
    })),
    collect: input.collect ?? [],
    outputBytes,
  };
};

/** As `planOf`, for its refusals alone, whose faults point into a request where the run stands at `pointer` (RFC 6901). */
export const checkRun = (input: RunInput, scope: Scope, pointer: string, policy: LimitPolicy): void => {
  try {
    planOf(input, scope, policy);
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const faults = error.faults.map((fault) => ({ ...fault, pointer: `${pointer}${fault.pointer}` }));
    throw new DomainError(error.code, error.message, { faults, members: error.members, cause: error });
  }
};
