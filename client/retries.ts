/** When what failed is tried again, and how long is waited before. */
export interface RetryPolicy {
  /** Attempts of one request, the first included. 8 by default: with the pauses between them time enough for a daemon to be started anew. */
  attempts: number;
  /** The longest pause between two, also where the daemon asks for more. 5 by default. */
  longestSeconds: number;
  /** How long a stream tries to come back after its connection was lost. 60 by default. */
  reconnectSeconds: number;
}

export const defaultRetries: RetryPolicy = { attempts: 8, longestSeconds: 5, reconnectSeconds: 60 };

const firstMilliseconds = 100;

/** Answers that say that nothing was done, or that the same request may be done again: busy, shutting down, a gateway without a daemon. */
const retriedStatuses: ReadonlySet<number> = new Set([429, 502, 503, 504]);
export const isRetried = (status: number): boolean => retriedStatuses.has(status);

/** Milliseconds to wait after so many failures: doubled each time, a random part of it, and at least what `Retry-After` asks for. */
export const pauseAfter = (failures: number, retryAfter: string | null, policy: RetryPolicy): number => {
  const most = policy.longestSeconds * 1000;
  const backoff = Math.min(most, firstMilliseconds * 2 ** (failures - 1));
  const asked = retryAfter === null ? 0 : secondsOf(retryAfter) * 1000;
  return Math.min(most, Math.max(backoff * (0.5 + Math.random() / 2), asked));
};

/** The header holds seconds or a date (RFC 9110, section 10.2.3). */
const secondsOf = (text: string): number => {
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : 0;
};

/** @throws the signal's reason as soon as it aborts */
export const pause = (milliseconds: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    if (signal?.aborted === true) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
