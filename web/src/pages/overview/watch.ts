import { useEffect, useState } from "preact/hooks";
import type { api } from "../../../../client/browser.ts";
import { noticeFailure, session } from "../../session.ts";
import { launchesOf, type PhaseTotal, parseMetrics, phaseTotals } from "./metrics.ts";

export interface HostSample {
  seconds: number;
  host: api.Operations["getInfo"]["reply"]["host"];
  readyShells: number | null;
  phases: ReadonlyMap<string, PhaseTotal>;
  launches: number;
}

const everyMilliseconds = 2_000;
const mostSamples = 120;

/** The last minutes of host and launches, looked at every two seconds while somebody looks at the page. */
export const useHostSamples = (): { samples: readonly HostSample[]; error: unknown } => {
  const [samples, setSamples] = useState<readonly HostSample[]>([]);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    const left = new AbortController();
    const look = async (): Promise<void> => {
      if (document.hidden) return;
      try {
        const options = { signal: left.signal };
        const [{ host, launcher }, text] = await Promise.all([session.value.info(options), session.value.metrics(options)]);
        const phases = phaseTotals(parseMetrics(text));
        const sample = {
          seconds: Date.now() / 1_000,
          host,
          readyShells: launcher?.readyShells ?? null,
          phases,
          launches: launchesOf(phases),
        };
        if (left.signal.aborted) return;
        setError(null);
        setSamples((before) => [...before, sample].slice(-mostSamples));
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
  }, []);
  return { samples, error };
};
