/** The value below which the given share of the samples lies (nearest rank); NaN without samples. */
export const percentile = (samples: readonly number[], share: number): number => {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
};

export const median = (samples: readonly number[]): number => percentile(samples, 0.5);

export interface Summary {
  count: number;
  p50: number;
  p90: number;
}

export const summarize = (samples: readonly number[]): Summary => ({
  count: samples.length,
  p50: percentile(samples, 0.5),
  p90: percentile(samples, 0.9),
});

/** A median, and bounds between which the true one lies in 95 of 100 cases. */
export interface Interval {
  median: number;
  low: number;
  high: number;
}

/** By order statistics, which suppose nothing of how the samples are spread. */
export const medianInterval = (samples: readonly number[]): Interval => {
  const sorted = samples.toSorted((a, b) => a - b);
  const rank = Math.max(0, Math.floor((sorted.length - 1.96 * Math.sqrt(sorted.length)) / 2));
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  return { median: median(samples), low: at(rank), high: at(sorted.length - 1 - rank) };
};
