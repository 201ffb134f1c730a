import { Type } from "typebox";
import { type Scope, scopes } from "../../domain/callers.ts";
import { type QuotaName, quotaBounds } from "../../domain/quotas.ts";
import type { TokenRow } from "../../domain/tokens.ts";
import { Labels, Name, Nullable, named, OneOf, Reference, Timestamp } from "./shared.ts";

const strict = { additionalProperties: false } as const;

export const TokenPath = Type.Object({ token: Reference });

const Scopes = Type.Array(OneOf(scopes), {
  minItems: 1,
  maxItems: 3,
  description:
    "`read` looks; `run` also makes and uses sandboxes and runs; `admin` also changes roots and tokens, shares namespaces of the host, and sees all.",
});

const selectorText =
  "It sees sandboxes and runs with these labels, whoever made them, and what it makes gets them; {}: all. Without it: those that it made.";

const bounds = (name: QuotaName) => ({ minimum: quotaBounds[name][0], maximum: quotaBounds[name][1] });
const quota = (name: QuotaName, description: string) => Type.Optional(Type.Integer({ ...bounds(name), description }));
const Quotas = Type.Object(
  {
    sandboxes: quota("sandboxes", "Sandboxes, whether they run or not, those of runs included."),
    running: quota("running", "Sandboxes that run."),
    memoryBytes: quota("memoryBytes", "Sum of `limits.memoryBytes` of those that run; each must have one then."),
    diskBytes: quota("diskBytes", "Sum of `limits.diskBytes` of all; each must have one then."),
    roots: quota("roots", "Roots that it made and that are there, those that are being provisioned included."),
    runs: quota("runs", "Runs that wait or are under way."),
    streams: quota("streams", "Streams, watches and terminals that are open; 1,000 by default."),
    requestsPerSecond: Type.Optional(
      Type.Number({ ...bounds("requestsPerSecond"), description: "Requests; after a quiet time twice as many at once." }),
    ),
  },
  { ...strict, description: "The most that it may have at a time. What is not named has no bound but the daemon's." },
);

export const TokenBody = Type.Object(
  {
    name: Name,
    scopes: Scopes,
    selector: Type.Optional({ ...Labels, description: selectorText }),
    quotas: Type.Optional(Quotas),
    ttlSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 315_360_000, description: "Expires so long after it was made." })),
  },
  { ...strict, examples: [{ name: "ci", scopes: ["run"], quotas: { sandboxes: 10, runs: 4 }, ttlSeconds: 86_400 }] },
);

const members = {
  id: Type.String(),
  name: Type.String(),
  scopes: Scopes,
  selector: Nullable(Type.Record(Type.String(), Type.String(), { description: selectorText })),
  quotas: Quotas,
  createdAt: Timestamp,
  expiresAt: Nullable(Timestamp),
  lastUsedAt: Nullable({ ...Timestamp, description: "To within a minute." }),
};

const example = {
  id: "01jd9f4d7k3m5n8p0q2r4s6t8v",
  name: "ci",
  scopes: ["read", "run"],
  selector: null,
  quotas: { sandboxes: 10, runs: 4 },
  createdAt: "2026-11-24T10:00:00.000Z",
  expiresAt: "2026-11-25T10:00:00.000Z",
  lastUsedAt: null,
};

export const Token = named("Token", Type.Object(members, { examples: [example] }));
export const TokenList = Type.Object(
  { items: Type.Array(Token), nextCursor: Nullable(Type.String()) },
  { examples: [{ items: [example], nextCursor: null }] },
);
export const NewToken = Type.Object(
  { ...members, token: Type.String({ description: "The secret. It is told once, and kept nowhere." }) },
  { examples: [{ ...example, token: "unshared_..." }] },
);

export const TokenQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
    cursor: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9_-]{1,64}$" })),
  },
  strict,
);

const isoOrNull = (time: number | null): string | null => (time === null ? null : new Date(time).toISOString());

export const tokenBody = ({ id, name, scope, selector, quotas, createdAt, expiresAt, lastUsedAt }: TokenRow) => ({
  id,
  name,
  scopes: scopes.slice(0, scopes.indexOf(scope) + 1) as Scope[],
  selector,
  quotas,
  createdAt: new Date(createdAt).toISOString(),
  expiresAt: isoOrNull(expiresAt),
  lastUsedAt: isoOrNull(lastUsedAt),
});
