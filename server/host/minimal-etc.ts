import type { Why } from "../domain/root-ports.ts";
import type { TreePlan } from "./tree-plan.ts";

const why: Why[] = [{ kind: "generated", of: "every root" }];

const directories: [path: string, mode: number][] = [
  ["/proc", 0o555],
  ["/sys", 0o555],
  ["/dev", 0o755],
  ["/run", 0o755],
  ["/tmp", 0o1777],
  ["/var/tmp", 0o1777],
  ["/root", 0o700],
  ["/home", 0o755],
  ["/etc", 0o755],
];

/** The mount points and the few files of /etc that programs look for, in every root that does not bring its own. */
export function addMinimalFiles(plan: TreePlan): void {
  for (const [path, mode] of directories) plan.addDefault({ path, type: "directory", mode, why });
  const shell = ["/bin/bash", "/bin/sh"].find((path) => plan.entries.has(plan.canonical(path))) ?? "/bin/sh";
  const files: Record<string, string[]> = {
    "/etc/passwd": [`root:x:0:0:root:/root:${shell}`, "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin"],
    "/etc/group": ["root:x:0:", "tty:x:5:", "nogroup:x:65534:"],
    "/etc/hosts": ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"],
    "/etc/nsswitch.conf": ["passwd: files", "group: files", "shadow: files", "hosts: files", "services: files", "protocols: files"],
  };
  for (const [path, lines] of Object.entries(files)) {
    plan.addDefault({ path, type: "file", source: null, content: Buffer.from(`${lines.join("\n")}\n`), why });
  }
}
