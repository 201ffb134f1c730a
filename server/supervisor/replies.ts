import { constants } from "node:os";
import {
  type Exit,
  type Gone,
  type Instance,
  type LauncherFacts,
  type NamespaceInodes,
  type NamespaceType,
  namespaceTypes,
} from "../domain/ports.ts";
import { Fields } from "./fields.ts";
import { type Message, ProtocolError } from "./protocol.ts";

const signalNames = new Map<number, string>(Object.entries(constants.signals).map(([name, number]) => [number, name]));

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
  const fields = new Fields(message);
  const reason = fields.text("reason");
  if (reason !== "exited" && reason !== "signaled" && reason !== "out-of-memory")
    throw new ProtocolError(`an unknown reason of an exit: ${reason.slice(0, 40)}`);
  const exitedAt = fields.number("exited-at");
  return {
    reason,
    code: reason === "exited" ? fields.number("code") : null,
    signal: reason === "exited" ? null : signalName(fields.number("signal")),
    exitedAt,
    durationMs: Math.max(0, exitedAt - startedAt),
    userCpuSeconds: fields.number("user-us") / 1e6,
    systemCpuSeconds: fields.number("system-us") / 1e6,
    maxRssBytes: fields.number("max-rss-bytes"),
  };
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
