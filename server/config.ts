import { isIP } from "node:net";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { ConfigError } from "./config-error.ts";
import { limitBounds, limitNames, type SomeLimits } from "./domain/limits.ts";
import { peerRules, type WrittenPeerRule } from "./peer-rules.ts";

/** Where TCP is listened to. `host` is a literal address or `localhost`. */
export interface ListenAddress {
  host: string;
  port: number;
}

/** Everything that can be set, read once at start. Paths are absolute. */
export interface Config {
  readonly stateDir: string;
  readonly runDir: string;
  readonly socket: string;
  /** Empty: whoever can connect to the socket is an administrator. */
  readonly peerScopes: readonly WrittenPeerRule[];
  readonly listen: ListenAddress | null;
  readonly insecureListen: boolean;
  /** Null: TCP is in clear. */
  readonly tls: { cert: string; key: string; clientCa: string | null } | null;
  readonly tokenFile: string;
  readonly clientSeconds: number;
  readonly cgroupParent: string;
  readonly idBase: number;
  readonly readyShells: number;
  readonly defaultLimits: SomeLimits;
  readonly maxLimits: SomeLimits;
  readonly archiveBytes: number;
  readonly runConcurrency: number;
  readonly runQueue: number;
  readonly defaultRoot: boolean;
  readonly supervisor: string;
  readonly logLevel: string;
  readonly logFormat: "auto" | "json" | "pretty";
}

export type ConfigRequest = { kind: "run"; config: Config } | { kind: "help" } | { kind: "version" };

interface Setting {
  flag: string;
  value: string;
  fallback: string;
  text: string;
}

const project = resolve(import.meta.dirname, "..");

const settings: readonly Setting[] = [
  { flag: "state-dir", value: "DIR", fallback: "/var/lib/unshared", text: "stored state: database, roots, sandboxes' files" },
  { flag: "run-dir", value: "DIR", fallback: "/run/unshared", text: "run-time state: sockets" },
  { flag: "socket", value: "PATH", fallback: "", text: "unix socket of the API (default RUN_DIR/unshared.sock)" },
  {
    flag: "peer-scope",
    value: "LIST",
    fallback: "",
    text: "what users of the socket may do, as in uid:ann=admin,gid:ci=run:sandboxes=5,uid:990=read:all",
  },
  { flag: "listen", value: "HOST:PORT", fallback: "127.0.0.1:7070", text: "TCP address of the API, or none" },
  { flag: "tls-cert", value: "FILE", fallback: "", text: "certificate chain of TCP in PEM, read again on SIGHUP" },
  { flag: "tls-key", value: "FILE", fallback: "", text: "its key, which only root and a group can read" },
  { flag: "tls-client-ca", value: "FILE", fallback: "", text: "authority that certificates of clients must be from" },
  { flag: "token-file", value: "PATH", fallback: "", text: "bearer token of TCP (default STATE_DIR/admin.token, made at first start)" },
  { flag: "client-seconds", value: "N", fallback: "60", text: "how long a client may take to send a request, or not read its answer" },
  { flag: "cgroup-parent", value: "NAME", fallback: "unshared", text: "cgroup below which all sandboxes live" },
  { flag: "id-base", value: "N", fallback: "1000000000", text: "first host uid and gid of the sandboxes' ranges" },
  { flag: "ready-shells", value: "N", fallback: "4", text: "prepared shells kept waiting, 0 to 64" },
  {
    flag: "default-limits",
    value: "LIST",
    fallback: "",
    text: "limits where a definition has none, as in pids=256,memoryBytes=1073741824",
  },
  { flag: "max-limits", value: "LIST", fallback: "", text: "limits that no sandbox may pass, in the same form" },
  { flag: "archive-bytes", value: "N", fallback: "10737418240", text: "the most bytes that an uploaded archive may unpack to" },
  { flag: "run-concurrency", value: "N", fallback: String(2 * availableParallelism()), text: "runs under way at once, 1 to 1024" },
  { flag: "run-queue", value: "N", fallback: "1000", text: "runs that may wait for their turn, 0 to 100000" },
  { flag: "default-root", value: "on|off", fallback: "on", text: "provision the root named default at first start" },
  { flag: "supervisor", value: "PATH", fallback: join(project, "build/unshared-supervisor"), text: "the native program" },
  { flag: "log-level", value: "LEVEL", fallback: "info", text: "trace, debug, info, warn, error, fatal or silent" },
  { flag: "log-format", value: "FORMAT", fallback: "auto", text: "json, pretty, or auto: pretty on a terminal" },
];

const variable = (flag: string) => `UNSHARED_${flag.toUpperCase().replaceAll("-", "_")}`;

/** The text of `--help`: each flag, the environment variable that stands in for it, and its default. */
export const helpText = (): string => {
  const lines = settings.map(({ flag, value, fallback, text }) => {
    const shown = fallback === "" || fallback.startsWith(project) ? "" : ` (${fallback})`;
    return `  ${`--${flag} ${value}`.padEnd(26)}${text}${shown}\n${" ".repeat(28)}env ${variable(flag)}`;
  });
  return [
    "Usage: unshared [flags]",
    "",
    "A REST daemon that manages Linux sandboxes. A flag wins over its environment variable.",
    "",
    ...lines,
    `  ${"--insecure-listen".padEnd(26)}allow --listen on an address that is not loopback`,
    `  ${"--help, --version".padEnd(26)}print and exit`,
    "",
  ].join("\n");
};

/** The launcher lends 4,096 ranges of 65,536 ids, the last of which still has to lie below 2^32 (supervisor/host.h). */
const highestIdBase = 2 ** 32 - 1 - 4096 * 65536;

const wholeNumber = (flag: string, text: string, low: number, high: number): number => {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= low && number <= high)) throw new ConfigError(`--${flag} takes a whole number from ${low} to ${high}, not "${text}"`);
  return number;
};

const limitList = (flag: string, text: string): SomeLimits => {
  const limits: SomeLimits = {};
  for (const part of text.split(",").filter((each) => each !== "")) {
    const [key = "", value = ""] = part.split("=", 2);
    const name = limitNames.find((each) => each === key);
    if (name === undefined) throw new ConfigError(`--${flag} takes NAME=NUMBER of ${limitNames.join(", ")}; not "${part}"`);
    const [low, high] = limitBounds[name];
    const number = (name === "cpus" ? /^\d{1,4}(\.\d{1,6})?$/ : /^\d{1,16}$/).test(value) ? Number(value) : Number.NaN;
    if (!(number >= low && number <= high))
      throw new ConfigError(`--${flag}: ${name} takes a number from ${low} to ${high}, not "${value}"`);
    limits[name] = number;
  }
  return Object.freeze(limits);
};

/** No default may pass what is the most. */
const checkLimits = (defaults: SomeLimits, most: SomeLimits): void => {
  for (const name of limitNames)
    if ((defaults[name] ?? 0) > (most[name] ?? Number.POSITIVE_INFINITY))
      throw new ConfigError(`--default-limits: ${name} is more than --max-limits allows`);
};

const oneOf = <T extends string>(flag: string, text: string, allowed: readonly T[]): T => {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw new ConfigError(`--${flag} takes one of ${allowed.join(", ")}, not "${text}"`);
  return found;
};

export const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);

const listenAddress = (text: string, isSafe: boolean): ListenAddress | null => {
  if (text === "none") return null;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "";
  if (match === null || (host !== "localhost" && isIP(host) === 0)) {
    throw new ConfigError(`--listen takes ADDRESS:PORT such as 127.0.0.1:7070 or [::1]:7070, or none; not "${text}"`);
  }
  if (!isLoopback(host) && !isSafe) {
    throw new ConfigError(
      `--listen ${text} is not a loopback address: requests would cross the network in clear; give --tls-cert and --tls-key, or add --insecure-listen to do it all the same`,
    );
  }
  return { host, port: wholeNumber("listen", match[3] ?? "", 0, 65535) };
};

const tlsPaths = (cert: string, key: string, clientCa: string): Config["tls"] => {
  if (cert === "" && key === "" && clientCa === "") return null;
  if (cert === "" || key === "") throw new ConfigError(`--tls-${cert === "" ? "cert" : "key"} is needed with the other --tls flags`);
  return Object.freeze({ cert: resolve(cert), key: resolve(key), clientCa: clientCa === "" ? null : resolve(clientCa) });
};

/**
 * Reads flags and environment into one frozen object.
 * @throws ConfigError for an unknown flag or a value that cannot be used.
 */
export const readConfig = (argv: readonly string[], env: Readonly<Record<string, string | undefined>>): ConfigRequest => {
  const options: Record<string, { type: "string" | "boolean" }> = {
    help: { type: "boolean" },
    version: { type: "boolean" },
    "insecure-listen": { type: "boolean" },
  };
  for (const { flag } of settings) options[flag] = { type: "string" };
  let flags: Record<string, string | boolean | undefined>;
  try {
    flags = parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values as typeof flags;
  } catch (error) {
    throw new ConfigError((error as Error).message);
  }
  if (flags["help"] === true) return { kind: "help" };
  if (flags["version"] === true) return { kind: "version" };

  const get = (flag: string): string => {
    const given = flags[flag] ?? env[variable(flag)];
    if (given === undefined || given === "") return settings.find((setting) => setting.flag === flag)?.fallback ?? "";
    if (String(given).includes("\0")) throw new ConfigError(`--${flag} holds a NUL byte`);
    return String(given);
  };
  const stateDir = resolve(get("state-dir"));
  const runDir = resolve(get("run-dir"));
  const socket = resolve(get("socket") || join(runDir, "unshared.sock"));
  // sun_path holds 108 bytes with its final NUL (unix(7)); sandbox sockets add "/sandboxes/", 26 of id and ".sock".
  if (Buffer.byteLength(socket) > 107)
    throw new ConfigError(`--socket is longer than the 107 bytes a unix socket's path may have: ${socket}`);
  if (Buffer.byteLength(runDir) > 107 - 42)
    throw new ConfigError(`--run-dir is longer than 65 bytes, too long for the sockets below it: ${runDir}`);
  const cgroupParent = get("cgroup-parent");
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(cgroupParent))
    throw new ConfigError(`--cgroup-parent takes one name of letters, digits, ".", "_" and "-", not "${cgroupParent}"`);
  const [defaultLimits, maxLimits] = [limitList("default-limits", get("default-limits")), limitList("max-limits", get("max-limits"))];
  checkLimits(defaultLimits, maxLimits);
  const insecureListen = flags["insecure-listen"] === true || env[variable("insecure-listen")] === "1";
  const tls = tlsPaths(get("tls-cert"), get("tls-key"), get("tls-client-ca"));
  return {
    kind: "run",
    config: Object.freeze<Config>({
      stateDir,
      runDir,
      socket,
      peerScopes: peerRules(get("peer-scope")),
      insecureListen,
      tls,
      listen: listenAddress(get("listen"), insecureListen || tls !== null),
      tokenFile: resolve(get("token-file") || join(stateDir, "admin.token")),
      clientSeconds: wholeNumber("client-seconds", get("client-seconds"), 1, 3600),
      cgroupParent,
      // 65,536 ids for each instance must fit below 2^32 - 1, the id that means "none".
      idBase: wholeNumber("id-base", get("id-base"), 65536, highestIdBase),
      readyShells: wholeNumber("ready-shells", get("ready-shells"), 0, 64),
      defaultLimits,
      maxLimits,
      archiveBytes: wholeNumber("archive-bytes", get("archive-bytes"), 1024, Number.MAX_SAFE_INTEGER),
      runConcurrency: wholeNumber("run-concurrency", get("run-concurrency"), 1, 1024),
      runQueue: wholeNumber("run-queue", get("run-queue"), 0, 100_000),
      defaultRoot: oneOf("default-root", get("default-root"), ["on", "off"]) === "on",
      supervisor: resolve(get("supervisor")),
      logLevel: oneOf("log-level", get("log-level"), ["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
      logFormat: oneOf("log-format", get("log-format"), ["auto", "json", "pretty"]),
    }),
  };
};
