import { constants } from "node:os";
import {
  type Exit,
  type Gone,
  type Instance,
  type LauncherFacts,
  type NamespaceInodes,
  type NamespaceType,
  namespaceTypes,
} from "../domain/instance-ports.ts";
import type { Peer } from "../domain/ports.ts";
import { type ProcessExit, processReasons, type ReportedProcess } from "../domain/process.ts";
import { Fields } from "./fields.ts";
import { type Message, ProtocolError } from "./protocol.ts";

/** Where two names have one number, the first is the usual one: SIGABRT comes before SIGIOT, SIGIO before SIGPOLL (signal(7)). */
const signalNames = new Map<number, string>(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name]),
);

/** `SIGKILL` for 9; real-time signals, which have no name of their own, as `SIGRTMIN+n` (signal(7)). */
export const signalName = (number: number): string =>
  signalNames.get(number) ?? (number >= 34 ? `SIGRTMIN+${number - 34}` : `SIG${number}`);

const inodesOf = (fields: Fields): NamespaceInodes => {
  const inodes = {} as NamespaceInodes;
  // A kernel older than 5.6 has no time namespaces; 0 is no inode of any namespace.
  for (const type of namespaceTypes) inodes[type] = type === "time" ? fields.numberOr("ns-time", 0) : fields.number(`ns-${type}`);
  return inodes;
};

export const welcomeOf = (message: Message): LauncherFacts => {
  const fields = new Fields(message);
  return {
    pid: fields.number("pid"),
    startTicks: fields.number("start-ticks"),
    version: fields.text("version"),
    detached: fields.optional("detached") === "1",
    readyShells: fields.number("ready"),
    readyTarget: fields.number("ready-target"),
    supervisors: fields.number("supervisors"),
    cgroupLayout: fields.text("cgroup-layout"),
    cgroupParent: fields.text("cgroup-parent"),
    idBase: fields.number("uid-base"),
    hostInodes: inodesOf(fields),
    problems: fields.repeated("problem").map((text) => {
      const [layer = "", errno = "0", ...words] = text.split(" ");
      return { layer, errno: Number(errno), message: words.join(" ") };
    }),
  };
};

const isNamespaceType = (text: string): text is NamespaceType => (namespaceTypes as readonly string[]).includes(text);

const phaseOf = (text: string): { name: string; microseconds: number } => {
  const match = /^([a-z0-9-]{1,32})=(\d{1,15})$/.exec(text);
  if (match === null) throw new ProtocolError(`a phase that cannot be read: ${text.slice(0, 80)}`);
  return { name: match[1] as string, microseconds: Number(match[2]) };
};

/** The instance of a REPORT or LAUNCHED; the former does not name the supervisor, whose pid the caller then knows or not (0). */
export const instanceOf = (message: Message): Instance => {
  const fields = new Fields(message);
  return {
    slot: fields.number("slot"),
    supervisorPid: fields.numberOr("supervisor-pid", 0),
    supervisorStartTicks: fields.numberOr("supervisor-start-ticks", 0),
    pid: fields.number("pid"),
    pidInside: fields.number("pid-inside"),
    initPid: fields.number("init-pid"),
    startTicks: fields.number("start-ticks"),
    startedAt: fields.number("started-at"),
    uidBase: fields.number("uid-base"),
    uidSize: fields.number("uid-size"),
    cgroup: fields.text("cgroup"),
    inodes: inodesOf(fields),
    isolated: fields.repeated("isolated").filter(isNamespaceType),
    phases: fields.repeated("phase").map(phaseOf),
  };
};

export const exitOf = (message: Message, startedAt: number): Exit => {
  const { reason, ...exit } = processExitOf(message, startedAt);
  if (reason === "timed-out") throw new ProtocolError("a main process has no time limit");
  return { reason, ...exit };
};

export const processExitOf = (message: Message, startedAt: number): ProcessExit => {
  const fields = new Fields(message);
  return endOf(startedAt, fields.text("reason"), {
    code: fields.optional("code") === null ? null : fields.number("code"),
    signal: fields.optional("signal") === null ? null : fields.number("signal"),
    exitedAt: fields.number("exited-at"),
    userMicroseconds: fields.number("user-us"),
    systemMicroseconds: fields.number("system-us"),
    maxRssBytes: fields.number("max-rss-bytes"),
  });
};

interface End {
  code: number | null;
  signal: number | null;
  exitedAt: number;
  userMicroseconds: number;
  systemMicroseconds: number;
  maxRssBytes: number;
}

const endOf = (startedAt: number, text: string, end: End): ProcessExit => {
  const reason = processReasons.find((each) => each === text);
  if (reason === undefined) throw new ProtocolError(`an unknown reason of an exit: ${text.slice(0, 40)}`);
  if (end.code === null && end.signal === null) throw new ProtocolError("an exit with neither code nor signal");
  return {
    reason,
    // One that was out of time may still have ended by itself, just before it was killed.
    code: end.code,
    signal: end.signal === null ? null : signalName(end.signal),
    exitedAt: end.exitedAt,
    durationMs: Math.max(0, end.exitedAt - startedAt),
    userCpuSeconds: end.userMicroseconds / 1e6,
    systemCpuSeconds: end.systemMicroseconds / 1e6,
    maxRssBytes: end.maxRssBytes,
  };
};

const linePattern = /^([0-9a-z]{1,64}) (\d+) (\d+) (\d+) (\d+) [01] (?:running|ended ([a-z-]+) (\d+|-) (\d+|-) (\d+) (\d+) (\d+) (\d+))$/;

/** One `process` line of REPORT. @throws ProtocolError */
export const reportedProcessOf = (line: string): ReportedProcess => {
  const [, id = "", pid, pidInside, startTicks, startedAt, reason, code, signal, exitedAt, user, system, rss] =
    linePattern.exec(line) ?? [];
  if (id === "") throw new ProtocolError(`a process that cannot be read: ${line.slice(0, 80)}`);
  const started = { pid: Number(pid), pidInside: Number(pidInside), startTicks: Number(startTicks), startedAt: Number(startedAt) };
  if (reason === undefined) return { id, started, exit: null };
  const exit = endOf(started.startedAt, reason, {
    code: code === "-" ? null : Number(code),
    signal: signal === "-" ? null : Number(signal),
    exitedAt: Number(exitedAt),
    userMicroseconds: Number(user),
    systemMicroseconds: Number(system),
    maxRssBytes: Number(rss),
  });
  return { id, started, exit };
};

export const peerOf = (message: Message): Peer => {
  const fields = new Fields(message);
  return { uid: fields.number("uid"), gids: [fields.number("gid"), ...fields.repeated("group").map(Number)] };
};

export const goneOf = (message: Message): Gone => {
  const fields = new Fields(message);
  return {
    killed: fields.numberOr("killed", 0),
    cgroups: fields.numberOr("cgroups", 0),
    mounts: fields.numberOr("mounts", 0),
    milliseconds: fields.numberOr("milliseconds", 0),
    complete: fields.text("complete") === "1",
    remaining: fields.repeated("remaining"),
  };
};
