import { release } from "node:os";
import type { Info, InfoReport, RecoveryReport } from "../domain/info.ts";
import type { Launcher } from "../domain/instance-ports.ts";
import type { Check, Preflight } from "../domain/preflight.ts";
import { isoTime } from "../domain/reports.ts";
import type { SandboxStore } from "../domain/sandbox-ports.ts";
import { hostLoad } from "./host-load.ts";

export interface DaemonFacts {
  /** Shown as they are: they hold no secret, only the path of one. */
  config: object;
  version: string;
  sqlite: string;
  bootId: string;
  launcher: Launcher;
  store: SandboxStore;
  preflight: Preflight;
}

/** What the daemon tells about itself. */
export class DaemonInfo implements Info {
  readonly #facts: DaemonFacts;
  readonly #startedAt = isoTime(Date.now());
  #recovery: RecoveryReport | null = null;
  #ending = false;

  constructor(facts: DaemonFacts) {
    this.#facts = facts;
  }

  recovered(report: RecoveryReport): void {
    this.#recovery = report;
  }

  shutDown(): void {
    this.#ending = true;
  }

  readiness(): { ready: boolean; detail: string } {
    if (this.#ending) return { ready: false, detail: "the daemon is shutting down" };
    return this.#recovery === null ? { ready: false, detail: "the daemon is starting" } : { ready: true, detail: "ready" };
  }

  preflight(): Promise<Check[]> {
    return this.#facts.preflight.check();
  }

  async report(): Promise<InfoReport> {
    const { config, version, sqlite, bootId, launcher, store } = this.#facts;
    // The number of ready shells changes from moment to moment; a launcher that does not answer is told by null.
    const [facts, host] = await Promise.all([launcher.facts().catch(() => null), hostLoad()]);
    return {
      version,
      node: process.versions.node,
      sqlite,
      kernel: release(),
      pid: process.pid,
      bootId,
      startedAt: this.#startedAt,
      settings: { ...config } as InfoReport["settings"],
      host,
      launcher: facts,
      sandboxes: store.countByState(),
      recovery: this.#recovery,
    };
  }
}
