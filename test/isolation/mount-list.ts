/** The mounts of a sandbox as they are to be: the golden list of check 2. */
import { existsSync, globSync, readFileSync, statSync } from "node:fs";

/** Paths that a mask covers, where this kernel has them: supervisor/mounts.c. */
export const masked = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/config.gz",
  "/proc/driver",
  "/proc/interrupts",
  "/proc/kallsyms",
  "/proc/kcore",
  "/proc/key-users",
  "/proc/keys",
  "/proc/kmsg",
  "/proc/kpagecgroup",
  "/proc/kpagecount",
  "/proc/kpageflags",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/slabinfo",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/vmallocinfo",
  ...globSync("/sys/devices/system/cpu/cpu*/thermal_throttle"),
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
  "/sys/kernel/notes",
  "/sys/kernel/slab",
  "/sys/kernel/vmcoreinfo",
];
export const readOnly = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/pressure", "/proc/sys", "/proc/sysrq-trigger"];
const devices = ["full", "null", "random", "tty", "urandom", "zero"];

/** "PATH TYPE ro|rw FLAGS" of each mount, by path; a file system of the host's devices is "host". */
export const mountsOf = (pid: number): string[] =>
  readFileSync(`/proc/${pid}/mountinfo`, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [left = "", right = ""] = line.split(" - ");
      const [, , , , path = "", options = "", ...tags] = left.split(" ");
      const flags = options.split(",");
      const kept = ["nosuid", "nodev", "noexec"].filter((flag) => flags.includes(flag));
      const type = path.startsWith("/dev/") && devices.includes(path.slice(5)) ? "host" : right.split(" ")[0];
      return [path, type, flags[0], ...kept, ...tags.filter((tag) => tag !== "")].join(" ");
    })
    .sort();

const isThere = (path: string): boolean => existsSync(path);

/** As `mountsOf` gives them. */
export const expectedMounts = (): string[] =>
  [
    "/ overlay rw nosuid nodev",
    "/dev tmpfs ro nosuid nodev noexec",
    "/dev/pts devpts rw nosuid noexec",
    "/dev/shm tmpfs rw nosuid nodev noexec",
    "/proc proc rw nosuid nodev noexec",
    "/sys sysfs ro nosuid nodev noexec",
    ...devices.map((name) => `/dev/${name} host ro nosuid noexec`),
    ...readOnly.filter(isThere).map((path) => `${path} proc ro nosuid nodev noexec`),
    ...masked
      .filter(isThere)
      .map((path) => (statSync(path).isDirectory() ? `${path} tmpfs ro nosuid nodev noexec` : `${path} ${deviceType()} ro nosuid noexec`)),
  ].sort();

const deviceType = (): string =>
  / - (\S+) /.exec(
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .findLast((line) => line.split(" ")[4] === "/dev") ?? "",
  )?.[1] ?? "tmpfs";
