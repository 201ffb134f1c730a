/** Who asks, and what that lets them do. */
import { DomainError } from "./errors.ts";
import type { Quotas } from "./quotas.ts";

/** Each includes those before it. `read`: look; `run`: sandboxes with all that is in them, and runs; `admin`: what all share. */
export const scopes = ["read", "run", "admin"] as const;
export type Scope = (typeof scopes)[number];

export const reaches = (scope: Scope, needed: Scope): boolean => scopes.indexOf(scope) >= scopes.indexOf(needed);

/** Which sandboxes and runs somebody sees: those that this token or local user made, or those with these labels. Null: all. */
export type View = { owner: string } | { labels: Readonly<Record<string, string>> } | null;

/** What a view is laid on. `owner`: the token or local user that made it; null: the host's own administrator did. */
export interface Owned {
  owner: string | null;
  labels: Readonly<Record<string, string>>;
}

export const sees = (view: View, { owner, labels }: Owned): boolean => {
  if (view === null) return true;
  if ("owner" in view) return owner === view.owner;
  return labelsSeen(view).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
};

/** Where sandboxes are looked up by id, also those that are no more. */
export interface Owners {
  get(id: string): Owned | null;
  departed(id: string): Owned | null;
}

/** Events and operations (`kind` is such as `sandbox.running`): of roots they are everybody's, of sandboxes theirs who see it, else theirs who see all. */
export const seesSubject = (view: View, owners: Owners, kind: string, subject: string): boolean => {
  if (view === null || kind.startsWith("root.")) return true;
  const found = owners.get(subject) ?? owners.departed(subject);
  return found !== null && sees(view, found);
};

/** The labels that a view asks for. */
export const labelsSeen = (view: View): [string, string][] => (view !== null && "labels" in view ? Object.entries(view.labels) : []);

/** Whoever sent a request. */
export interface Caller {
  /** `unix`, `token` for the daemon's token file, the id of a token, or `uid:N` (peer-scopes.ts): whose idempotency keys and turns in the queue of runs they are. */
  id: string;
  /** Of the token; else as the id. */
  name: string;
  scope: Scope;
  view: View;
  quotas: Quotas;
  /** When it may ask no more: milliseconds since 1970; null: no such time. */
  expiresAt: number | null;
}

const administrators = ["unix", "token"] as const;

/** Who has the socket, or the daemon's token file, is the host's own administrator. */
export const administrator = (id: (typeof administrators)[number]): Caller => ({
  id,
  name: id,
  scope: "admin",
  view: null,
  quotas: {},
  expiresAt: null,
});

/** Whose is what a caller of this id makes. */
export const ownerOf = (id: string): string | null => (administrators.some((each) => each === id) ? null : id);

/**
 * Labels of what a caller makes or changes: with those that it is confined to, so that it goes on to see it.
 * @throws DomainError `forbidden` where they say otherwise
 */
export const confinedLabels = (view: View, labels: Record<string, string>, pointer = "/labels"): Record<string, string> => {
  if (view === null || "owner" in view) return labels;
  const faults = Object.entries(view.labels)
    .filter(([key, value]) => Object.hasOwn(labels, key) && labels[key] !== value)
    .map(([key, value]) => ({ pointer: `${pointer}/${key}`, detail: `must be "${value}": the token is confined to it` }));
  if (faults.length > 0) throw new DomainError("forbidden", "the token is confined to sandboxes with other labels", { faults });
  return { ...labels, ...view.labels };
};
