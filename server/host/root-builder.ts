import { DomainError } from "../domain/errors.ts";
import type { CopySource, Provision, RequestedSource, RootBuilder } from "../domain/root-ports.ts";
import { buildCopy } from "./copy-build.ts";
import { planCopy } from "./copy-plan.ts";
import { prepareDebootstrap } from "./debootstrap.ts";
import { defaultSource } from "./default-root.ts";
import { RootFolders } from "./root-folders.ts";

/** Makes roots on this host's disk, of each kind that a source can have. */
export class HostRootBuilder implements RootBuilder {
  readonly #folders: RootFolders;

  constructor(stateDir: string) {
    this.#folders = new RootFolders(stateDir);
  }

  async prepare(source: RequestedSource): Promise<Provision> {
    if (source.kind === "debootstrap") return await prepareDebootstrap(source, this.#folders);
    return await this.#prepareCopy({ kind: "copy", binaries: source.binaries ?? [], files: source.files ?? [] });
  }

  defaultSource(): Promise<CopySource> {
    return defaultSource();
  }

  manifest(id: string): Promise<{ bytes: number; stream: NodeJS.ReadableStream }> {
    return this.#folders.manifest(id);
  }

  remove(id: string): Promise<void> {
    return this.#folders.remove(id);
  }

  sweep(known: readonly string[]): Promise<{ removed: string[]; lost: string[] }> {
    return this.#folders.sweep(known);
  }

  async #prepareCopy(source: CopySource): Promise<Provision> {
    const { plan, faults } = await planCopy(source);
    const first = faults[0];
    if (first) {
      const more = faults.length > 1 ? `, and ${faults.length - 1} more` : "";
      throw new DomainError("root-source-invalid", `${first.detail}${more}`, { faults: faults.slice(0, 64) });
    }
    const run: Provision["run"] = (id, control) =>
      this.#folders
        .make(id, control, (tree) => buildCopy(plan, tree, control))
        .catch((error: NodeJS.ErrnoException) => {
          if (control.signal.aborted || error.code === undefined) throw error;
          throw new DomainError("root-provision-failed", `copying failed: ${error.message}`, { cause: error });
        });
    return { source, run };
  }
}
