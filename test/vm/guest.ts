import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { packages } from "./cargo.ts";
import { Machine } from "./machine.ts";

const execute = promisify(execFile);
const repository = resolve(import.meta.dirname, "../..");
/** Without hardware support, beside other tests, all takes long. */
const bootMilliseconds = 400_000;

// biome-ignore lint/suspicious/noExplicitAny: bodies of the API, looked at by the tests alone
type Body = any;

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** A stock Debian 12 with a cargo of this repository on /mnt: unless another is asked for the package in two versions, old.deb and new.deb, and the probes. */
export class Guest {
  readonly #machine: Machine;
  readonly #directory: string;
  bootId: string;

  private constructor(machine: Machine, directory: string, bootId: string) {
    this.#machine = machine;
    this.#directory = directory;
    this.bootId = bootId;
  }

  /** @param cargo makes the file in a directory. @param megabytes of memory */
  static async start(cargo: (directory: string) => Promise<string> = packages, megabytes = 1_536): Promise<Guest> {
    const directory = await mkdtemp(join(tmpdir(), "unshared-vm-"));
    try {
      const image = execute(join(import.meta.dirname, "image"), [join(repository, "build/vm")]);
      const [{ stdout }, disk] = await Promise.all([image, cargo(directory)]);
      const machine = await Machine.start(stdout.trim(), disk, directory, megabytes);
      const guest = new Guest(machine, directory, await machine.booted(bootMilliseconds));
      await guest.run("mount -o ro /dev/vdb /mnt");
      return guest;
    } catch (error) {
      await rm(directory, { recursive: true });
      throw error;
    }
  }

  /** What a script of bash, run as root, writes; without its last line feed. @throws when it fails */
  async run(script: string, deadlineMilliseconds = 300_000): Promise<string> {
    const { status, output } = await this.#machine.run(script, deadlineMilliseconds);
    if (status !== 0) throw new Error(`exit status ${status} of ${script}\n${output}`);
    return output.trimEnd();
  }

  /** Runs a script again and again until it succeeds. */
  async until(script: string, deadlineMilliseconds = 300_000): Promise<void> {
    const seconds = Math.ceil(deadlineMilliseconds / 1_000);
    const waiting = `for ((end = SECONDS + ${seconds}; SECONDS < end;)); do if ${script}; then exit 0; fi; sleep 0.5; done; exit 1`;
    await this.run(waiting, deadlineMilliseconds + 60_000);
  }

  /** Asks the API on its unix socket. @throws when it cannot be reached */
  async ask(method: string, path: string, body?: object): Promise<{ status: number; body: Body }> {
    const send = body === undefined ? "" : `--json ${quote(JSON.stringify(body))}`;
    const socket = "--unix-socket /run/unshared/unshared.sock";
    const ask = `curl -sS -m 580 -X ${method} ${send} ${socket} -w '\\n%{http_code}' ${quote(`http://localhost/v1${path}`)}`;
    const output = await this.run(ask, 600_000);
    const end = output.lastIndexOf("\n");
    const text = output.slice(0, end);
    return { status: Number(output.slice(end + 1)), body: text === "" ? null : JSON.parse(text) };
  }

  /** As `ask`, of what must succeed. */
  async get(method: string, path: string, body?: object): Promise<Body> {
    const answer = await this.ask(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** Puts a probe of the cargo below /probes of a sandbox. */
  async upload(sandbox: string, probe: string): Promise<void> {
    const url = `http://localhost/v1/sandboxes/${sandbox}/files?path=/probes/${probe}&mode=0755&parents=true`;
    await this.run(`curl -sSf --unix-socket /run/unshared/unshared.sock -T /mnt/probes/${probe} -o /dev/null '${url}'`);
  }

  async reboot(): Promise<void> {
    this.bootId = await this.#machine.reboot(bootMilliseconds);
    await this.run("mount -o ro /dev/vdb /mnt");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#machine[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}
