import { readFileSync } from "node:fs";
import type { Definition } from "../../index.ts";
import { bytesOf, numberOf, pairsOf, secondsOf, userOf } from "./parsing.ts";

/** The options that say what a sandbox is. */
export interface DefinitionOptions {
  file?: string;
  name?: string;
  root?: string;
  env?: string[];
  label?: string[];
  share?: string[];
  cap?: string[];
  seccomp?: string;
  memory?: string;
  cpus?: string;
  pids?: string;
  disk?: string;
  hostname?: string;
  cwd?: string;
  user?: string;
  tty?: boolean;
  ttl?: string;
}

const sharable = ["mount", "uts", "ipc", "net", "pid", "user", "cgroup"];

const read = (path: string): Definition => JSON.parse(readFileSync(path === "-" ? 0 : path, "utf8")) as Definition;

/** What the options say; a file says the rest. */
export const definitionOf = (options: DefinitionOptions, command: readonly string[]): Definition => {
  const definition: Definition = options.file === undefined ? {} : read(options.file);
  const { name, root, hostname, cwd } = options;
  const given: Definition = { ...(name && { name }), ...(root && { root }), ...(hostname && { hostname }), ...(cwd && { cwd }) };
  if (command.length > 0) given.command = [...command];
  if (options.tty === true) given.tty = true;
  if (options.user !== undefined) given.user = userOf(options.user);
  if (options.env) given.env = { ...definition.env, ...pairsOf(options.env, "--env") };
  if (options.label) given.labels = { ...definition.labels, ...pairsOf(options.label, "--label") };
  if (options.cap) given.capabilities = options.cap as NonNullable<Definition["capabilities"]>;
  if (options.seccomp) given.seccomp = options.seccomp as NonNullable<Definition["seccomp"]>;
  if (options.share) given.namespaces = { ...definition.namespaces, ...sharedOf(options.share) };
  if (options.ttl !== undefined) given.lifetime = { ...definition.lifetime, ttlSeconds: secondsOf(options.ttl) };
  const limits = {
    ...(options.memory !== undefined && { memoryBytes: bytesOf(options.memory) }),
    ...(options.cpus !== undefined && { cpus: numberOf(options.cpus) }),
    ...(options.pids !== undefined && { pids: numberOf(options.pids) }),
    ...(options.disk !== undefined && { diskBytes: bytesOf(options.disk) }),
  };
  if (Object.keys(limits).length > 0) given.limits = { ...definition.limits, ...limits };
  return { ...definition, ...given };
};

/** The namespaces that are to be the host's own; what is not known the daemon refuses, by its name. */
const sharedOf = (types: readonly string[]): Record<string, boolean> =>
  Object.fromEntries(
    types.flatMap((each) => each.split(",")).map((type) => [type === "mnt" ? "mount" : type, !sharable.includes(type) && type !== "mnt"]),
  );
