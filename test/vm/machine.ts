import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, readFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { eventually } from "../supervisor/eventually.ts";

/** How a script ended in the guest, and what it wrote to either stream. */
export interface Ending {
  status: number;
  output: string;
}

/**
 * A virtual machine without hardware support (qemu's TCG), which runs scripts as root; what it writes to its disk is gone with it. Its two
 * processors take turns in one thread: with a thread for each, the guest's kernel hung now and then, one of them within a breakpoint of code
 * that the other had patched, as it seemed.
 */
export class Machine {
  readonly #process: ChildProcess;
  readonly #console: string;
  #socket: Socket | null = null;
  /** It did not answer in time: it will not again. */
  #isLost = false;
  readonly #lines: string[] = [];

  private constructor(process: ChildProcess, console: string) {
    this.#process = process;
    this.#console = console;
  }

  /**
   * Starts it.
   * @param image of test/vm/image
   * @param cargo file that the guest finds as /dev/vdb
   * @param directory for sockets and the log of the console
   * @param megabytes of memory
   */
  static async start(image: string, cargo: string, directory: string, megabytes: number): Promise<Machine> {
    const control = join(directory, "control.sock");
    const consoleLog = join(directory, "console.log");
    const drive = (file: string, rest: string) => ["-drive", `file=${file},format=raw,if=virtio,${rest}`];
    const kernel = ["-kernel", join(image, "vmlinuz"), "-initrd", join(image, "initrd")];
    const port = ["-device", "virtio-serial-pci", "-chardev", `socket,id=control,path=${control},server=on,wait=off`];
    const child = spawn(
      "setpriv", // it ends with the tests, however these end
      [
        ...["--pdeathsig", "KILL", "nice", "-n", "10"],
        ...["qemu-system-x86_64", "-accel", "tcg,thread=single", "-smp", "2", "-m", `${megabytes}`],
        ...["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", ...kernel],
        ...["-append", "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 panic=-1"],
        ...drive(join(image, "disk.img"), "snapshot=on,cache=unsafe"),
        ...drive(cargo, "readonly=on"),
        ...[...port, "-device", "virtserialport,chardev=control,name=unshared-test"],
      ],
      { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, TMPDIR: directory } },
    );
    const log = createWriteStream(consoleLog);
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    const machine = new Machine(child, consoleLog);
    machine.#socket = await eventually("qemu's control socket", () => machine.#connect(control), 60_000);
    createInterface({ input: machine.#socket }).on("line", (line) => machine.#lines.push(line));
    return machine;
  }

  async #connect(path: string): Promise<Socket | null> {
    const socket = createConnection(path);
    return Promise.race([once(socket, "connect").then(() => socket), once(socket, "error").then(() => null)]).catch(() => null);
  }

  /** The boot id of the next start-up, once services are being started. */
  async booted(deadlineMilliseconds: number): Promise<string> {
    return (await this.#next(/^booted (\S+)$/, deadlineMilliseconds))[1] ?? "";
  }

  /** Runs a script of bash, one at a time. */
  async run(script: string, deadlineMilliseconds = 120_000): Promise<Ending> {
    this.#socket?.write(`${Buffer.from(script).toString("base64")}\n`);
    const [, status, output = ""] = await this.#next(/^(\d+) (\S*)$/, deadlineMilliseconds);
    return { status: Number(status), output: Buffer.from(output, "base64").toString() };
  }

  /** Starts it anew, in order. Answers the new boot id. */
  async reboot(deadlineMilliseconds: number): Promise<string> {
    this.#socket?.write(`${Buffer.from("systemctl reboot").toString("base64")}\n`);
    return this.booted(deadlineMilliseconds);
  }

  async #next(wanted: RegExp, deadlineMilliseconds: number): Promise<RegExpExecArray> {
    if (this.#isLost) throw new Error("the guest did not answer before, and is not asked again");
    return eventually(
      `an answer like ${wanted.source} of the guest`,
      () => {
        if (this.#process.exitCode !== null) throw new Error(`the machine has ended:\n${this.consoleEnd()}`);
        for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
          const found = wanted.exec(line);
          if (found !== null) return found;
        }
        return null;
      },
      deadlineMilliseconds,
    ).catch((error: Error) => {
      this.#isLost = true;
      throw error;
    });
  }

  /** What the guest's kernel wrote last. */
  consoleEnd(): string {
    return readFileSync(this.#console, "utf8").slice(-4_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.destroy();
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }
}
