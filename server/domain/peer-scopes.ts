/** What local users may do: scopes by the uid and groups of whoever connected to the unix socket (unix(7), SO_PEERCRED). */
import { administrator, type Caller, reaches, type Scope } from "./callers.ts";
import { DomainError } from "./errors.ts";
import type { Peer } from "./ports.ts";
import type { Quotas } from "./quotas.ts";

/** What those whom a rule is about may do. */
export interface PeerGrant {
  scope: Scope;
  /** They see what others made, too. Whoever has the scope `admin` does in any case. */
  seesAll: boolean;
  /** For each of them. */
  quotas: Quotas;
}

export interface PeerRule extends PeerGrant {
  kind: "uid" | "gid";
  id: number;
}

/** The rule of the uid, else of the groups the one that reaches furthest; of two that reach as far the first. */
const ruleFor = (rules: readonly PeerRule[], { uid, gids }: Peer): PeerRule | null => {
  const own = rules.find(({ kind, id }) => kind === "uid" && id === uid);
  if (own !== undefined) return own;
  const [first, ...rest] = rules.filter(({ kind, id }) => kind === "gid" && gids.includes(id));
  return first === undefined ? null : rest.reduce((best, rule) => (reaches(best.scope, rule.scope) ? best : rule), first);
};

const nameOf = (uid: number): string => `uid:${uid}`;

/** Who is who on the unix socket of a daemon that has rules about that. */
export class PeerScopes {
  readonly #rules: readonly PeerRule[];
  /** By the id of the caller. A user of the host that connected since the daemon's start, or has a rule of his own. */
  readonly #quotas = new Map<string, Quotas>();

  constructor(rules: readonly PeerRule[]) {
    this.#rules = rules;
    for (const { kind, id, quotas } of rules) if (kind === "uid") this.#quotas.set(nameOf(id), quotas);
  }

  /** Root is the host's administrator. What others make is theirs, by their uid. @throws DomainError `forbidden` where no rule is about the peer */
  callerOf(peer: Peer): Caller {
    if (peer.uid === 0) return administrator("unix");
    const rule = ruleFor(this.#rules, peer);
    if (rule === null) throw new DomainError("forbidden", `uid ${peer.uid} may not use this daemon: no rule of --peer-scope is about it`);
    const id = nameOf(peer.uid);
    const view = rule.seesAll || rule.scope === "admin" ? null : { owner: id };
    this.#quotas.set(id, rule.quotas);
    return { id, name: `uid ${peer.uid}`, scope: rule.scope, view, quotas: rule.quotas, expiresAt: null };
  }

  /** Of an owner: null where it is no local user, or nobody knows which rule is about him, since he has not connected yet. */
  quotasOf(id: string): Quotas | null {
    return this.#quotas.get(id) ?? null;
  }
}
