/** /proc, /sys, /dev and cgroups. */
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Check } from "./check.ts";
import { masked, readOnly } from "./mount-list.ts";
import type { Outcomes, Stage } from "./stage.ts";
import { systemGolden } from "./system-golden.ts";

/** Docker's masks, and what else must not be read. What is below a mask is masked; what a kernel has not is absent. */
const unreadable = [
  ...masked,
  "/proc/sysrq-trigger",
  "/sys/kernel/debug",
  "/sys/kernel/tracing",
  "/sys/kernel/security",
  "/sys/kernel/config",
  "/sys/fs/bpf",
  "/sys/fs/fuse/connections",
  "/sys/fs/pstore",
  "/sys/fs/cgroup",
  "/proc/sys/kernel/core_pattern/x",
];
const closed = /^(absent|empty|EACCES|EPERM|ENOTDIR|EIO)$/;

/** Files below /proc and /sys that may be opened for writing: a process's own. What is masked is /dev/null, which takes anything. */
const golden = [
  "attr/apparmor/current",
  "attr/apparmor/exec",
  "attr/current",
  "attr/exec",
  "attr/fscreate",
  "attr/keycreate",
  "attr/sockcreate",
  "autogroup",
  "clear_refs",
  "comm",
  "coredump_filter",
  "gid_map",
  "loginuid",
  "make-it-fail",
  "mem",
  "oom_adj",
  "oom_score_adj",
  "projid_map",
  "sched",
  "setgroups",
  "timens_offsets",
  "timerslack_ns",
  "uid_map",
];

const deviceNames = ["fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"];

/** Mode, owner, number and inode of everything in the host's /dev but the loop devices, which others make and give back meanwhile. */
const hostDevices = (): string[] =>
  readdirSync("/dev")
    .filter((name) => !name.startsWith("loop"))
    .sort()
    .map((name) => {
      const { mode, uid, gid, rdev, ino } = lstatSync(join("/dev", name));
      return `${name} ${mode.toString(8)} ${uid}:${gid} ${rdev} ${ino}`;
    });

const expectDevices = (found: Outcomes, way: string): void => {
  const names = Object.keys(found).filter((name) => found[name] === "there");
  expect(names.sort(), way).toEqual(deviceNames);
  for (const [name, outcome] of Object.entries(found)) {
    const [what = ""] = name.split(" ");
    const expected = {
      mknod: /^EPERM$/,
      chmod: /^EROFS$/,
      chown: /^EROFS$/,
      utimes: /^EROFS$/,
      unlink: /^EROFS$/,
      rename: /^EXDEV$/,
      use: /^ok$/,
    }[what];
    if (expected) expect(`${way}: ${name}: ${outcome}`).toMatch(new RegExp(`: ${expected.source.slice(1)}`));
  }
};

/** A device node in the sandbox's files, as an upload or an image could bring one in: made by the host's root. */
const withPlantedNode = async (stage: Stage, use: () => Promise<void>): Promise<void> => {
  const node = join(stage.rootTree(), "planted");
  expect(spawnSync("mknod", ["-m", "666", node, "c", "1", "3"]).status).toBe(0);
  try {
    await use();
  } finally {
    rmSync(node);
  }
};

export const kernelViewsChecks: Check[] = [
  {
    number: 26,
    title: "what Docker masks and more is empty or absent; what it makes read-only is",
    red: ["no-masks"],
    async run(stage) {
      const paths = unreadable;
      await stage.everywhere(["proc", "read", ...paths], (found, way) => {
        for (const path of paths) expect(`${way}: ${path}: ${found[path]}`).toMatch(new RegExp(`: ${closed.source.slice(1)}`));
      });
      const mounts = readFileSync(`/proc/${stage.box.process.pid}/mountinfo`, "utf8").split("\n");
      for (const path of [...readOnly, "/sys", "/dev"].filter(existsSync))
        expect(mounts.find((line) => line.split(" ")[4] === path)?.split(" ")[5], path).toMatch(/^ro,/);
      return `${paths.length} paths`;
    },
  },
  {
    number: 27,
    title: "no file below /proc or /sys can be opened for writing but those of the process itself",
    red: ["no-masks", "caps-kept"],
    async run(stage) {
      let figure = "";
      await stage.everywhere(["proc", "write"], ({ tried = "0", ...found }, way) => {
        const own = /^\/proc\/(?:\d+|self|thread-self)(?:\/task\/\d+)?\/(.+)$/;
        const beyond = Object.keys(found).filter((path) => !masked.includes(path) && !golden.includes(own.exec(path)?.[1] ?? ""));
        expect(beyond, way).toEqual([]);
        const names = [...new Set(Object.keys(found).map((path) => own.exec(path)?.[1] ?? path))].sort();
        expect(names, way).toEqual(systemGolden("writable") ?? names);
        expect(Number(tried)).toBeGreaterThan(1_000);
        figure = `${Object.keys(found).length} of ${tried} files open`;
      });
      return figure;
    },
  },
  {
    number: 28,
    title: "/dev is a known list that works and cannot be changed; no device node is made, none that was brought in opens",
    red: ["devices-writable", "caps-kept+no-user"],
    async run(stage) {
      await withPlantedNode(stage, async () => {
        await stage.everywhere(["devices"], (found, way) => {
          expectDevices(found, way);
          expect([way, found["open the planted node"]]).toEqual([way, "EACCES"]);
        });
      });
    },
  },
  {
    number: 29,
    title: "the host's /dev has the modes, owners and inodes it had, also after an owner of it was inside",
    red: ["devices-writable"],
    async run(stage) {
      const before = hostDevices();
      for (const name of ["ids-of-its-own", "ids-of-the-host"]) {
        await stage.sandbox({ name, ...(name === "ids-of-the-host" ? { namespaces: { user: false } } : {}) });
        try {
          for (const tty of [false, true]) {
            const { body } = await stage.host.request("POST", `/v1/sandboxes/${name}/processes?wait=300`, {
              command: ["/probes/devices"],
              tty,
            });
            const found: string = body.output.stdout.data;
            for (const line of found.split(/\r?\n/).filter((each) => /^(chmod|chown|utimes) /.test(each)))
              expect(`${name} ${line}`).toMatch(/: EROFS$/);
          }
        } finally {
          await stage.host.request("DELETE", `/v1/sandboxes/${name}`);
        }
      }
      expect(hostDevices()).toEqual(before);
      return `${before.length} entries`;
    },
  },
  {
    number: 30,
    title: "PID 1 shows nothing: no link, no memory, no environment; its arguments name nothing of the host",
    red: ["dumpable"],
    async run(stage) {
      const { stateDir } = stage.host.daemon;
      for (const way of ["exec", "terminal"] as const) {
        const { cmdline = "", ...found } = await stage.probe(way, "proc", "one");
        for (const [name, outcome] of Object.entries(found)) expect(`${way}: ${name}: ${outcome}`).toMatch(/: (EACCES|EPERM)$/);
        expect(cmdline).toBe("unshared-init ");
      }
      expect(await stage.output("main", ["/bin/bash", "-c", "cat /proc/1/cmdline"])).not.toContain(stateDir);
      const told = await stage.output("exec", ["/bin/bash", "-c", "ls -l /proc/1/ /proc/1/fd/ 2>/dev/null; true"]);
      expect(told).not.toMatch(/(exe|root|cwd) ->/);
    },
  },
  {
    number: 31,
    title: "there is no cgroup file system inside, and none can be mounted",
    red: ["cgroup-writable"],
    async run(stage) {
      const mounts = readFileSync(`/proc/${stage.box.process.pid}/mountinfo`, "utf8");
      expect(mounts).not.toMatch(/ - cgroup2? /);
      await stage.everywhere(["filesystem", "mounts"], (found, way) => {
        for (const type of ["cgroup", "cgroup2"])
          expect([way, found[`mount ${type}`], found[`fsopen ${type}`]]).toEqual([way, "EPERM", "EPERM"]);
      });
      expect(await stage.output("exec", ["/bin/ls", "-A", "/sys/fs/cgroup"])).toBe("");
    },
  },
];
