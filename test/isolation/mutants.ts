/** The layers that the build for tests can do without: supervisor/mutants.h. */
export const switches = [
  "no-seccomp",
  "no-nnp",
  "caps-kept",
  "no-user",
  "no-pid",
  "no-net",
  "no-ipc",
  "no-uts",
  "no-cgroup-namespace",
  "no-session",
  "no-keyring",
  "fds-kept",
  "no-masks",
  "devices-writable",
  "no-pivot",
  "suid-mounts",
  "follow-links",
  "cgroup-writable",
  "dumpable",
  "not-sealed",
  "root-owner",
  "no-limits",
  "ptys-unlimited",
  "no-disk",
  "removal-follows",
  "stdio-sockets",
  "files-host-side",
  "agents-load",
  "enter-executes",
  "no-overlay", // the last, as it leaves the root changed for whoever comes after it
] as const;
export type Mutant = (typeof switches)[number];
/** Those that a check finds when they alone are gone. Keyrings lie behind the filter, which lets no call on keys through. */
export const mutants = switches.filter((name) => name !== "no-keyring");
/** One, or several at once, as "no-nnp+suid-mounts". Never `no-user` with `no-pid`: probes signal all that they may. */
export type Mutants = Mutant | `${Mutant}+${string}`;
