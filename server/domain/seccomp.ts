import { DomainError, type InputFault } from "./errors.ts";
import { allowableCalls, deniableCalls } from "./system-calls.ts";

/** `strict`: for computation; no sockets but of AF_UNIX. docs/seccomp.md has both. */
export const seccompProfiles = ["default", "strict"] as const;
export type SeccompProfile = (typeof seccompProfiles)[number];

/** A profile and the system calls, by name, that are added to it and taken from it. */
export interface SeccompChanges {
  profile: SeccompProfile;
  allow: string[];
  deny: string[];
}
export type Seccomp = SeccompProfile | SeccompChanges;
export type SeccompInput = SeccompProfile | Partial<SeccompChanges>;

/** The most names of a list. */
export const mostSeccompChanges = 64;

export const seccompChanges = (seccomp: Seccomp): SeccompChanges =>
  typeof seccomp === "string" ? { profile: seccomp, allow: [], deny: [] } : seccomp;

/** Without changes it is the profile's name. */
export const completeSeccomp = (input: SeccompInput = "default"): Seccomp => {
  if (typeof input === "string") return input;
  const { profile = "default", allow = [], deny = [] } = input;
  if (allow.length === 0 && deny.length === 0) return profile;
  return { profile, allow: [...new Set(allow)], deny: [...new Set(deny)] };
};

/** Names that are no system calls of the table, or that may not be changed so. */
export const seccompFaults = (seccomp: Seccomp): InputFault[] => {
  const { allow, deny } = seccompChanges(seccomp);
  const faults: InputFault[] = [];
  for (const [index, name] of allow.entries())
    if (!allowableCalls.has(name))
      faults.push({ pointer: `/seccomp/allow/${index}`, detail: `${name} is never allowed, or no system call` });
  for (const [index, name] of deny.entries()) {
    if (!deniableCalls.has(name))
      faults.push({ pointer: `/seccomp/deny/${index}`, detail: `${name} is needed to start a command, or no system call` });
    else if (allow.includes(name)) faults.push({ pointer: `/seccomp/deny/${index}`, detail: `${name} is in allow too` });
  }
  return faults;
};

/** @throws DomainError `forbidden` for changes without the admin scope */
export const checkSeccomp = (seccomp: Seccomp, scope: string): void => {
  if (typeof seccomp === "string" || scope === "admin") return;
  throw new DomainError("forbidden", "changes of a seccomp profile need the admin scope", {
    faults: [{ pointer: "/seccomp", detail: "needs the admin scope" }],
  });
};
