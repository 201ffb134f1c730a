import { DomainError } from "./errors.ts";
import type { SandboxRow } from "./sandbox-ports.ts";

/** What of a token's sandboxes is counted, in the order in which it is told. */
export const sandboxQuotas = ["sandboxes", "running", "memoryBytes", "diskBytes"] as const;
export type SandboxQuota = (typeof sandboxQuotas)[number];

export const quotaNames = [...sandboxQuotas, "roots", "runs", "streams", "requestsPerSecond"] as const;
export type QuotaName = (typeof quotaNames)[number];

/** The least and the most that each may be. All are whole numbers but `requestsPerSecond`. */
export const quotaBounds: Readonly<Record<QuotaName, readonly [number, number]>> = {
  sandboxes: [0, 1_000_000],
  running: [0, 1_000_000],
  memoryBytes: [0, 2 ** 50],
  diskBytes: [0, 2 ** 50],
  roots: [0, 1_000_000],
  runs: [0, 1_000_000],
  streams: [0, 100_000],
  requestsPerSecond: [0.01, 1_000_000],
};

/** The most that a token, or a local user, may have at a time, by name; what is not named has no bound of theirs. */
export type Quotas = Partial<Record<QuotaName, number>>;

export interface UsageStore {
  /** Of all sandboxes of this owner but one. What waits to be restarted by the daemon counts as running. Limits that are not set count as nothing. */
  usage(owner: string, but: string): Record<SandboxQuota, number>;
}

/** Holds sandboxes to the quotas of the token that made them, whoever asks. */
export class SandboxQuotas {
  readonly #quotasOf: (owner: string) => Quotas;
  readonly #store: UsageStore;
  /** What sandboxes are about to use more of, once the kernel has taken it. */
  readonly #promised = new Map<string, { owner: string; more: Partial<Record<SandboxQuota, number>> }>();

  /** @param quotasOf those of a token or local user; none of one that is revoked */
  constructor(quotasOf: (owner: string) => Quotas, store: UsageStore) {
    this.#quotasOf = quotasOf;
    this.#store = store;
  }

  /**
   * Whether there is room for this sandbox, as it is to be, beside its owner's others. To be called in the transaction that writes it.
   * @param names what it is going to use more of
   * @throws DomainError `quota-exceeded` (members quota, limit, used)
   */
  check(row: SandboxRow, names: readonly SandboxQuota[]): void {
    if (row.owner === null) return;
    const quotas = this.#quotasOf(row.owner);
    const bounded = names.filter((name) => quotas[name] !== undefined);
    if (bounded.length === 0) return;
    const used = this.#store.usage(row.owner, row.id);
    for (const [id, { owner, more }] of this.#promised)
      if (owner === row.owner && id !== row.id) for (const name of bounded) used[name] += more[name] ?? 0;
    for (const name of bounded) {
      const limit = quotas[name] ?? 0;
      const asked = name === "memoryBytes" || name === "diskBytes" ? row.definition.limits[name] : 1;
      if (asked === null || used[name] + asked > limit) throw exceeded(name, limit, used[name], asked);
    }
  }

  /**
   * Checks a change of limits that is stored only later, and holds its room until then: two at once cannot both have what is left.
   * @returns lets go of it
   * @throws DomainError `quota-exceeded`
   */
  promise(before: SandboxRow, next: SandboxRow, names: readonly ("memoryBytes" | "diskBytes")[]): () => void {
    this.check(next, names);
    if (next.owner === null) return () => {};
    const moreOf = (name: (typeof names)[number]) =>
      Math.max(0, (next.definition.limits[name] ?? 0) - (before.definition.limits[name] ?? 0));
    this.#promised.set(next.id, { owner: next.owner, more: Object.fromEntries(names.map((name) => [name, moreOf(name)])) });
    return () => void this.#promised.delete(next.id);
  }
}

/** @throws DomainError `quota-exceeded` (members quota, limit, used) where a token has as many roots as it may */
export const checkRoots = ({ roots: limit }: Quotas, used: () => number): void => {
  if (limit !== undefined && used() >= limit) throw exceeded("roots", limit, used(), 1);
};

const exceeded = (quota: SandboxQuota | "roots", limit: number, used: number, asked: number | null): DomainError => {
  const isOfLimit = quota === "memoryBytes" || quota === "diskBytes";
  const detail =
    asked === null
      ? `must be set: the token may have ${limit} in all`
      : `${used} of the token's ${limit} ${quota} are used, and ${asked} more are asked for`;
  return new DomainError("quota-exceeded", isOfLimit ? `/limits/${quota}: ${detail}` : detail, {
    members: { quota, limit, used },
    faults: isOfLimit ? [{ pointer: `/limits/${quota}`, detail }] : [],
  });
};

/** @throws DomainError `too-many-requests` where `used` and `more` pass what the token may have at a time */
export const checkInFlight = (
  quotas: Quotas,
  quota: "runs" | "streams",
  used: number,
  more: number,
  most = Number.POSITIVE_INFINITY,
): void => {
  const limit = quotas[quota] ?? most;
  if (used + more <= limit) return;
  throw new DomainError("too-many-requests", `${used} of the token's ${limit} ${quota} are under way, and ${more} more are asked for`, {
    members: { quota, limit, used },
  });
};
