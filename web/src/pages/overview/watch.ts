import type { api } from "../../../../client/browser.ts";
import { useSamples } from "../../samples.ts";
import { launchesOf, type PhaseTotal, parseMetrics, phaseTotals } from "./metrics.ts";

export interface HostSample {
  seconds: number;
  host: api.Operations["getInfo"]["reply"]["host"];
  readyShells: number | null;
  phases: ReadonlyMap<string, PhaseTotal>;
  launches: number;
}

/** The last minutes of host and launches. */
export const useHostSamples = (): { samples: readonly HostSample[]; error: unknown } =>
  useSamples(async (client, signal) => {
    const [{ host, launcher }, text] = await Promise.all([client.info({ signal }), client.metrics({ signal })]);
    const phases = phaseTotals(parseMetrics(text));
    return { seconds: Date.now() / 1_000, host, readyShells: launcher?.readyShells ?? null, phases, launches: launchesOf(phases) };
  }, []);
