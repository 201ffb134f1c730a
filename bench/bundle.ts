import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeScratch, project } from "./scratch.ts";

const maskedPaths = ["acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats"]
  .map((name) => `/proc/${name}`)
  .concat("/sys/firmware", "/sys/devices/virtual/powercap");
const readonlyPaths = ["bus", "fs", "irq", "sys", "sysrq-trigger"].map((name) => `/proc/${name}`);
const noCapabilities = { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] };
const safe = ["nosuid", "nodev", "noexec"];
const mounts = [
  { destination: "/proc", type: "proc", source: "proc", options: safe },
  { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=65536k"] },
  { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
  { destination: "/dev/shm", type: "tmpfs", source: "shm", options: [...safe, "mode=1777", "size=65536k"] },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: [...safe, "ro"] },
];

/**
 * An OCI bundle with the same namespaces, masks, emptied capabilities and allow-list of system calls as the floor (OCI runtime
 * specification 1.0, config.md and config-linux.md). It has no overlay: the tree is mounted read-only, which is less work.
 */
export const makeBundle = async (name: string, tree: string, script: string): Promise<string> => {
  const bundle = await makeScratch("bundles", name);
  const names = (await readFile(join(project, "bench/floor-syscalls.h"), "utf8")).match(/(?<=")\w+(?=")/g) ?? [];
  const map = [{ containerID: 0, hostID: 2_500_000_000, size: 65_536 }];
  const config = {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ["/bin/bash", "-c", script],
      env: ["PATH=/usr/bin:/bin", "HOME=/"],
      cwd: "/",
      capabilities: noCapabilities,
      rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: tree, readonly: true },
    hostname: "bench",
    mounts,
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount", "user", "cgroup"].map((type) => ({ type })),
      uidMappings: map,
      gidMappings: map,
      resources: { pids: { limit: 512 } },
      seccomp: {
        defaultAction: "SCMP_ACT_ERRNO",
        architectures: [process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64"],
        syscalls: [{ names: [...names, "clone", "personality", "socket"], action: "SCMP_ACT_ALLOW" }],
      },
      maskedPaths,
      readonlyPaths,
    },
  };
  await writeFile(join(bundle, "config.json"), JSON.stringify(config));
  return bundle;
};
