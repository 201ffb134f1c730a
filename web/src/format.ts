/** Numbers and times as a person reads them. */

const units = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** @param bytes null: not known, or no limit */
export const formatBytes = (bytes: number | null | undefined): string => {
  if (bytes === null || bytes === undefined) return "–";
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
};

export const formatNumber = (value: number): string => value.toLocaleString("en", { maximumFractionDigits: 1 });

export const formatMilliseconds = (milliseconds: number): string => {
  if (milliseconds < 1_000) return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
  return formatSeconds(milliseconds / 1_000);
};

export const formatSeconds = (seconds: number): string => {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1).replace(/\.0$/, "") : Math.round(seconds)} s`;
  const steps = [
    { length: 86_400, name: "d", below: 3_600, belowName: "h" },
    { length: 3_600, name: "h", below: 60, belowName: "min" },
    { length: 60, name: "min", below: 1, belowName: "s" },
  ];
  for (const { length, name, below, belowName } of steps) {
    if (seconds < length) continue;
    const rest = Math.floor((seconds % length) / below);
    return `${Math.floor(seconds / length)} ${name}${rest > 0 ? ` ${rest} ${belowName}` : ""}`;
  }
  return "0 s";
};

/** How long ago, at `now` in milliseconds since 1970. */
export const formatAgo = (time: string, now: number): string => {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1_000);
  return seconds < 5 ? "just now" : `${formatSeconds(Math.floor(seconds))} ago`;
};

/** The local time of day, with the date unless it is today's. */
export const formatTime = (time: string): string => {
  const date = new Date(time);
  const clock = date.toLocaleTimeString("en-GB");
  return date.toDateString() === new Date().toDateString() ? clock : `${date.toLocaleDateString("en-CA")} ${clock}`;
};

/** A command as a shell would take it. */
export const formatCommand = (words: readonly string[]): string =>
  words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
