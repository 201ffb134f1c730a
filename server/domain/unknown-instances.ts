import { setTimeout as sleep } from "node:timers/promises";
import type { Attached, Supervisors } from "./instance-ports.ts";
import { deadlines } from "./lifecycle.ts";

const pollMilliseconds = 20;

const attachWithin = async (supervisors: Supervisors, id: string, milliseconds: number): Promise<Attached> => {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    try {
      return await supervisors.attach(id);
    } catch (error) {
      if (performance.now() >= deadline) throw error;
      await sleep(pollMilliseconds * 5);
    }
  }
};

/**
 * Ends an instance that no row stands for: kills it, waits until nothing is left, releases its supervisor.
 * @param patience milliseconds that its supervisor is waited for where it does not answer yet
 * @throws DomainError `launcher-unavailable` when no supervisor answers; Error when it does not end in time
 */
export const endUnknown = async (supervisors: Supervisors, id: string, patience: number): Promise<void> => {
  const { state } = await attachWithin(supervisors, id, patience);
  if (state !== "gone") await supervisors.stop(id, 0);
  const deadline = performance.now() + (deadlines.stopping ?? 0);
  for (let now = state; now !== "gone"; now = (await supervisors.attach(id)).state) {
    if (performance.now() >= deadline) throw new Error("its supervisor did not end it in time");
    await sleep(pollMilliseconds);
  }
  await supervisors.release(id);
};
