import { join } from "node:path";
import type { DiskMechanism } from "../domain/instance-ports.ts";
import type { DiskState, Disks } from "../domain/ports.ts";
import type { Check } from "../domain/preflight.ts";
import { DiskImages, imageCheck } from "./disk-images.ts";
import { projectQuota } from "./project-quota.ts";

/** What `limits.diskBytes` needs of this host. */
export const diskCheck = async (stateDir: string): Promise<Check> => {
  const type = await projectQuota(stateDir);
  if (type === null) return imageCheck();
  return { name: "disk-limits", status: "ok", detail: `by project quota of the state directory's ${type}`, cost: null, remedy: null };
};

/** A project quota where the filesystem of the state directory keeps them, else an image. What a sandbox has, it keeps. */
export class HostDisks implements Disks {
  readonly #sandboxes: string;
  readonly #images: DiskImages;

  constructor(stateDir: string) {
    this.#sandboxes = join(stateDir, "sandboxes");
    this.#images = new DiskImages(stateDir);
  }

  stateOf(id: string): Promise<DiskState> {
    return this.#images.stateOf(id);
  }

  async provide(id: string, bytes: number): Promise<DiskMechanism> {
    const { kind } = await this.stateOf(id);
    if (kind !== "image" && (await projectQuota(this.#sandboxes)) !== null) return "quota";
    await this.#images.make(id, bytes);
    return "image";
  }
}
