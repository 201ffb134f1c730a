import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../client/browser.ts";
import { noticeFailure, session } from "./session.ts";

const everyMilliseconds = 2_000;
/** Four minutes. */
const mostSamples = 120;

/**
 * What was seen in the last minutes, oldest first: looked at every two seconds while somebody looks at the page. (A long stream would take a
 * connection of the few that a browser has.)
 * @param take null: nothing to see just now
 */
export const useSamples = <T>(
  take: (client: Client, signal: AbortSignal) => Promise<T | null>,
  dependencies: readonly unknown[],
): { samples: readonly T[]; error: unknown } => {
  const [samples, setSamples] = useState<readonly T[]>([]);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    const left = new AbortController();
    const look = async (): Promise<void> => {
      if (document.hidden) return;
      try {
        const sample = await take(session.value, left.signal);
        if (left.signal.aborted) return;
        setError(null);
        if (sample !== null) setSamples((before) => [...before, sample].slice(-mostSamples));
      } catch (reason) {
        if (left.signal.aborted) return;
        noticeFailure(reason);
        setError(reason);
      }
    };
    void look();
    const timer = setInterval(look, everyMilliseconds);
    return () => {
      clearInterval(timer);
      left.abort();
    };
    // What is looked at is told by the caller's dependencies.
  }, dependencies);
  return { samples, error };
};
