import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "../domain/errors.ts";
import type { BuildControl, DebootstrapSource } from "../domain/root-ports.ts";
import { DebootstrapProgress } from "./debootstrap-progress.ts";
import { programs } from "./programs.ts";

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const lastLines = 20;
const maxLineLength = 500;
const termMilliseconds = 1000;
const killMilliseconds = 5000;

/**
 * Runs debootstrap(8) into `tree`. It has a mount and a pid namespace of its own (unshare(1)): what it or a package's script
 * mounts or starts in the tree ends with it, and with this process (PR_SET_PDEATHSIG, by setpriv(1)).
 * @throws DomainError `root-provision-failed` with its last log lines (member `log`), or the signal's reason
 */
export async function runDebootstrap(source: DebootstrapSource, tree: string, control: BuildControl): Promise<void> {
  control.signal.throwIfAborted();
  const args = ["--debian-installer", `--keyring=${source.keyring}`];
  if (source.variant !== "") args.push(`--variant=${source.variant}`);
  if (source.include.length > 0) args.push(`--include=${source.include.join(",")}`);
  // debootstrap knows no "--"; none of these can begin with a dash: the suite and mirror are matched before, the tree is absolute.
  args.push(source.suite, tree, source.mirror);
  const command = [
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "--pid",
    "--fork",
    "--kill-child",
    "debootstrap",
    ...args,
  ];
  const { execa } = await programs();
  const child = execa("setpriv", command, {
    env: { PATH: searchPath, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive", ...(await proxies()) },
    extendEnv: false,
    // A process group of its own, to be killed as one.
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    all: true,
    buffer: false,
    reject: false,
  });
  const log: string[] = [];
  const keep = (line: string) => {
    log.push(withoutPasswords(line.slice(0, maxLineLength)));
    if (log.length > lastLines) log.shift();
  };
  const progress = new DebootstrapProgress(keep);
  const reading = [
    eachLine(child.all as Readable, keep),
    eachLine(child.stdio[3] as unknown as Readable, (line) => {
      if (progress.feed(line)) control.report(progress.state.phase, progress.state.progress, progress.state.message);
    }),
  ];
  const onAbort = () => void killGroup(child.pid);
  control.signal.addEventListener("abort", onAbort, { once: true });
  try {
    const result = await child;
    await Promise.all(reading);
    control.signal.throwIfAborted();
    if (result.exitCode === 0) return;
    const said = progress.errors.at(-1) ?? log.at(-1) ?? result.shortMessage ?? "it did not say why";
    throw new DomainError("root-provision-failed", `debootstrap failed while ${progress.state.phase}: ${withoutPasswords(said)}`, {
      members: { phase: progress.state.phase, log },
    });
  } finally {
    control.signal.removeEventListener("abort", onAbort);
    await killGroup(child.pid);
  }
}

/** TERM, then KILL; resolves when no process of the group is left. The namespace's first process is of the group and ends last. */
async function killGroup(group: number | undefined): Promise<void> {
  if (group === undefined) return;
  const deadline = performance.now() + termMilliseconds;
  let signal: NodeJS.Signals = "SIGTERM";
  while (sendTo(group, signal)) {
    if (performance.now() > deadline + killMilliseconds) throw new Error(`process group ${group} of debootstrap does not end`);
    if (performance.now() > deadline) signal = "SIGKILL";
    await sleep(20);
  }
}

function sendTo(group: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(-group, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

async function eachLine(stream: Readable, take: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) take(line);
}

/** The proxies that apt on this host uses, in the variables that debootstrap's wget reads; those of the daemon's environment win. */
async function proxies(): Promise<Record<string, string>> {
  const { execa } = await programs();
  const found: Record<string, string> = {};
  for (const scheme of ["http", "https"]) {
    const asked = await execa("apt-config", ["dump", `Acquire::${scheme}::Proxy`], {
      env: { PATH: searchPath, LC_ALL: "C" },
      extendEnv: false,
      reject: false,
    });
    const value = new RegExp(`^Acquire::${scheme}::Proxy "(https?://[^"]+)";`, "m").exec(asked.stdout ?? "")?.[1];
    if (value) found[`${scheme}_proxy`] = value;
  }
  for (const name of ["http_proxy", "https_proxy", "no_proxy"]) {
    const value = process.env[name] ?? process.env[name.toUpperCase()];
    if (value) found[name] = value;
  }
  return found;
}

function withoutPasswords(text: string): string {
  return text.replace(/(https?:\/\/)[^@/\s]*@/g, "$1");
}
