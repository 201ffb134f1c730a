import { DomainError } from "./errors.ts";
import type { Instance, LaunchOrder, SandboxRow } from "./ports.ts";
import type { SandboxRoom } from "./sandbox-room.ts";

/** Launches, with the sandbox's disk made first where it is to have one. @throws DomainError of the launch */
export const launchOn = async (room: SandboxRoom, order: LaunchOrder): Promise<Instance> => {
  if (order.diskBytes > 0) await room.disks.make(order.id, order.diskBytes);
  return room.launcher.launch(order);
};

/**
 * Whether the files that a sandbox has can come under this limit: a disk only grows, and files do not move between a directory and a disk.
 * @throws DomainError `unsupported`, `invalid-definition`
 */
export const checkDisk = async (room: SandboxRoom, { id, definition }: SandboxRow, bytes: number | null): Promise<void> => {
  const before = definition.limits.diskBytes;
  if (bytes === before) return;
  if (!definition.namespaces.mount) throw fault("invalid-definition", "needs a mount namespace of its own");
  const state = await room.disks.stateOf(id);
  if (state.kind === "directory" && bytes !== null)
    throw fault("unsupported", "the sandbox has files already, and they lie in no disk of its own; set it before the first start");
  if (state.kind === "image" && bytes === null) throw fault("unsupported", "the sandbox's files lie on a disk of its own, which stays");
  if (state.kind === "image" && (bytes ?? 0) < (before ?? state.bytes))
    throw fault("unsupported", `a disk only grows, and this one has ${before ?? state.bytes} bytes`);
};

const fault = (code: "unsupported" | "invalid-definition", detail: string): DomainError =>
  new DomainError(code, `/limits/diskBytes ${detail}`, { faults: [{ pointer: "/limits/diskBytes", detail }] });
