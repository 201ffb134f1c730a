import type { Check } from "./check.ts";
import { descriptorsChecks } from "./descriptors.checks.ts";
import { filesystemChecks } from "./filesystem.checks.ts";
import { kernelViewsChecks } from "./kernel-views.checks.ts";
import { namespacesChecks } from "./namespaces.checks.ts";
import { networkChecks } from "./network.checks.ts";
import { privilegesChecks } from "./privileges.checks.ts";
import { resourcesChecks } from "./resources.checks.ts";

/** All checks there are, by section. */
export const battery: Record<string, readonly Check[]> = {
  Filesystem: filesystemChecks,
  Namespaces: namespacesChecks,
  "Capabilities and seccomp": privilegesChecks,
  "/proc, /sys, /dev": kernelViewsChecks,
  "Descriptors and terminals": descriptorsChecks,
  Resources: resourcesChecks,
  Network: networkChecks,
};

export const allChecks: readonly Check[] = Object.values(battery).flat();

/** Checks of the battery that other test files make: number, what of it, file, and a part of the test's name there. */
export const elsewhere: readonly [number: number, what: string, file: string, name: string][] = [
  [
    25,
    "a layer that cannot be applied refuses the launch",
    "test/supervisor/launch-failures.test.ts",
    "the layer is named, and nothing is left",
  ],
  [25, "a host that lacks a layer refuses all launches", "test/system/preflight.test.ts", "says so, and refuses launches for that reason"],
  [39, "a full disk of a sandbox is its own", "test/system/disk.test.ts", "can write that much and no more; nobody else notices"],
  [
    42,
    "a flood of output is bounded",
    "test/supervisor/output.test.ts",
    "keeps the last bytes of a burst that is larger than all that is kept",
  ],
  [42, "a reader that never reads takes no memory", "test/supervisor/output.test.ts", "takes little memory, and holds nobody up"],
  [44, "10,000 orphans, zombies", "test/system/storms.test.ts", "zombies that nobody reaps, without an init, end with the sandbox"],
  [44, "double forks, ignored signals", "test/supervisor/endings.test.ts", "double forks and ignored signals too"],
  [51, "archives that lead out", "test/system/archive.test.ts", "is refused, and nothing of it is left"],
  [52, "a file exchanged with a link while it is read", "test/system/files.test.ts", "while it is read never gives a byte of the host"],
  [54, "archives that swell", "test/system/archive.test.ts", "by its compression is refused, gzip and zstd"],
  [56, "set-user-id is never set by an upload", "test/system/files.test.ts", "never has set-user-id, whatever is asked"],
];

/** What of sections 1 to 8 of the battery nothing checks yet, and why. */
export const missing: readonly [number: number, why: string][] = [
  [40, "a million inodes take longer than a test may; disk images bound them by their size"],
  [43, "a share of the CPU is a matter of timing; the weights are read back in test/system/limits.test.ts"],
  [46, "stress-ng and trinity are not installed"],
  [49, "there is no network but none"],
  [50, "there is no network but none"],
];
