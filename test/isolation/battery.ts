import type { Check } from "./check.ts";
import { descriptorsChecks } from "./descriptors.checks.ts";
import { filesChecks } from "./files.checks.ts";
import { filesystemChecks } from "./filesystem.checks.ts";
import { kernelViewsChecks } from "./kernel-views.checks.ts";
import { loadChecks } from "./load.checks.ts";
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
  Load: loadChecks,
  Resources: resourcesChecks,
  Network: networkChecks,
  "File API": filesChecks,
};

export const allChecks: readonly Check[] = Object.values(battery).flat();
