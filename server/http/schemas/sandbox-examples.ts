import { type NamespaceType, namespaceTypes } from "../../domain/instance-ports.ts";

const hostInodes: Record<NamespaceType, number> = {
  mnt: 4026531841,
  uts: 4026531838,
  ipc: 4026531839,
  net: 4026531840,
  pid: 4026531836,
  user: 4026531837,
  cgroup: 4026531835,
  time: 4026531834,
};

const namespaces = Object.fromEntries(
  namespaceTypes.map((type, index) => {
    const isolated = type !== "time";
    const hostInode = hostInodes[type];
    return [type, { inode: isolated ? 4026532248 + index : hostInode, hostInode, isolated, path: `/proc/4242/ns/${type}` }];
  }),
);

/** A running sandbox as the contract's page shows it. */
export const exampleReport = {
  id: "01jd9f2v7k3m5n8p0q2r4s6t8v",
  name: "web-1",
  owner: null,
  generation: 1,
  root: { id: "01jd9f2v7a1b2c3d4e5f6g7h8j", name: "default" },
  labels: { team: "x" },
  definition: {
    name: "web-1",
    root: "default",
    command: ["/bin/bash"],
    env: {},
    cwd: "/",
    user: { uid: 0, gid: 0 },
    hostname: "web-1",
    tty: false,
    namespaces: { mount: true, uts: true, ipc: true, net: true, pid: true, user: true, cgroup: true, time: false },
    limits: { memoryBytes: null, cpus: null, cpuWeight: 100, pids: 512, diskBytes: null, openFiles: 1024, outputBytes: 1048576 },
    capabilities: [],
    seccomp: "default",
    init: true,
    network: { mode: "none" },
    restart: { policy: "never", maxRetries: 3 },
    autostart: false,
    lifetime: { ttlSeconds: null, idleSeconds: null, onExpiry: "delete" },
    labels: { team: "x" },
  },
  status: { state: "running", reason: null, message: null, since: "2026-11-24T10:00:00.000Z" },
  process: { pid: 4242, pidInside: 2, startTicks: 123456, startedAt: "2026-11-24T10:00:00.000Z" },
  supervisor: { pid: 4240 },
  bootId: "6bb4fdeb-21a5-48fe-9c72-a20279b47c0b",
  ids: { hostUidBase: 1000000000, size: 65536 },
  namespaces,
  enter: "nsenter --target 4242 --all --root --wd",
  exit: null,
  lifetime: { expiresAt: null, idleExpiresAt: null },
  restart: { policy: "never", count: 0, nextAt: null },
  phases: [{ name: "clone", microseconds: 740 }],
  warnings: [],
  createdAt: "2026-11-24T10:00:00.000Z",
  startedAt: "2026-11-24T10:00:00.000Z",
};

/** What a delete of it answers. */
export const exampleReceipt = {
  id: exampleReport.id,
  name: exampleReport.name,
  reason: "deleted",
  processes: 2,
  mounts: 14,
  cgroups: 1,
  namespaces: Object.fromEntries(Object.entries(namespaces).flatMap(([type, { inode, isolated }]) => (isolated ? [[type, inode]] : []))),
  files: 3,
  bytes: 4096,
  durationMs: 4,
  complete: true,
  remaining: [],
  at: "2026-11-24T10:05:00.000Z",
};
