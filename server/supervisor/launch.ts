import { constants } from "node:os";
import { DomainError } from "../domain/errors.ts";
import { exhaustedErrnos } from "../domain/host-failures.ts";
import type { LaunchOrder, LiveLimits } from "../domain/instance-ports.ts";
import { type Seccomp, seccompChanges } from "../domain/seccomp.ts";
import type { RefusedError } from "./connection.ts";
import type { Field } from "./protocol.ts";

export const bit = (value: boolean): string => (value ? "1" : "0");

/** The fields of LIMIT, which LAUNCH has too. */
export const limitFields = (limits: LiveLimits): Field[] => [
  ["memory-bytes", String(limits.memoryBytes)],
  ["cpu-quota-us", String(limits.cpuQuotaMicroseconds)],
  ["cpu-weight", String(limits.cpuWeight)],
  ["pids", String(limits.pids)],
  ["open-files", String(limits.openFiles)],
  ...(limits.diskBytes > 0 ? [["disk-bytes", String(limits.diskBytes)] as Field] : []),
];

const seccompFields = (seccomp: Seccomp): Field[] => {
  const { profile, allow, deny } = seccompChanges(seccomp);
  return [
    ["seccomp", profile],
    ...allow.map((name): Field => ["seccomp-allow", name]),
    ...deny.map((name): Field => ["seccomp-deny", name]),
  ];
};

/** The fields of LAUNCH. */
export const launchFields = (order: LaunchOrder): Field[] => {
  const fields: Field[] = [["id", order.id]];
  if (order.rootId !== null) fields.push(["root", order.rootId]);
  for (const type of order.isolate) fields.push(["isolate", type]);
  for (const argument of order.command) fields.push(["arg", argument]);
  for (const variable of order.env) fields.push(["env", variable]);
  fields.push(["cwd", order.cwd], ["uid", String(order.uid)], ["gid", String(order.gid)]);
  if (order.hostname !== null) fields.push(["hostname", order.hostname]);
  if (order.hold === true) fields.push(["hold", "1"]);
  if (order.image === true) fields.push(["disk", "1"]);
  fields.push(
    ["init", bit(order.init)],
    ["tty", bit(order.tty)],
    ["capabilities", order.capabilityMask.toString()],
    ...seccompFields(order.seccomp),
    ...limitFields(order),
    ["output-bytes", String(order.outputBytes)],
  );
  return fields;
};

/** errno(3) of the failures that the definition can be at fault for; others are told by their message. */
const guestCodes: Readonly<
  Record<string, { code: "command-not-found" | "command-not-executable" | "working-directory-invalid" | "root-unusable"; pointer: string }>
> = {
  "command 2": { code: "command-not-found", pointer: "/command/0" },
  "command 20": { code: "command-not-found", pointer: "/command/0" },
  proc: { code: "root-unusable", pointer: "/root" },
  sys: { code: "root-unusable", pointer: "/root" },
  dev: { code: "root-unusable", pointer: "/root" },
  cwd: { code: "working-directory-invalid", pointer: "/cwd" },
  command: { code: "command-not-executable", pointer: "/command/0" },
};

/** What an ERROR to LAUNCH means in the domain's words. */
export const launchFailure = (error: RefusedError): DomainError => {
  if (error.code === "exists") return new DomainError("state-conflict", "a supervisor for this sandbox is alive already", { cause: error });
  if (error.code !== "launch-failed")
    return new DomainError("launch-failed", `the launcher refused the launch (${error.code}): ${error.message}`, { cause: error });
  const layer = error.fields.optional("layer") ?? "supervisor";
  const errno = error.fields.numberOr("errno", 0);
  const phases = error.fields.repeated("phase");
  const members = { layer, errno, ...(phases.length > 0 ? { phases } : {}) };
  if (error.fields.optional("guest") === "1") {
    const found = guestCodes[`${layer} ${errno}`] ?? guestCodes[layer];
    if (found !== undefined) {
      return new DomainError(found.code, error.message, {
        faults: [{ pointer: found.pointer, detail: error.message }],
        members,
        cause: error,
      });
    }
  }
  if (layer === "rlimits" && errno === constants.errno.EPERM) {
    const detail = `is more than this host allows (${error.message})`;
    const faults = [{ pointer: "/limits/openFiles", detail }];
    return new DomainError("invalid-definition", `/limits/openFiles ${detail}`, { faults, members, cause: error });
  }
  const code = exhaustedErrnos.has(errno) ? "host-exhausted" : "launch-failed";
  return new DomainError(code, `the layer "${layer}" could not be applied: ${error.message}`, { members, cause: error });
};
