import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DomainError } from "../domain/errors.ts";
import type { Gone, Instance, Launcher, LauncherFacts, LaunchOrder } from "../domain/instance-ports.ts";
import type { Logger, Peer, Peers } from "../domain/ports.ts";
import { Connection, ConnectionLostError, RefusedError, ReplyTimeoutError } from "./connection.ts";
import { Fields } from "./fields.ts";
import { launchFailure, launchFields } from "./launch.ts";
import type { Field, Message, MessageName } from "./protocol.ts";
import { goneOf, instanceOf, peerOf, welcomeOf } from "./replies.ts";

export interface LauncherOptions {
  program: string;
  runDir: string;
  stateDir: string;
  cgroupParent: string;
  idBase: number;
  readyShells: number;
  /** How long a launch may take. */
  launchMilliseconds: number;
}

const startMilliseconds = 5_000;
const replyMilliseconds = 10_000;
const peerMilliseconds = 1_000;
const cleanMilliseconds = 60_000;
/** How long one that is a service of its own is waited for when it is gone: its service manager is starting it again. */
const restartMilliseconds = 5_000;
/** How long after its death a launcher is replaced that nobody has asked for: one that dies again and again is not started without a pause. */
const replaceMilliseconds = 1_000;
/** How long its orderly end is waited for. */
const endMilliseconds = 500;

/**
 * The daemon's end of RUN_DIR/launcher.sock. Where nobody answers, the launcher is started as a detached process of its own
 * session, which outlives the daemon; where it has died, the next call starts another, or a timer: what a dead one left behind is
 * removed by its successor. One that is a service is started again by its service manager.
 */
export class LauncherClient implements Launcher, Peers {
  readonly #options: LauncherOptions;
  readonly #log: Logger;
  #connection: Connection | null = null;
  #connecting: Promise<Connection> | null = null;
  #facts: LauncherFacts | null = null;
  #closed = false;

  constructor(options: LauncherOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  async facts(): Promise<LauncherFacts> {
    const ask = () => this.#request("HELLO", [], "WELCOME", replyMilliseconds);
    // What was asked of one that was just dying is asked of the next.
    const message = await ask().catch((error: Error) => {
      if (error.cause instanceof ConnectionLostError) return ask();
      throw error;
    });
    this.#facts = welcomeOf(message);
    return this.#facts;
  }

  lastFacts(): LauncherFacts | null {
    return this.#facts;
  }

  async launch(order: LaunchOrder, launchedLate: () => void): Promise<Instance> {
    try {
      return instanceOf(await this.#request("LAUNCH", launchFields(order), "LAUNCHED", this.#options.launchMilliseconds));
    } catch (error) {
      if (error instanceof RefusedError) throw launchFailure(error);
      const { cause } = error as Error;
      if (cause instanceof ReplyTimeoutError) cause.late.then(launchedLate, () => {});
      throw error;
    }
  }

  async clean(id: string, slot: number, force: boolean): Promise<Gone> {
    const fields: Field[] = [
      ["id", id],
      ["slot", String(slot)],
      ["force", force ? "1" : "0"],
    ];
    try {
      return goneOf(await this.#request("CLEAN", fields, "CLEANED", cleanMilliseconds));
    } catch (error) {
      if (error instanceof RefusedError && error.code === "running")
        throw new DomainError("deadline-exceeded", `the supervisor of ${id} is alive and does not answer`, { cause: error });
      throw error;
    }
  }

  async remove(id: string): Promise<{ files: number; bytes: number }> {
    try {
      const fields = new Fields(await this.#request("REMOVE", [["id", id]], "REMOVED", cleanMilliseconds));
      return { files: fields.number("files"), bytes: fields.number("bytes") };
    } catch (error) {
      if (error instanceof RefusedError && error.code === "not-found") return { files: 0, bytes: 0 };
      throw error;
    }
  }

  async peerOf(descriptor: number, patient: boolean): Promise<Peer | null> {
    if (this.#connection?.open !== true && !patient) return null;
    try {
      const connection = this.#connection ?? (await this.#connect());
      const found = await connection.request("PEER", [["descriptor", String(descriptor)]], "CREDENTIALS", peerMilliseconds);
      return peerOf(found);
    } catch (error) {
      this.#log.debug({ err: error }, "the launcher does not say who connected");
      return null;
    }
  }

  /** Closes the connection and starts no other. A launcher that a daemon started is ended; one that is a service lives on. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#connecting?.catch(() => {}); // one that is being started is ended, too
    const connection = this.#connection;
    if (connection === null) return;
    if (this.#facts?.detached === true) {
      // Its hanging up is its end; the next daemon then finds nobody and starts its own.
      await connection
        .request("END", [], "DONE", endMilliseconds)
        .then(() => connection.closed(endMilliseconds))
        .catch((error: unknown) => this.#log.warn({ err: error }, "the launcher did not take its end"));
    }
    connection.close();
  }

  async #request(name: MessageName, fields: readonly Field[], expects: MessageName, timeout: number): Promise<Message> {
    const connection = this.#connection ?? (await this.#connect());
    try {
      return await connection.request(name, fields, expects, timeout);
    } catch (error) {
      if (error instanceof RefusedError) throw error;
      if (error instanceof ReplyTimeoutError)
        throw new DomainError("deadline-exceeded", `the launcher gave ${error.message}`, { cause: error });
      throw new DomainError("launcher-unavailable", `the launcher gave no answer to ${name}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async #replace(): Promise<void> {
    if (this.#connection !== null || this.#closed) return;
    await this.#connect().catch((error: unknown) => this.#log.warn({ err: error }, "no launcher in the place of the one that ended"));
  }

  #connect(): Promise<Connection> {
    this.#connecting ??= this.#reach().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  async #reach(): Promise<Connection> {
    if (this.#closed) throw new DomainError("shutting-down", "the daemon is shutting down");
    const path = join(this.#options.runDir, "launcher.sock");
    let connection = await this.#greet(path);
    // Another one in its place would keep its service from starting.
    const restarted = performance.now() + (this.#facts?.detached === false ? restartMilliseconds : 0);
    while (connection === null && performance.now() < restarted && !this.#closed) {
      await sleep(20);
      connection = await this.#greet(path);
    }
    if (connection === null) {
      const exited = this.#start();
      const deadline = performance.now() + startMilliseconds;
      while (connection === null && performance.now() < deadline) {
        const end = await Promise.race([exited, sleep(5, null)]);
        connection = await this.#greet(path);
        if (end !== null && connection === null) throw new DomainError("launcher-unavailable", end);
      }
    }
    if (connection === null) throw new DomainError("launcher-unavailable", `the launcher was started and does not answer on ${path}`);
    this.#log.info(
      { launcherPid: this.#facts?.pid, ready: this.#facts?.readyShells, problems: this.#facts?.problems },
      "connected to the launcher",
    );
    this.#connection = connection;
    return connection;
  }

  /** Connects and learns the facts; null where nobody answers, or one that is just ending hangs up. */
  async #greet(path: string): Promise<Connection | null> {
    const connection = await open(path);
    if (connection === null) return null;
    connection.onClose = (error) => {
      if (this.#connection !== connection) return;
      this.#connection = null;
      if (this.#closed) return;
      this.#log.warn({ err: error }, "the connection to the launcher ended");
      if (this.#facts?.detached === true) setTimeout(() => void this.#replace(), replaceMilliseconds).unref();
    };
    try {
      this.#facts = welcomeOf(await connection.request("HELLO", [], "WELCOME", replyMilliseconds));
      return connection;
    } catch (error) {
      connection.close();
      if (error instanceof ConnectionLostError) return null;
      throw new DomainError("launcher-unavailable", `the launcher does not speak this protocol: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** Starts the launcher; resolves with the reason when it ends. */
  #start(): Promise<string> {
    const { program, runDir, stateDir, cgroupParent, idBase, readyShells } = this.#options;
    const logPath = join(runDir, "launcher.log");
    const output = openSync(logPath, "a", 0o640);
    const flags = [
      "--run-dir",
      runDir,
      "--state-dir",
      stateDir,
      "--cgroup-parent",
      cgroupParent,
      "--id-base",
      String(idBase),
      "--ready-shells",
      String(readyShells),
      "--detached",
    ];
    const child = spawn(program, ["launcher", ...flags], {
      detached: true,
      stdio: ["ignore", "ignore", output],
      cwd: "/",
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    });
    closeSync(output);
    child.unref();
    this.#log.info({ launcherPid: child.pid, program, log: logPath }, "started the launcher");
    return new Promise((resolve) => {
      child.once("error", (error) => resolve(`the launcher cannot be started: ${error.message}`));
      child.once("exit", (code, signal) => resolve(`the launcher ended at its start (${signal ?? `status ${code}`}); ${logPath} says why`));
    });
  }
}

const open = async (path: string): Promise<Connection | null> => {
  try {
    return await Connection.open(path);
  } catch (error) {
    if (error instanceof ConnectionLostError && (error.errno === "ENOENT" || error.errno === "ECONNREFUSED")) return null;
    throw new DomainError("launcher-unavailable", `the launcher cannot be reached on ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
};
