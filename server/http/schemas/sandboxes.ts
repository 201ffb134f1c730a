import { Type } from "typebox";
import { namespaceTypes } from "../../domain/instance-ports.ts";
import { states } from "../../domain/lifecycle.ts";
import { Definition, DefinitionInputBody } from "./definitions.ts";
import { exampleReceipt, exampleReport } from "./sandbox-examples.ts";
import { Labels, Name, Nullable, named, OneOf, Reference, Timestamp } from "./shared.ts";

const strict = { additionalProperties: false } as const;

const { limits, restart, autostart, lifetime } = DefinitionInputBody.properties;

export const PatchBody = Type.Object(
  { name: Type.Optional(Name), labels: Type.Optional(Labels), limits, restart, autostart, lifetime },
  {
    ...strict,
    minProperties: 1,
    examples: [{ labels: { team: "x" } }, { limits: { memoryBytes: 536_870_912 } }, { lifetime: { ttlSeconds: 600 } }],
  },
);

const graceSeconds = Type.Number({ minimum: 0, maximum: 3_600, default: 10, description: "Between TERM and KILL." });
export const StopBody = Type.Object({ graceSeconds: Type.Optional(graceSeconds) }, { ...strict, examples: [{ graceSeconds: 10 }] });
export const EmptyBody = Type.Object({}, { ...strict, examples: [{}] });

const Namespace = Type.Object({
  inode: Type.Integer(),
  hostInode: Nullable(Type.Integer()),
  isolated: Type.Boolean(),
  path: Type.String(),
});
export const NamespaceMap = Type.Object(
  Object.fromEntries(namespaceTypes.map((type) => [type, Namespace])) as Record<(typeof namespaceTypes)[number], typeof Namespace>,
);

const Exit = Type.Object({
  reason: OneOf(["exited", "signaled", "out-of-memory"]),
  code: Nullable(Type.Integer()),
  signal: Nullable(Type.String()),
  exitedAt: Timestamp,
  durationMs: Type.Integer(),
  userCpuSeconds: Type.Number(),
  systemCpuSeconds: Type.Number(),
  maxRssBytes: Type.Integer(),
});

/** The report on a sandbox (domain/reports.ts). */
export const SandboxReport = named(
  "Sandbox",
  Type.Object(
    {
      id: Type.String(),
      name: Type.String(),
      owner: Nullable(
        Type.String({
          description: "The id of the token that made it, or `uid:N` of a local user (`--peer-scope`); null: the host's administrator.",
        }),
      ),
      generation: Type.Integer({ description: "Counts changes of the definition; the ETag." }),
      root: Nullable(Type.Object({ id: Type.String(), name: Type.String() })),
      labels: Type.Record(Type.String(), Type.String()),
      definition: Definition,
      status: Type.Object({ state: OneOf(states), reason: Nullable(Type.String()), message: Nullable(Type.String()), since: Timestamp }),
      process: Nullable(Type.Object({ pid: Type.Integer(), pidInside: Type.Integer(), startTicks: Type.Integer(), startedAt: Timestamp })),
      supervisor: Nullable(Type.Object({ pid: Type.Integer() })),
      bootId: Nullable(Type.String()),
      ids: Nullable(Type.Object({ hostUidBase: Type.Integer(), size: Type.Integer() })),
      namespaces: Nullable(NamespaceMap),
      enter: Nullable(
        Type.String({
          description: "What a person at the host's shell would type.",
          examples: ["nsenter --target 4242 --all --root --wd"],
        }),
      ),
      exit: Nullable(Exit),
      lifetime: Type.Object(
        { expiresAt: Nullable(Timestamp), idleExpiresAt: Nullable(Timestamp) },
        { description: "When it expires. The second is null also while a request, terminal or stream uses it." },
      ),
      restart: Type.Object({
        policy: Type.String(),
        count: Type.Integer({ description: "Starts by the daemon in a row." }),
        nextAt: Nullable({ ...Timestamp, description: "When it is started again by itself." }),
      }),
      phases: Type.Array(Type.Object({ name: Type.String(), microseconds: Type.Integer() })),
      warnings: Type.Array(Type.String()),
      createdAt: Timestamp,
      startedAt: Nullable(Timestamp),
    },
    { description: "Names of processes and inodes are null unless the main process is alive.", examples: [exampleReport] },
  ),
);

export const SandboxList = Type.Object(
  { items: Type.Array(SandboxReport), nextCursor: Nullable(Type.String()) },
  { examples: [{ items: [exampleReport], nextCursor: null }] },
);

/** What a teardown removed (domain/receipt.ts). */
export const TeardownReceipt = named(
  "Receipt",
  Type.Object(
    {
      id: Type.String(),
      name: Type.String(),
      reason: Type.String(),
      processes: Type.Integer({ description: "Alive when the kill was sent." }),
      mounts: Type.Integer(),
      cgroups: Type.Integer(),
      namespaces: Type.Record(Type.String(), Type.Integer(), { description: "Inodes released." }),
      files: Type.Integer(),
      bytes: Type.Integer(),
      durationMs: Type.Integer(),
      complete: Type.Boolean(),
      remaining: Type.Array(Type.String()),
      at: Timestamp,
    },
    { examples: [exampleReceipt] },
  ),
);

export const SandboxPath = Type.Object({ sandbox: Reference });

const Label = Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}=[^\\u0000]{0,255}$" });
export const SandboxQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
    cursor: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9_-]{1,64}$" })),
    state: Type.Optional(Type.Array(OneOf(states), { maxItems: 7 })),
    name: Type.Optional(Name),
    label: Type.Optional(Type.Array(Label, { maxItems: 64, description: "key=value; all must match." })),
  },
  strict,
);
