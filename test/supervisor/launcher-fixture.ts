import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect } from "vitest";
import { HostRootBuilder } from "../../server/host/root-builder.ts";
import { eventually } from "./eventually.ts";
import { RawClient, type Reply, type Values } from "./raw-client.ts";
import { Sandbox } from "./sandbox-fixture.ts";
import { cgroupsBelow, cgroupTrees, file, ownMounts, processesWith } from "./witness.ts";

const program = resolve(import.meta.dirname, "../../build/sanitize/unshared-supervisor");
const binaries = ["bash", "cat", "sleep", "ls", "stty", "head", "true", "readlink", "id"].map((name) => `/usr/bin/${name}`);

/** Every field that LAUNCH needs, for a bash in all the usual namespaces. */
export const usual: Values = {
  root: "bash",
  isolate: ["mnt", "uts", "ipc", "net", "pid", "user", "cgroup"],
  arg: ["/bin/bash"],
  env: ["PATH=/usr/bin:/bin"],
  cwd: "/",
  uid: 0,
  gid: 0,
  hostname: "box",
  init: 1,
  tty: 0,
  capabilities: 0,
  seccomp: "default",
  "memory-bytes": 0,
  "cpu-quota-us": 0,
  "cpu-weight": 0,
  pids: 0,
  "open-files": 1024,
  "output-bytes": 65536,
};

let made = 0;

/** A launcher with directories, cgroup parent and ids of its own, and a root with a few programs. */
export class Launcher {
  readonly directory: string;
  readonly cgroupParent: string;
  readonly idBase: number;
  process!: ChildProcess;
  client!: RawClient;
  readonly #options: { readyShells: number; through: readonly string[] };
  #sandboxes = 0;

  private constructor(directory: string, options: { readyShells: number; through: readonly string[] }, below: string) {
    this.directory = directory;
    this.cgroupParent = `unshared-supervisor-test-${process.pid}-${++made}${below}`;
    this.idBase = 200_000_000 + (process.pid % 1000) * 1000;
    this.#options = options;
  }

  /** `through` is a command line that executes the rest of its arguments, such as prlimit(1). */
  static async start({ readyShells = 0, through = [] as readonly string[], cgroupParent = "" } = {}): Promise<Launcher> {
    const launcher = new Launcher(await mkdtemp(join(tmpdir(), "unshared-supervisor-")), { readyShells, through }, cgroupParent);
    await mkdir(join(launcher.directory, "run"));
    await mkdir(join(launcher.directory, "state"));
    const builder = new HostRootBuilder(join(launcher.directory, "state"));
    await builder.sweep([]);
    const provision = await builder.prepare({ kind: "copy", binaries, files: [] });
    await provision.run("bash", { signal: new AbortController().signal, report: () => {} });
    await launcher.run();
    return launcher;
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }
  get mark(): string {
    return `UNSHARED_TEST=${this.cgroupParent}`;
  }
  state(path = ""): string {
    return join(this.directory, "state", path);
  }
  socket(id: string): string {
    return join(this.directory, "run/sandboxes", `${id}.sock`);
  }
  log(): string {
    return readFileSync(join(this.directory, "log"), "utf8");
  }

  /** Starts the program (again) and connects to it. Its log is a file, since supervisors that outlive it keep it open. */
  async run(readyShells = this.#options.readyShells): Promise<void> {
    const log = openSync(join(this.directory, "log"), "a");
    const args = ["launcher", "--run-dir", join(this.directory, "run"), "--state-dir", this.state(), "--cgroup-parent", this.cgroupParent];
    const [command = program, ...rest] = [...this.#options.through, program, ...args];
    this.process = spawn(command, [...rest, "--id-base", `${this.idBase}`, "--ready-shells", `${readyShells}`], {
      stdio: ["ignore", "ignore", log],
      env: { ...process.env, UNSHARED_TEST: this.cgroupParent },
    });
    closeSync(log);
    // The socket of one that was killed is held by what it had forked just then, for a moment.
    this.client = await eventually("the launcher answers", async () => {
      const client = await RawClient.open(join(this.directory, "run/launcher.sock")).catch(() => null);
      return client?.ask("HELLO").then(
        () => client,
        () => null,
      );
    });
    // With nothing to keep ready it probes the machine once, when it is idle, as it is while this fails.
    if (readyShells === 0) await this.ask({ id: "none", root: "none" });
    await this.settled();
  }

  /** Waits until what it wants to keep ready is ready and nothing else is on its way; answers WELCOME. */
  settled(): Promise<Reply> {
    return eventually("the launcher settles", async () => {
      const welcome = await this.client.ask("HELLO");
      const target = welcome.number("ready-target");
      const titles = processesWith(this.mark, this.cgroupParent).map((pid) => file(pid, "cmdline").replaceAll("\0", " ").trim());
      const count = (title: string) => titles.filter((one) => one === title).length;
      const untitled = titles.filter((title) => title.startsWith(program)).length - 1; // before they have a title of their own
      const passing = untitled + count("unshared-supervisor none") + titles.filter((title) => title.startsWith("unshared-worker")).length;
      const settled = count("unshared-supervisor ready") === target && count("unshared-shell") === target && passing === 0;
      return welcome.number("ready") === target && settled && welcome;
    });
  }

  /** LAUNCH with some values changed; the reply as it comes. */
  ask(values: Values = {}): Promise<Reply> {
    const noHostname = "isolate" in values && !(values["isolate"] as string[]).includes("uts") ? { hostname: null } : {};
    return this.client.ask("LAUNCH", { id: this.newId(), ...usual, ...noHostname, ...values });
  }

  newId(): string {
    return `box${++this.#sandboxes}`;
  }

  /** A running sandbox, attached to. */
  async launch(values: Values = {}): Promise<Sandbox> {
    const id = (values["id"] as string | undefined) ?? this.newId();
    const reply = await this.ask({ ...values, id });
    expect(reply.name, JSON.stringify([...reply.fields])).toBe("LAUNCHED");
    return await Sandbox.attach(this, id, reply);
  }

  /** A sandbox that runs a line of bash. */
  bash(script: string, values: Values = {}): Promise<Sandbox> {
    return this.launch({ ...values, arg: ["/bin/bash", "-c", script] });
  }

  /** All that a sandbox of this launcher could leave behind. */
  traces(): Record<string, unknown> {
    const ready = this.#options.readyShells > 0;
    return {
      processes: ready ? processesWith(this.mark, this.cgroupParent).length : processesWith(this.mark, this.cgroupParent).sort(),
      cgroups: ready ? cgroupsBelow(this.cgroupParent).length : cgroupsBelow(this.cgroupParent).sort(),
      sockets: readdirSync(join(this.directory, "run/sandboxes")).sort(),
      files: readdirSync(this.state("sandboxes")).sort(),
      // Not those that other tests make meanwhile.
      mounts: ownMounts().filter((line) => line.includes(this.directory) || !line.includes("/unshared-")),
    };
  }

  /** Runs a test and fails unless everything is as it was before, soon. */
  async leavingNothing<T>(run: () => Promise<T>): Promise<T> {
    await this.settled(); // the worker of an earlier REMOVE answers before it ends
    const before = JSON.stringify(this.traces());
    const result = await run();
    await eventually("no trace is left", () => JSON.stringify(this.traces()) === before, 10_000).catch(() => {
      expect(this.traces()).toEqual(JSON.parse(before));
    });
    return result;
  }

  /** Ends it as END does, and whatever a failed test has left; nothing may have been said by a sanitizer. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    let code: number | null = 0;
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const ended = once(this.process, "exit");
      this.process.kill("SIGTERM");
      [code] = await ended;
    }
    for (const pid of processesWith(this.mark, this.cgroupParent)) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself meanwhile.
      }
    }
    await eventually("all processes ended", () => processesWith(this.mark, this.cgroupParent).length === 0);
    const log = this.log();
    const parents = [this.cgroupParent, this.cgroupParent.split("/")[0] ?? ""];
    const left = cgroupTrees.flatMap((tree) => parents.map((parent) => join(tree, parent))).filter((path) => existsSync(path));
    for (const path of [...cgroupsBelow(this.cgroupParent), ...new Set(left)]) rmdirSync(path);
    await rm(this.directory, { recursive: true });
    expect(log).not.toMatch(/Sanitizer|runtime error/);
    expect({ code, left }).toEqual({ code: 0, left: [] });
  }
}
