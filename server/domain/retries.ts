import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds before the second attempt, and the most between any two: each pause is twice as long as the one before. */
const firstMilliseconds = 100;
const mostMilliseconds = 5_000;

/**
 * Tries until it is done, with pauses, for as long as the daemon lives; they do not keep it alive.
 * @param attempt false, or a rejection: not done yet
 * @param failed hears each rejection
 */
export const untilDone = async (attempt: () => Promise<boolean>, failed: (error: unknown) => void): Promise<void> => {
  for (let pause = firstMilliseconds; ; pause = Math.min(2 * pause, mostMilliseconds)) {
    try {
      if (await attempt()) return;
    } catch (error) {
      failed(error);
    }
    await sleep(pause, null, { ref: false });
  }
};
