import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { buildProbes, probePath } from "../isolation/stage.ts";
import { Machine } from "./machine.ts";

const execute = promisify(execFile);
const repository = resolve(import.meta.dirname, "../..");
/** Without hardware support, beside other tests, all takes long. */
const bootMilliseconds = 400_000;

// biome-ignore lint/suspicious/noExplicitAny: bodies of the API, looked at by the tests alone
type Body = any;

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** A stock Debian 12 with the package of this repository at hand in two versions, /mnt/old.deb and /mnt/new.deb, and the probes of the isolation tests. */
export class Guest {
  readonly #machine: Machine;
  readonly #directory: string;
  bootId: string;

  private constructor(machine: Machine, directory: string, bootId: string) {
    this.#machine = machine;
    this.#directory = directory;
    this.bootId = bootId;
  }

  static async start(): Promise<Guest> {
    const directory = await mkdtemp(join(tmpdir(), "unshared-vm-"));
    try {
      const image = execute(join(import.meta.dirname, "image"), [join(repository, "build/vm")]);
      const [{ stdout }, cargo] = await Promise.all([image, packages(directory)]);
      const machine = await Machine.start(stdout.trim(), cargo, directory);
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

  async reboot(): Promise<void> {
    this.bootId = await this.#machine.reboot(bootMilliseconds);
    await this.run("mount -o ro /dev/vdb /mnt");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#machine[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}

/** A filesystem with the package as it is, the same with the next version, and the probes. */
async function packages(directory: string): Promise<string> {
  const { stdout } = await execute(join(repository, "script/package"), ["--fast", join(directory, "package")]);
  const tree = join(directory, "tree");
  const cargo = join(directory, "cargo");
  await execute("dpkg-deb", ["--raw-extract", stdout.trim(), tree]);
  await execute("sed", ["-i", "s/^Version: .*/&.1/", join(tree, "DEBIAN/control")]);
  await mkdir(cargo);
  await execute("dpkg-deb", ["--root-owner-group", "-Znone", "--build", tree, join(cargo, "new.deb")]);
  await execute("mv", [stdout.trim(), join(cargo, "old.deb")]);
  buildProbes();
  await cp(probePath("."), join(cargo, "probes"), { recursive: true });
  const file = join(directory, "cargo.img");
  await writeFile(file, "");
  await execute("truncate", ["-s", "512M", file]);
  await execute("mke2fs", ["-q", "-t", "ext4", "-d", cargo, file]);
  await Promise.all([tree, cargo].map((each) => rm(each, { recursive: true })));
  return file;
}
