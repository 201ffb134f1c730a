import type { Scope } from "./callers.ts";
import { type Definition, type DefinitionInput, namespaceSwitches } from "./definition.ts";
import { DomainError, type InputFault } from "./errors.ts";
import { initFaults, type LimitPolicy } from "./limits.ts";
import { checkNamespaces } from "./namespace-rules.ts";
import { checkSeccomp, completeSeccomp, seccompFaults } from "./seccomp.ts";

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Fields that the schema knows and this version cannot do: refused with their pointer, never ignored. */
const unsupported = (input: DefinitionInput): InputFault[] => {
  const faults: InputFault[] = [];
  const refuse = (pointer: string, detail: string) => faults.push({ pointer, detail });
  if (input.network?.mode !== undefined && (input.network.mode as string) !== "none")
    refuse("/network/mode", 'networks are not supported yet; only "none"');
  return faults;
};

/** @throws DomainError `unsupported` */
export const refuseUnsupported = (input: DefinitionInput): void => {
  const missing = unsupported(input);
  if (missing.length > 0)
    throw new DomainError("unsupported", missing.map(({ pointer, detail }) => `${pointer}: ${detail}`).join("; "), { faults: missing });
};

/** What is wrong with a command as a whole: of a sandbox, or one started in it. */
export const commandFaults = ({ command, env, cwd }: Pick<Definition, "command" | "env" | "cwd">): InputFault[] => {
  const faults: InputFault[] = [];
  if (!cwd.startsWith("/")) faults.push({ pointer: "/cwd", detail: "must be an absolute path" });
  if (command[0] === "") faults.push({ pointer: "/command/0", detail: "must not be empty" });
  const variables = Object.entries(env);
  if (variables.length > 1_000) faults.push({ pointer: "/env", detail: "must not have more than 1,000 variables" });
  let bytes = 0;
  for (const text of command) bytes += Buffer.byteLength(text) + 1;
  for (const [name, value] of variables) bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 2;
  // The protocol's bound on arguments and environment together, with room for the variables that are always added.
  if (bytes > 500_000)
    faults.push({ pointer: "/command", detail: `command and env hold ${bytes} bytes together, at most 500,000 can be passed` });
  return faults;
};

/** What becomes of a sandbox without a caller: what is not given is as before, or usual. */
export const fateOf = (
  { restart = {}, lifetime = {}, autostart }: DefinitionInput,
  before: Pick<Definition, "restart" | "lifetime" | "autostart">,
): Pick<Definition, "restart" | "lifetime" | "autostart"> => {
  const policy = restart.policy ?? before.restart.policy;
  // A service that is always to run is not given up; a job that fails is, after a few attempts.
  const usualRetries = policy === before.restart.policy ? before.restart.maxRetries : policy === "always" ? null : 3;
  const { maxRetries = usualRetries } = restart;
  return { restart: { policy, maxRetries }, lifetime: { ...before.lifetime, ...lifetime }, autostart: autostart ?? before.autostart };
};

const usualFate = {
  restart: { policy: "never", maxRetries: 3 },
  lifetime: { ttlSeconds: null, idleSeconds: null, onExpiry: "delete" },
  autostart: false,
} as const;

/** What is written outside of a mount namespace is the host's, and no disk of the sandbox's bounds it. */
const limitsOf = ({ limits }: DefinitionInput, hasMount: boolean, policy: LimitPolicy): Definition["limits"] => {
  const complete = policy.complete(limits);
  return hasMount ? complete : { ...complete, diskBytes: limits?.diskBytes ?? null };
};

/**
 * The whole definition: defaults filled in, checked for sense.
 * @param fallbackName the name where the caller gave none
 * @param scope of the caller: what may be asked for depends on it
 * @param policy the daemon's limits
 * @throws DomainError `unsupported`, `invalid-definition`, `namespace-combination`, `forbidden`; faults carry RFC 6901 pointers
 */
export const completeDefinition = (input: DefinitionInput, fallbackName: string, scope: Scope, policy: LimitPolicy): Definition => {
  refuseUnsupported(input);
  const name = input.name ?? fallbackName;
  const namespaces = { mount: true, uts: true, ipc: true, net: true, pid: true, user: true, cgroup: true, time: false };
  for (const key of namespaceSwitches) namespaces[key] = input.namespaces?.[key] ?? namespaces[key];
  const definition: Definition = {
    name,
    root: namespaces.mount ? (input.root ?? "default") : (input.root ?? null),
    command: input.command ?? ["/bin/bash"],
    env: input.env ?? {},
    cwd: input.cwd ?? "/",
    user: { uid: input.user?.uid ?? 0, gid: input.user?.gid ?? 0 },
    hostname: namespaces.uts ? (input.hostname ?? name) : (input.hostname ?? null),
    tty: input.tty ?? false,
    namespaces,
    limits: limitsOf(input, namespaces.mount, policy),
    capabilities: [...new Set(input.capabilities ?? [])],
    seccomp: completeSeccomp(input.seccomp),
    init: input.init ?? namespaces.pid,
    network: { mode: "none" },
    ...fateOf(input, usualFate),
    labels: input.labels ?? {},
  };
  const faults = [
    ...commandFaults(definition),
    ...policy.faults(definition.limits),
    ...initFaults(definition.limits, definition.init),
    ...seccompFaults(definition.seccomp),
  ];
  if (!namespaces.mount && definition.limits.diskBytes !== null)
    faults.push({ pointer: "/limits/diskBytes", detail: "needs a mount namespace of its own" });
  if (faults.length > 0)
    throw new DomainError("invalid-definition", faults.map(({ pointer, detail }) => `${pointer} ${detail}`).join("; "), { faults });
  checkNamespaces(definition, scope);
  checkSeccomp(definition.seccomp, scope);
  return definition;
};

/** The whole environment of a process, as NAME=VALUE: what its definition gives over what a shell expects to find. */
export const environmentOf = (definition: Pick<Definition, "env" | "user" | "tty">): string[] => {
  const base: Record<string, string> = { PATH: defaultPath, HOME: definition.user.uid === 0 ? "/root" : "/" };
  if (definition.tty) base["TERM"] = "xterm-256color";
  return Object.entries({ ...base, ...definition.env }).map(([name, value]) => `${name}=${value}`);
};
