import { isIPv6 } from "node:net";
import { DomainError } from "../domain/errors.ts";

/** Wrong tokens that one network may send in so many milliseconds. */
const most = 20;
const windowMilliseconds = 60_000;
/** Networks that are remembered; the one that began longest ago is forgotten first. */
const mostNetworks = 10_000;

/** Who could have several addresses: the first half of one of IPv6, and one of IPv4 whole. */
const networkOf = (address: string): string => {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  const [head = [], tail] = address.split("::", 2).map((half) => half.split(":").filter((group) => group !== ""));
  const missing = tail === undefined ? 0 : 8 - head.length - tail.length;
  return [...head, ...Array<string>(missing).fill("0"), ...(tail ?? [])].slice(0, 4).join(":");
};

/**
 * Counts wrong tokens by where they come from. It bounds what they cost and write to the log; a right token is let in all the same, so that
 * nobody is shut out by somebody else of the same address, and 256 bits of chance are not guessed at any rate.
 */
export class FailedTokens {
  readonly #networks = new Map<string, { count: number; until: number }>();

  /** @throws DomainError `too-many-requests` (member retryAfterSeconds) where there were too many */
  count(address: string, now: number = Date.now()): void {
    const network = networkOf(address);
    let found = this.#networks.get(network);
    if (found === undefined || found.until <= now) {
      this.#networks.delete(network);
      found = { count: 0, until: now + windowMilliseconds };
      this.#networks.set(network, found);
      const [oldest] = this.#networks.size > mostNetworks ? this.#networks.keys() : [];
      if (oldest !== undefined) this.#networks.delete(oldest);
    }
    found.count += 1;
    if (found.count <= most) return;
    const retryAfterSeconds = Math.ceil((found.until - now) / 1000);
    throw new DomainError("too-many-requests", "too many wrong tokens came from this address", { members: { retryAfterSeconds } });
  }
}
