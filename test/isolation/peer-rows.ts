/** What the same probes find out in other runtimes as in a sandbox: questions whose answer is a list of what is open. */
import { denials } from "./denials.ts";
import { masked } from "./mount-list.ts";
import { reviewed } from "./privileges.checks.ts";
import { type Outcomes, outcomesOf } from "./stage.ts";

export interface PeerRow {
  /** Of the check that asks the same of sandboxes. */
  number: number;
  what: string;
  /** Who starts it has a terminal. */
  terminal?: true;
  /** How many are open in a sandbox at most, where they are not holes; else none. */
  most?: number;
  /** Inside; it writes what it found to stdout. */
  command: readonly string[];
  /** What is open of that, by name; none where it is closed. */
  open(text: string): string[];
}

const refusals = ["EPERM", "EACCES", "ENOSYS"];
const named = (found: Outcomes, isOpen: (outcome: string, name: string) => boolean): string[] =>
  Object.entries(found)
    .filter(([name, outcome]) => isOpen(outcome, name))
    .map(([name]) => name);
/** Where all but a refusal is open: the call was let through, whatever became of it. */
const letThrough = (text: string): string[] => named(outcomesOf(text), (outcome) => !refusals.includes(outcome));
const succeeded = (text: string): string[] => named(outcomesOf(text), (outcome) => outcome === "ok");

const mountsOf = (text: string): { root: string; path: string; options: string; type: string }[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const fields = line.split(" ");
      return { root: fields[3] ?? "", path: fields[4] ?? "", options: fields[5] ?? "", type: fields[fields.indexOf("-") + 1] ?? "" };
    });

/** What a single device is bound from; over a file that is masked lies /dev/null. */
const device = /^\/(null|zero|full|random|urandom|tty)$/;

const status = (text: string): string[] => {
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(text)?.[1] ?? "";
  const count = (name: string) =>
    (
      BigInt(`0x${field(name)}`)
        .toString(2)
        .match(/1/g) ?? []
    ).length;
  return [
    ...["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"].filter((name) => count(name) > 0).map((name) => `${count(name)} in ${name}`),
    ...(field("NoNewPrivs") === "1" ? [] : ["no no_new_privs"]),
    ...(field("Seccomp") === "2" ? [] : ["no filter"]),
  ];
};

const unreadable = [
  ...["acpi", "asound", "config.gz", "interrupts", "kallsyms", "kcore", "keys", "kmsg", "kpagecount", "kpageflags"],
  ...["latency_stats", "sched_debug", "slabinfo", "sysrq-trigger", "timer_list", "vmallocinfo"],
].map((name) => `/proc/${name}`);
const unreadableInSys = [
  "firmware",
  "kernel/debug",
  "kernel/tracing",
  "kernel/security",
  "fs/bpf",
  "fs/pstore",
  "devices/virtual/powercap",
];

/** Which families of sockets may be had: unix, the internet, routes by netlink. */
const usualFamilies = ["family 1", "family 2", "family 10", "family 16", "pair 1"];
const usualDevices = [
  "fd",
  "full",
  "null",
  "ptmx",
  "pts",
  "random",
  "shm",
  "stderr",
  "stdin",
  "stdout",
  "tty",
  "urandom",
  "zero",
  "console",
  "core",
  "mqueue",
];

/** Of processes of a sandbox or of a peer itself; its PID 1 may be its own init. */
const ownNames = ["bash", "sleep", "cat", "init", "bwrap", "crun", "systemd-nspawn", "(sd-stubinit)"];
const listing = 'for of in /proc/[0-9]*; do read -r _ name < $of/status && echo "${of#/proc/}: $name"; done';

export const peerRows: PeerRow[] = [
  {
    number: 2,
    what: "mounts without nosuid, or without nodev but for devices",
    command: ["/bin/cat", "/proc/self/mountinfo"],
    open: (text) =>
      mountsOf(text)
        .filter(
          ({ root, options, type }) =>
            !options.includes("nosuid") || (!options.includes("nodev") && type !== "devpts" && !device.test(root)),
        )
        .map(({ path }) => path),
  },
  {
    number: 3,
    what: "chroot, and what lies above the root",
    command: ["/probes/filesystem", "chroot"],
    open: (text) => named(outcomesOf(text), (outcome, name) => (name === "chroot" && outcome === "ok") || outcome === "elsewhere"),
  },
  {
    number: 4,
    what: "files opened by handle",
    command: ["/probes/filesystem", "handles"],
    open: (text) => letThrough(text).filter((name) => name.startsWith("open_by")),
  },
  {
    number: 5,
    what: "mounts changed or made",
    command: ["/probes/filesystem", "mounts", "/proc", "/sys", "/dev", "/proc/sys"],
    open: succeeded,
  },
  { number: 13, what: "new namespaces", command: ["/probes/namespaces"], open: succeeded },
  {
    number: 14,
    what: "processes in view that are not its own",
    command: ["/bin/bash", "-c", listing],
    open: (text) => named(outcomesOf(text), (name) => !ownNames.includes(name)),
  },
  { number: 16, what: "calls on keys", command: ["/probes/ipc", "keys"], open: letThrough },
  {
    number: 18,
    what: "of 512 calls those that are let through",
    most: reviewed().filter((decision) => decision === "allow").length,
    command: ["/probes/sweep", "x86-64"],
    open: letThrough,
  },
  { number: 19, what: "capabilities, no_new_privs, filter", command: ["/bin/cat", "/proc/self/status"], open: status },
  {
    number: 21,
    what: "calls of i386 that are known",
    command: ["/probes/sweep", "i386"],
    open: (text) => named(outcomesOf(text), (outcome) => !refusals.includes(outcome)),
  },
  {
    number: 22,
    what: "sockets beyond unix, internet and routes",
    command: ["/probes/sockets"],
    open: (text) => succeeded(text).filter((name) => !usualFamilies.includes(name)),
  },
  {
    number: 23,
    what: "named denials that are let through",
    command: ["/probes/calls", ...denials.map(({ number }) => `${number}`)],
    open: (text) => letThrough(text).map((number) => denials.find((denial) => `${denial.number}` === number)?.name ?? number),
  },
  {
    number: 24,
    what: "ways to type into a terminal",
    terminal: true,
    command: ["/probes/terminal"],
    open: (text) =>
      succeeded(text)
        .map((name) => name.replace(/^x/, "")) // what it typed
        .filter((name) => name.startsWith("TIOCSTI")),
  },
  {
    number: 26,
    what: "files of the kernel that can be read",
    command: ["/probes/proc", "read", ...unreadable, ...unreadableInSys.map((name) => `/sys/${name}`)],
    open: (text) => named(outcomesOf(text), (outcome) => / (bytes|entries)$/.test(outcome)),
  },
  {
    number: 27,
    what: "files of /proc and /sys that open for writing",
    command: ["/probes/proc", "write"],
    open: (text) =>
      named(outcomesOf(text), (outcome, name) => outcome === "writable" && !/^\/proc\/(\d+|self|thread-self)\//.test(name)).filter(
        (path) => !masked.includes(path), // where a mask is /dev/null, which takes anything
      ),
  },
  {
    number: 28,
    what: "device nodes made; unusual devices",
    command: ["/probes/devices", "look"],
    open: (text) => {
      const found = outcomesOf(text);
      return [
        ...named(found, (outcome, name) => outcome === "ok" && name.startsWith("mknod ")),
        ...named(found, (outcome, name) => outcome === "there" && !usualDevices.includes(name)),
      ];
    },
  },
  {
    number: 30,
    what: "links, memory and environment of PID 1",
    command: ["/probes/proc", "one"],
    open: (text) => succeeded(text),
  },
  {
    number: 31,
    what: "cgroup file systems in view",
    command: ["/bin/cat", "/proc/self/mountinfo"],
    open: (text) =>
      mountsOf(text)
        .filter(({ type }) => type.startsWith("cgroup"))
        .map(({ path, options }) => `${path}${options.startsWith("ro") ? " (read-only)" : ""}`),
  },
  {
    number: 32,
    what: "descriptors beyond stdio",
    command: ["/probes/descriptors"],
    open: (text) => Object.keys(outcomesOf(text)).filter((name) => !["0", "1", "2"].includes(name)),
  },
  {
    number: 47,
    what: "interfaces and routes beyond lo",
    command: ["/probes/network", "1", "/none", "8.8.8.8", "169.254.169.254", "10.0.0.1"],
    open: (text) => {
      const found = outcomesOf(text);
      return [
        ...named(found, (_, name) => name.startsWith("interface ") && name !== "interface lo"),
        ...named(found, (outcome, name) => name.startsWith("route to") && !["ENETUNREACH", "EADDRNOTAVAIL"].includes(outcome)),
      ];
    },
  },
  { number: 49, what: "addresses, links, routes, ARP, marks, raw sockets made", command: ["/probes/forging", "1"], open: succeeded },
];
