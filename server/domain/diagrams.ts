import { sees, type View } from "./callers.ts";
import { type Diagram, diagramOf, type SandboxFacts } from "./diagram.ts";
import type { LiveProcesses } from "./live-processes.ts";
import { isCurrent } from "./reports.ts";
import type { RootListings } from "./root-listing.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import { need, reportFor, type SandboxRoom } from "./sandbox-room.ts";

/** Sandboxes whose processes and roots are read, and that are told at all; how many are read at a time. */
const mostDetailed = 100;
const mostSandboxes = 1_000;
const atOnce = 8;

export interface DiagramSources {
  room: SandboxRoom;
  processes: LiveProcesses;
  listings: RootListings;
  host: Diagram["host"];
}

/** Draws up the diagram's facts from the store and the kernel. */
export class Diagrams {
  readonly #sources: DiagramSources;

  constructor(sources: DiagramSources) {
    this.#sources = sources;
  }

  /** The host and everything that runs and is in the view, oldest first. */
  ofHost(view: View): Promise<Diagram> {
    const { room } = this.#sources;
    const running = room.store.alive().filter((row) => isCurrent(row, room.bootId) && sees(view, row));
    return this.#draw(running.sort((a, b) => (a.id < b.id ? -1 : 1)));
  }

  /** The host and one sandbox, whether it runs or not. @throws DomainError `sandbox-not-found` */
  async ofSandbox(nameOrId: string): Promise<Diagram> {
    return this.#draw([need(this.#sources.room, nameOrId)]);
  }

  async #draw(rows: readonly SandboxRow[]): Promise<Diagram> {
    const { room, host } = this.#sources;
    const sandboxes: SandboxFacts[] = [];
    for (let at = 0; at < Math.min(rows.length, mostDetailed); at += atOnce)
      sandboxes.push(...(await Promise.all(rows.slice(at, Math.min(at + atOnce, mostDetailed)).map((row) => this.#read(row)))));
    for (const row of rows.slice(mostDetailed, mostSandboxes))
      sandboxes.push({ report: reportFor(room, row), listing: null, processes: null });
    return diagramOf({
      at: new Date().toISOString(),
      host,
      hostInodes: room.launcher.lastFacts()?.hostInodes ?? null,
      sandboxes,
      sandboxesOmitted: Math.max(0, rows.length - mostSandboxes),
      states: room.store.countByState(),
    });
  }

  async #read(row: SandboxRow): Promise<SandboxFacts> {
    const { room, processes, listings } = this.#sources;
    const instance = isCurrent(row, room.bootId) ? row.instance : null;
    if (instance === null) return { report: reportFor(room, row), listing: null, processes: null };
    const [alive, listing] = await Promise.all([
      // It may have been deleted since.
      room.store.get(row.id) === null ? null : processes.of(row.id),
      listings.of(instance.pid, instance.startTicks),
    ]);
    return { report: reportFor(room, row), listing, processes: alive };
  }
}
