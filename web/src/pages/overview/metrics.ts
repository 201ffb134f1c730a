/** Samples of the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/): those without quotes in a label's value. */
export interface MetricSample {
  name: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

export const parseMetrics = (text: string): MetricSample[] =>
  [...text.matchAll(/^([a-z_]+)(?:\{([^}]*)\})? (\S+)$/gim)].map(([, name = "", labels = "", value]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = "", each = ""]) => [key, each])),
    value: Number(value),
  }));

export interface PhaseTotal {
  count: number;
  seconds: number;
}

/** How often each phase of a launch was gone through since the daemon's start, and how long it took in all. */
export const phaseTotals = (samples: readonly MetricSample[]): Map<string, PhaseTotal> => {
  const totals = new Map<string, PhaseTotal>();
  for (const { name, labels, value } of samples) {
    const phase = labels["phase"];
    if (phase === undefined || !name.startsWith("unshared_launch_phase_seconds_")) continue;
    const total = totals.get(phase) ?? { count: 0, seconds: 0 };
    if (name.endsWith("_count")) totals.set(phase, { ...total, count: value });
    if (name.endsWith("_sum")) totals.set(phase, { ...total, seconds: value });
  }
  return totals;
};

/** Every launch goes through most of the phases, and through none twice. */
export const launchesOf = (totals: ReadonlyMap<string, PhaseTotal>): number =>
  Math.max(0, ...[...totals.values()].map(({ count }) => count));
