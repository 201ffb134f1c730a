import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Client } from "../../client/browser.ts";
import { noticeFailure, session } from "./session.ts";

/** What a page asked for: not there yet, there, or refused. While it is asked for again, what was there stays. */
export interface Resource<T> {
  value: T | null;
  error: unknown;
  isLoading: boolean;
  /** Asks again. */
  reload: () => void;
}

/**
 * Asks when the component appears and whenever a dependency changes; the answer to an older question is dropped.
 * @param everySeconds also so often, while the page is looked at
 */
export const useResource = <T>(
  load: (client: Client, signal: AbortSignal) => Promise<T>,
  dependencies: readonly unknown[],
  everySeconds?: number,
): Resource<T> => {
  const [state, setState] = useState<{ value: T | null; error: unknown; isLoading: boolean }>({
    value: null,
    error: null,
    isLoading: true,
  });
  const [round, setRound] = useState(0);
  const loader = useRef(load);
  loader.current = load;
  const reload = useCallback(() => setRound((before) => before + 1), []);
  const client = session.value;

  useEffect(() => {
    const stop = new AbortController();
    setState((before) => ({ ...before, isLoading: true }));
    loader
      .current(client, stop.signal)
      .then((value) => stop.signal.aborted || setState({ value, error: null, isLoading: false }))
      .catch((error: unknown) => {
        if (stop.signal.aborted) return;
        noticeFailure(error);
        setState((before) => ({ ...before, error, isLoading: false }));
      });
    return () => stop.abort();
    // What is loaded is told by the caller's dependencies.
  }, [client, round, ...dependencies]);

  useEffect(() => {
    if (everySeconds === undefined) return;
    const timer = setInterval(() => document.hidden || reload(), everySeconds * 1_000);
    return () => clearInterval(timer);
  }, [everySeconds, reload]);

  return { ...state, reload };
};
