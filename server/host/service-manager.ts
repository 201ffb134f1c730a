import { type ChildProcess, spawn } from "node:child_process";

/**
 * Tells the service manager that started this process how it fares (sd_notify(3)), by way of the native program in its mode `notify`: Node cannot
 * send to a unix datagram socket. Where no service manager listens, nothing is started and nothing is said.
 */
export class ServiceManager {
  readonly #program: string;
  readonly #socket: string | undefined;
  /** Milliseconds within which a sign of life is expected (sd_watchdog_enabled(3)), or null. */
  readonly #watchdogMilliseconds: number | null;
  #messenger: ChildProcess | null = null;

  /** Takes its variables out of `environment`, so that what this process starts cannot speak for it. */
  constructor(program: string, environment: NodeJS.ProcessEnv, pid: number) {
    this.#program = program;
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: microseconds, WATCHDOG_PID: owner = String(pid) } = environment;
    this.#socket = socket;
    this.#watchdogMilliseconds = microseconds !== undefined && owner === String(pid) ? Number(microseconds) / 1_000 : null;
    for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete environment[name];
  }

  /** The process serves. From here on signs of life are sent from the event loop: one that is stuck sends none, and the service is restarted. */
  ready(status: string): void {
    this.#tell("READY=1", `STATUS=${status}`);
    if (this.#socket === undefined || this.#watchdogMilliseconds === null) return;
    this.#tell("WATCHDOG=1");
    setInterval(() => this.#tell("WATCHDOG=1"), this.#watchdogMilliseconds / 2).unref();
  }

  stopping(): void {
    this.#tell("STOPPING=1", "STATUS=shutting down; sandboxes run on");
  }

  /** What it does now, in one line for people. */
  status(status: string): void {
    this.#tell(`STATUS=${status}`);
  }

  #tell(...messages: string[]): void {
    if (this.#socket === undefined) return;
    this.#messenger ??= this.#start(this.#socket);
    this.#messenger.stdin?.write(messages.map((message) => `${message}\n`).join(""));
  }

  /** One for the whole life: a fork of this process holds up its event loop. Should it end all the same, the next message starts another. */
  #start(socket: string): ChildProcess {
    const child = spawn(this.#program, ["notify"], { stdio: ["pipe", "ignore", "inherit"], env: { NOTIFY_SOCKET: socket } });
    const gone = (): void => {
      if (this.#messenger === child) this.#messenger = null;
    };
    child.once("exit", gone).once("error", gone);
    child.stdin?.on("error", gone);
    child.unref();
    return child;
  }
}
