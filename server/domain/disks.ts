import { DomainError } from "./errors.ts";
import type { Instance, LaunchOrder } from "./instance-ports.ts";
import type { Instances } from "./instances.ts";
import type { SandboxRow } from "./sandbox-ports.ts";
import type { SandboxRoom } from "./sandbox-room.ts";

/** Launches, with the sandbox's disk provided first where it is to have one. @throws DomainError of the launch */
export const launchOn = async (room: SandboxRoom, instances: Instances, order: LaunchOrder): Promise<Instance> => {
  const image = order.diskBytes > 0 && (await room.disks.provide(order.id, order.diskBytes)) === "image";
  return room.launcher.launch({ ...order, image }, () => void instances.endUnanswered(order.id));
};

/**
 * Whether the files that a sandbox has can come under this limit: an image only grows, a quota may be anything; files that were never bounded cannot be.
 * @throws DomainError `unsupported`, `invalid-definition`
 */
export const checkDisk = async (room: SandboxRoom, { id, definition }: SandboxRow, bytes: number | null): Promise<void> => {
  const before = definition.limits.diskBytes;
  if (bytes === before) return;
  if (!definition.namespaces.mount) throw fault("invalid-definition", "needs a mount namespace of its own");
  const state = await room.disks.stateOf(id);
  if (state.kind === "directory" && before === null)
    throw fault("unsupported", "the sandbox has files already, and nothing bounds them; set it before the first start");
  if (state.kind !== "none" && bytes === null) throw fault("unsupported", "what bounds the sandbox's files stays");
  if (state.kind === "image" && (bytes ?? 0) < (before ?? state.bytes))
    throw fault("unsupported", `a disk image only grows, and this one has ${before ?? state.bytes} bytes`);
};

const fault = (code: "unsupported" | "invalid-definition", detail: string): DomainError =>
  new DomainError(code, `/limits/diskBytes ${detail}`, { faults: [{ pointer: "/limits/diskBytes", detail }] });
