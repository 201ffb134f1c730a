import { exitCodes } from "../exit-codes.ts";
import { Ending } from "../failures.ts";

const usage = (message: string): never => {
  throw new Ending(exitCodes.usage, message);
};

/** "key=value" texts as an object. @throws Ending for one without `=` */
export const pairsOf = (texts: readonly string[], what: string): Record<string, string> =>
  Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      return at < 1 ? usage(`${what} takes KEY=VALUE, not "${text}"`) : [text.slice(0, at), text.slice(at + 1)];
    }),
  );

const units: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** Bytes, as 64m or 1g; units are powers of 1,024. */
export const bytesOf = (text: string): number => {
  const match = /^(\d+(?:\.\d+)?)([kmgt]?)i?b?$/i.exec(text);
  if (match === null) return usage(`"${text}" is no size; it looks like 64m or 1g`);
  return Math.round(Number(match[1]) * (units[(match[2] ?? "").toLowerCase()] ?? 1));
};

export const numberOf = (text: string): number => {
  const value = Number(text);
  return text.trim() === "" || !Number.isFinite(value) || value < 0 ? usage(`"${text}" is no number`) : value;
};

/** Seconds, as 30, 90s, 5m, 2h or 1d. */
export const secondsOf = (text: string): number => {
  const match = /^(\d+(?:\.\d+)?)([smhd]?)$/.exec(text);
  if (match === null) return usage(`"${text}" is no time; it looks like 30s, 5m or 2h`);
  return Number(match[1]) * ({ "": 1, s: 1, m: 60, h: 3600, d: 86_400 }[match[2] ?? ""] ?? 1);
};

/** A moment: RFC 3339, or so long ago. */
export const momentOf = (text: string): Date => {
  if (/^\d+(\.\d+)?[smhd]?$/.test(text)) return new Date(Date.now() - secondsOf(text) * 1000);
  const time = Date.parse(text);
  return Number.isNaN(time) ? usage(`"${text}" is no time; it looks like 2026-11-24T10:00:00Z or 10m`) : new Date(time);
};

/** UID or UID:GID. */
export const userOf = (text: string): { uid: number; gid: number } => {
  const match = /^(\d+)(?::(\d+))?$/.exec(text);
  if (match === null) return usage(`"${text}" is no user; it looks like 1000 or 1000:1000`);
  return { uid: Number(match[1]), gid: Number(match[2] ?? match[1]) };
};

/** Adds what an option that may be given again has to what it had. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];

export const sizeText = (bytes: number | null | undefined): string => {
  if (bytes === null || bytes === undefined) return "-";
  const step = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** step;
  return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)}${["B", "K", "M", "G", "T"][step]}`;
};

/** How long ago, in one unit. */
export const ageText = (time: string): string => {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (seconds < 90) return `${Math.floor(seconds)}s`;
  if (seconds < 5_400) return `${Math.floor(seconds / 60)}m`;
  return seconds < 129_600 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
};
