import type { Definition } from "./definition.ts";
import { commandFaults } from "./definitions.ts";
import { DomainError, type InputFault } from "./errors.ts";
import { noTerminal } from "./namespace-rules.ts";
import type { ProcessDefinition, ProcessInput } from "./process.ts";

const shell = ["/bin/sh", "-c"];

const choiceFaults = ({ command, script }: ProcessInput): InputFault[] => {
  if (command !== undefined && script !== undefined) return [{ pointer: "/script", detail: "goes without command" }];
  return command === undefined && script === undefined ? [{ pointer: "/command", detail: "or script is required" }] : [];
};

/**
 * The whole definition of a process: defaults filled in from its sandbox's, checked for sense.
 * @throws DomainError `invalid-definition`; faults carry RFC 6901 pointers
 */
export const completeProcess = (input: ProcessInput, sandbox: Definition): ProcessDefinition => {
  const definition: ProcessDefinition = {
    command: input.script === undefined ? (input.command ?? []) : [...shell, input.script],
    env: input.env ?? {},
    cwd: input.cwd ?? "/",
    user: { uid: input.user?.uid ?? sandbox.user.uid, gid: input.user?.gid ?? sandbox.user.gid },
    tty: input.tty ?? false,
    // A terminal always takes input.
    stdin: input.tty === true || (input.stdin ?? false),
    timeoutSeconds: input.timeoutSeconds ?? null,
    outputBytes: input.outputBytes ?? sandbox.limits.outputBytes,
    labels: input.labels ?? {},
  };
  const faults = [...choiceFaults(input), ...commandFaults(definition)];
  if (definition.tty && !sandbox.namespaces.mount) faults.push({ pointer: "/tty", detail: noTerminal });
  if (faults.length > 0)
    throw new DomainError("invalid-definition", faults.map(({ pointer, detail }) => `${pointer} ${detail}`).join("; "), { faults });
  return definition;
};
