/** Capabilities and seccomp. */
import { readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { isAlive, until } from "../fixtures/processes.ts";
import { statusOf, threadsOf } from "../supervisor/witness.ts";
import { type Check, Unsupported } from "./check.ts";
import { denials } from "./denials.ts";
import { decide, disassemble, type Filter, filterOf } from "./filter.ts";
import type { Outcomes } from "./stage.ts";
import { systemGolden } from "./system-golden.ts";

const none = "0000000000000000";
const confined = { CapInh: none, CapPrm: none, CapEff: none, CapBnd: none, CapAmb: none, NoNewPrivs: "1", Seccomp: "2", Groups: "" };

/** uretprobe and uprobe: the kernel asks no filter about them, and ends whoever calls them on his own (kernel/seccomp.c). */
const unfiltered = [335, 336];
/** Writes the host's disks, for seconds: not tried. */
const sync = 162;

/** The decisions by number: golden/syscalls.txt, and syscalls-strict.txt. */
export const reviewed = (list = "syscalls"): string[] =>
  readFileSync(join(import.meta.dirname, `golden/${list}.txt`), "utf8")
    .split("\n")
    .filter((line) => /^\d/.test(line))
    .map((line) => line.split(" ")[2] ?? "");

/** The file says what wrote the program: libseccomp, whose versions choose other instructions for the same decisions. */
const disassembled = (filter: Filter): string => {
  const list = readFileSync(join(import.meta.dirname, "golden/syscalls.txt"), "utf8").split("\n");
  const names = list
    .filter((line) => /^\d/.test(line))
    .map((line): [number, string] => [Number(line.split(" ")[0]), line.split(" ")[1] ?? ""]);
  return `# The filter of the profile default, as x86-64 kernels run it, made by libseccomp ${libraryVersion()}.\n${disassemble(filter, new Map(names))}`;
};
const disassembly = join(import.meta.dirname, "golden/filter.txt");
const libraryVersion = (): string => /\.so\.(.+)$/.exec(realpathSync("/usr/lib/x86_64-linux-gnu/libseccomp.so.2"))?.[1] ?? "";

/** Families that may be had; netlink for routes only. */
const families: Record<string, string> = { "1": "ok", "2": "ok", "10": "ok", "16": "ok" };

const expectedSockets = (name: string): string => {
  const [kind = "", which = ""] = name.split(" ");
  if (kind === "family") return families[which] ?? "EAFNOSUPPORT";
  if (kind === "pair") return which === "1" ? "ok" : "EAFNOSUPPORT";
  if (["netlink", "transport", "transport6"].includes(kind)) return "EPROTONOSUPPORT";
  if (kind === "raw") return "EPERM"; // by the kernel: there is no CAP_NET_RAW
  return kind === "ping" ? "EACCES" : "EAFNOSUPPORT"; // net.ipv4.ping_group_range is empty in a new network namespace (icmp(7))
};

export const privilegesChecks: Check[] = [
  {
    number: 18,
    title: "each call of 512 numbers by each interface is decided as the reviewed list says, and ends so; unknown ones are ENOSYS",
    red: ["no-seccomp"],
    async run(stage) {
      if (process.arch !== "x64") throw new Unsupported("the list is that of x86-64");
      const filter = filterOf(stage.box.process.pid);
      expect(filter.length).toBeGreaterThan(100);
      const found: Outcomes = {};
      for (const abi of ["x86-64", "x32"] as const) {
        const decided = Array.from({ length: 512 }, (_, number) => decide(filter, abi, number));
        expect(decided, abi).toEqual(abi === "x32" ? decided.map(() => "ENOSYS") : reviewed());
        const live = await stage.probe("exec", "sweep", abi);
        Object.assign(found, live);
        for (const [number, decision] of decided.entries())
          if (decision !== "allow" && ![sync, ...unfiltered].includes(number))
            expect(`${abi} ${number}: ${live[`${abi} ${number}`]}`).toBe(`${abi} ${number}: ${decision}`);
      }
      const absent = reviewed().flatMap((decision, number) =>
        decision === "allow" && found[`x86-64 ${number}`] === "ENOSYS" ? [`${number}`] : [],
      );
      expect(absent).toEqual(systemGolden("unknown-calls")?.map((line) => line.split(" ")[0]) ?? absent);
      const strict = await stage.sandbox({ name: "strict", seccomp: "strict" });
      const closed = filterOf(strict.process.pid);
      await stage.host.request("DELETE", "/v1/sandboxes/strict");
      for (const abi of ["x86-64", "x32"] as const) {
        const decided = Array.from({ length: 512 }, (_, number) => decide(closed, abi, number));
        expect(decided, `strict ${abi}`).toEqual(abi === "x32" ? decided.map(() => "ENOSYS") : reviewed("syscalls-strict"));
      }
      const allowed = (list: string[]) => list.filter((decision) => decision === "allow").length;
      return `${allowed(reviewed())} of 512 allowed, ${allowed(reviewed("syscalls-strict"))} by strict`;
    },
  },
  {
    number: 19,
    title: "no thread of any process has a capability in any set; no_new_privs and a filter are on all of them",
    red: ["caps-kept", "no-nnp", "no-seccomp"],
    async run(stage) {
      const main = await stage.sandbox({ name: "threads", command: ["/probes/threads"] });
      const started = [await stage.start(["/probes/threads"]), await stage.start(["/probes/threads"], { tty: true })];
      let threads = 0;
      try {
        await until(
          "all threads",
          () => [main.process.pid, ...started.map(({ pid }) => pid)].every((pid) => threadsOf(pid).length === 4),
          20_000,
        );
        const pids = [...stage.host.pidsInside(main), ...stage.host.pidsInside(stage.box)];
        // Twice init, three times the probe and its child, the main process of the box.
        expect(pids.length).toBeGreaterThanOrEqual(9);
        for (const pid of pids)
          for (const thread of threadsOf(pid)) {
            expect(statusOf(pid, thread), `${pid}/${thread}`).toMatchObject(confined);
            threads += 1;
          }
        expect(pids.every(isAlive)).toBe(true);
      } finally {
        await stage.host.request("DELETE", "/v1/sandboxes/threads");
        for (const { id } of started) await stage.host.request("DELETE", `/v1/sandboxes/box/processes/${id}`);
      }
      return `${threads} threads`;
    },
  },
  {
    number: 20,
    title: "the filter that the kernel has is the one in golden/filter.txt, for every process, however it was started",
    red: ["no-seccomp"],
    async run(stage) {
      const main = stage.box.process.pid;
      const started = [await stage.start(["/bin/sleep", "1000"]), await stage.start(["/bin/sleep", "1000"], { tty: true })];
      try {
        const filter = filterOf(main);
        expect(filter.length).toBeGreaterThan(100);
        for (const pid of [Number(statusOf(main)["PPid"]), ...started.map((each) => each.pid)]) expect(filterOf(pid)).toEqual(filter);
        if (process.arch !== "x64") throw new Unsupported("the file is of x86-64");
        const version = /libseccomp ([\d.]+)\.$/m.exec(readFileSync(disassembly, "utf8"))?.[1];
        if (version !== libraryVersion()) throw new Unsupported(`the file is of libseccomp ${version}, this is ${libraryVersion()}`);
        expect(disassembled(filter)).toBe(readFileSync(disassembly, "utf8"));
        return `${filter.length} instructions`;
      } finally {
        for (const { id } of started) await stage.host.request("DELETE", `/v1/sandboxes/box/processes/${id}`);
      }
    },
  },
  {
    number: 21,
    title: "int 0x80 is ENOSYS for every number: socketcall makes no vsock",
    red: ["no-seccomp"],
    async run(stage) {
      if (process.arch !== "x64") throw new Unsupported("int 0x80 is of x86-64");
      const live = await stage.probe("terminal", "sweep", "i386");
      expect(Object.keys(live)).toHaveLength(511);
      for (const [call, outcome] of Object.entries(live)) expect(`${call}: ${outcome}`).toBe(`${call}: ENOSYS`);
      return "511 calls";
    },
  },
  {
    number: 22,
    title: "socket() gives unix, internet and route netlink only: no vsock, AF_ALG, packet, XDP, bluetooth, TIPC, raw",
    red: ["no-seccomp", "caps-kept"],
    async run(stage) {
      let attempts = 0;
      await stage.everywhere(["sockets"], (outcomes, way) => {
        for (const [name, outcome] of Object.entries(outcomes)) {
          expect(`${way}: ${name}: ${outcome}`).toBe(`${way}: ${name}: ${expectedSockets(name)}`);
          attempts += 1;
        }
      });
      expect(attempts).toBe(3 * 169);
      return `${attempts / 3} kinds`;
    },
  },
  {
    number: 23,
    title: "each call of the table of named denials is refused",
    red: ["no-seccomp"],
    async run(stage) {
      const expected: Outcomes = Object.fromEntries(denials.map(({ number, outcome }) => [`${number}`, outcome]));
      await stage.everywhere(["calls", ...Object.keys(expected)], (found, way) => expect(found, way).toEqual(expected));
      return `${denials.length} calls`;
    },
  },
  {
    number: 24,
    title: "TIOCSTI and TIOCLINUX are refused, also with bits that the kernel ignores; there is no terminal but its own",
    red: ["no-seccomp", "no-session"],
    async run(stage) {
      await stage.everywhere(["terminal"], (found, way) => {
        const { session, group, "open /dev/tty": tty, ...attempts } = found;
        expect({ session, group, tty }, way).toEqual({ session: "own", group: "own", tty: way === "terminal" ? "ok" : "ENXIO" });
        for (const [name, outcome] of Object.entries(attempts)) expect(`${way}: ${name}: ${outcome}`).toBe(`${way}: ${name}: EPERM`);
        expect(Object.keys(attempts)).toHaveLength(15);
      });
      return "15 requests";
    },
  },
];
