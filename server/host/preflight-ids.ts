import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { LauncherFacts } from "../domain/instance-ports.ts";
import type { Check } from "../domain/preflight.ts";

const rangeSize = 65_536;
/** Of 4,096 instances at once (supervisor/host.h). */
const idCount = 4_096 * rangeSize;
/** Whose entry in subuid(5) may lie there: it keeps the host's programs from lending these ids to somebody else. */
const ownName = "unshared";

interface Owned {
  /** File and owner. */
  by: string;
  first: number;
  /** The first id behind it. */
  end: number;
}

const linesOf = async (etc: string, name: string): Promise<string[][]> =>
  (await readFile(join(etc, name), "utf8").catch(() => "")).split("\n").map((line) => line.split(":"));

/** Accounts and groups (passwd(5), group(5)), and the ranges that users may lend (subuid(5), subgid(5)), from low ids to high. */
const ownedIds = async (etc: string): Promise<Owned[]> => {
  const accounts = ["passwd", "group"].map(async (name) =>
    (await linesOf(etc, name)).map(([owner, , id]) => ({ by: `${name}: ${owner}`, first: Number(id), end: Number(id) + 1 })),
  );
  const lent = ["subuid", "subgid"].map(async (name) =>
    (await linesOf(etc, name))
      .filter(([owner]) => owner !== ownName)
      .map(([owner, first, count]) => ({ by: `${name}: ${owner}`, first: Number(first), end: Number(first) + Number(count) })),
  );
  const found = (await Promise.all([...accounts, ...lent])).flat();
  return found.filter(({ first, end }) => end > first).sort((one, other) => one.first - other.first);
};

const isWithin = (base: number, { first, end }: Owned): boolean => first < base + idCount && base < end;

/**
 * Whether the host has given away ids that sandboxes are lent.
 * @param etc where the host's own files are; a directory service is not asked
 */
export const idRangeCheck = async ({ idBase }: LauncherFacts, etc = "/etc"): Promise<Check> => {
  const name = "id-range";
  const range = `${idBase} to ${idBase + idCount - 1}`;
  const owned = await ownedIds(etc);
  const taken = owned.filter((each) => isWithin(idBase, each));
  if (taken.length === 0) return { name, status: "ok", detail: `${range}, of which nobody else has any`, cost: null, remedy: null };
  const free = owned.reduce((base, each) => (isWithin(base, each) ? Math.ceil(each.end / rangeSize) * rangeSize : base), idBase);
  const named = taken.slice(0, 5).map(({ by, first, end }) => `${by} ${end - first === 1 ? first : `${first} to ${end - 1}`}`);
  return {
    name,
    status: "weak",
    detail: `${range}, of which others have some: ${named.join(", ")}`,
    cost: "who owns an id that a sandbox is lent owns its processes, and they what is his",
    remedy: free + idCount < 2 ** 32 ? `--id-base ${free}` : "free a range, and name it by --id-base",
  };
};
