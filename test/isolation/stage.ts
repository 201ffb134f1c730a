/** A daemon whose sandboxes the probes run in, and a sandbox that stays for those that are started in one. */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Reply } from "../fixtures/daemon.ts";
import { isAlive, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";
import type { Mutant } from "./mutants.ts";

/** How a process of a sandbox comes to be. */
export const ways = ["main", "exec", "terminal"] as const;
export type Way = (typeof ways)[number];

/** What a probe said: the outcome of each thing it tried, by its name. */
export type Outcomes = Record<string, string>;

const sources = resolve(import.meta.dirname, "probes");
const probes = resolve(import.meta.dirname, "../../build/probes");
const programs = ["bash", "cat", "chmod", "cp", "dd", "head", "ln", "ls", "mkdir", "mkfifo", "ps", "rm", "sleep", "stat", "tail", "true"];

/** Compiles what is out of date; another test file that does so at this moment is waited for. */
export const buildProbes = (): string[] => {
  const { status, stderr } = spawnSync("flock", [sources, "make", "-s", "-C", sources], { encoding: "utf8" });
  if (status !== 0) throw new Error(`the probes cannot be built: ${stderr}`);
  return readdirSync(sources)
    .filter((name) => name.endsWith(".c"))
    .map((name) => name.slice(0, -2));
};

/** The program on the host. */
export const probePath = (name: string): string => join(probes, name);

/** A word that no sandbox may ever read; what follows it tells where it was. */
export const canary = `canary-${randomBytes(8).toString("hex")}`;

/** What the daemon is started with beside its stdio, not close-on-exec, from descriptor 100 on: the mistake of whoever starts it. */
export const inherited = ["/", "/etc/shadow"];
const opened = inherited.map((path, index) => `exec ${100 + index}<${path}`).join("; ");
/** And with a session keyring, as a login gives it. */
const careless = [probePath("ipc"), "join", "bash", "-c", `${opened}; export CANARY=${canary}-environment; exec "$@"`, "bash"];

export class Stage {
  readonly host: SandboxDaemon;
  /** The report of the sandbox named "box"; its main process ignores USR1 and does nothing. */
  // biome-ignore lint/suspicious/noExplicitAny: reports, whose shape other tests state
  box: any = null;
  /** Whether checks with a long form take it. */
  isLong = process.env["UNSHARED_TEST_LONG"] === "1";
  #root = "";

  private constructor(host: SandboxDaemon) {
    this.host = host;
  }

  /** @param name of the test file. @param idBase first uid and gid. @param mutable whether `without` is to be used */
  static async open(name: string, idBase: number, mutable = false): Promise<Stage> {
    const files = buildProbes().map((probe) => ({ source: join(probes, probe), target: `/probes/${probe}` }));
    const flags = ["--default-root", "off", "--ready-shells", "1", "--listen", "127.0.0.1:0"];
    const stage = new Stage(await SandboxDaemon.startAs({ mutable, wrapper: careless }, `isolation-${name}`, idBase, ...flags));
    try {
      const source = { kind: "copy", binaries: programs.map((program) => `/bin/${program}`), files };
      const { status, body, text } = await stage.host.request("POST", "/v1/roots?wait=300", { name: "probes", source });
      if (status !== 201) throw new Error(`no root: ${status} ${text}`);
      stage.#root = body.id;
      await stage.afresh();
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  /** Where the daemon listens on loopback. */
  port(): number {
    const addresses = this.host.daemon.log.filter(({ msg }) => msg === "listening").map((entry) => JSON.stringify(entry));
    return Number(/127\.0\.0\.1:(\d+)/.exec(addresses.join(""))?.[1] ?? /"port":(\d+)/.exec(addresses.join(""))?.[1]);
  }

  /** The root's tree on the host. */
  rootTree(): string {
    return join(this.host.daemon.stateDir, "roots", this.#root, "tree");
  }

  /** No sandbox but a new box. */
  async afresh(): Promise<void> {
    await this.host.clear();
    this.box = await this.sandbox({ name: "box" });
  }

  /** From here on sandboxes do without these layers: another launcher, and another box. */
  async without(mutants: readonly Mutant[]): Promise<void> {
    await this.host.clear();
    const launcher = await this.host.launcherPid();
    writeFileSync(`${this.host.program}.mutants`, mutants.join(","));
    process.kill(launcher, "SIGTERM");
    await until("the end of the launcher", () => !isAlive(launcher), 20_000);
    // One that is slow to start is answered for by 503 until it has.
    const isSlow = (error: Error): false => {
      if (!error.message.includes("launcher-unavailable")) throw error;
      return false;
    };
    await until("the next launcher", () => this.afresh().then(() => true, isSlow), 20_000);
  }

  /** A running sandbox whose main process ignores USR1 and does nothing, unless the definition has a command. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  sandbox(definition: object = {}): Promise<any> {
    return this.host.run({ root: "probes", command: ["/bin/bash", "-c", "trap '' USR1; exec sleep infinity"], ...definition });
  }

  /** What a command wrote to stdout, with each way of starting it. @throws Error with what it said when it fails */
  async output(way: Way, command: string[], sandbox = "box"): Promise<string> {
    const { status, body, text } =
      way === "main"
        ? await this.#asMain(command)
        : await this.host.request("POST", `/v1/sandboxes/${sandbox}/processes?wait=300`, { command, tty: way === "terminal" });
    if (status >= 300 || body.exit?.code !== 0) throw new Error(`${command.join(" ")} (${way}): ${status} ${text}`);
    return body.output.stdout.data.replaceAll("\r\n", "\n");
  }

  async #asMain(command: string[]): Promise<Reply> {
    const { id } = await this.sandbox({ command });
    const reply = await this.host.request("GET", `/v1/sandboxes/${id}/processes/main?wait=300`);
    await this.host.request("DELETE", `/v1/sandboxes/${id}`);
    return reply;
  }

  /** What the probe found out. */
  async probe(way: Way, ...command: string[]): Promise<Outcomes> {
    return outcomesOf(await this.output(way, [`/probes/${command[0]}`, ...command.slice(1)]));
  }

  /** What the probe found out, one way after the other: the first that differs fails its check. */
  async everywhere(command: string[], expectAll: (outcomes: Outcomes, way: Way) => void): Promise<void> {
    for (const way of ways) expectAll(await this.probe(way, ...command), way);
  }

  /** The report of a process that was started in the box and runs. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  async start(command: string[], more: object = {}): Promise<any> {
    const { status, body, text } = await this.host.request("POST", "/v1/sandboxes/box/processes", { command, ...more });
    if (status !== 201) throw new Error(`${command}: ${status} ${text}`);
    return body;
  }

  /** All that the processes of a sandbox wrote. */
  async logOf(sandbox: string): Promise<string> {
    const bytes = { accept: "application/octet-stream" };
    return (await this.host.request("GET", `/v1/sandboxes/${sandbox}/logs`, undefined, bytes)).text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }
}

export const outcomesOf = (text: string): Outcomes =>
  Object.fromEntries(
    text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const at = line.lastIndexOf(": ");
        return [line.slice(0, at), line.slice(at + 2)];
      }),
  );
