import { exampleReport } from "./sandbox-examples.ts";

/** What a daemon with one running sandbox tells about itself, as the contract's page shows it. */
export const exampleInfo = {
  version: "0.1.0",
  node: "24.21.0",
  sqlite: "3.54.1",
  kernel: "6.1.0-28-amd64",
  pid: 4200,
  bootId: exampleReport.bootId,
  startedAt: "2026-11-24T09:59:00.000Z",
  settings: { stateDir: "/var/lib/unshared", runDir: "/run/unshared", readyShells: 4 },
  host: {
    cpus: 4,
    loadAverage: [0.42, 0.31, 0.25],
    memory: { totalBytes: 8_589_934_592, availableBytes: 6_442_450_944 },
    pressure: {
      cpu: { some10: 1.5, some60: 0.8, totalSeconds: 12.5 },
      memory: { some10: 0, some60: 0, totalSeconds: 0 },
      io: { some10: 0.1, some60: 0.2, totalSeconds: 3.25 },
    },
  },
  launcher: {
    pid: 4205,
    startTicks: 123400,
    version: "0.1.0",
    detached: false,
    readyShells: 4,
    readyTarget: 4,
    supervisors: 1,
    cgroupLayout: "v2",
    cgroupParent: "unshared",
    idBase: 1000000000,
    hostInodes: { mnt: 4026531841, uts: 4026531838 },
    problems: [],
  },
  sandboxes: { running: 1 },
  recovery: {
    at: "2026-11-24T09:59:00.100Z",
    milliseconds: 12,
    adopted: [exampleReport.id],
    ended: [],
    lost: [],
    rebooted: [],
    orphansStopped: [],
    directoriesRemoved: [],
    problems: [],
  },
};

export const examplePreflight = {
  status: "degraded",
  checks: [
    { name: "idmapped-mounts", status: "ok", detail: "the kernel has them", cost: null, remedy: null },
    {
      name: "debootstrap",
      status: "degraded",
      detail: "not installed",
      cost: "roots of kind debootstrap are refused",
      remedy: "apt-get install debootstrap",
    },
  ],
};
