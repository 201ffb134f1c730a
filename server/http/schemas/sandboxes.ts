import { Type } from "typebox";
import { capabilityNames } from "../../domain/capabilities.ts";
import { states } from "../../domain/lifecycle.ts";
import { namespaceTypes } from "../../domain/ports.ts";
import { exampleReceipt, exampleReport } from "./sandbox-examples.ts";
import { Labels, Name, Nullable, named, OneOf, Reference, Text, Timestamp } from "./shared.ts";

const strict = { additionalProperties: false } as const;
const Flag = Type.Optional(Type.Boolean());
const Count = (minimum: number, maximum: number, description: string) => Type.Integer({ minimum, maximum, description });

const EnvironmentInput = Type.Record(Type.String({ pattern: "^[^=\\u0000]{1,255}$" }), Text({ maxLength: 131_072 }), {
  ...strict,
  maxProperties: 1_000,
  description: "PATH and HOME (TERM with a terminal) are added unless given.",
  examples: [{ K: "v" }],
});
const Command = Type.Array(Text({ maxLength: 131_072 }), {
  minItems: 1,
  maxItems: 256,
  description: "The first is also the file to execute, searched in PATH.",
  examples: [["/bin/bash"]],
});
const Id = Type.Integer({ minimum: 0, maximum: 65_535 });
const namespaceSwitch = Type.Optional(Type.Boolean({ description: "false: the host's own; needs the admin scope." }));

/** What POST /v1/sandboxes takes. What this version cannot do is let through here and refused by the domain with its own code. */
export const DefinitionInputBody = Type.Object(
  {
    name: Type.Optional(Name),
    root: Type.Optional(Nullable(Reference)),
    command: Type.Optional(Command),
    env: Type.Optional(EnvironmentInput),
    cwd: Type.Optional(Text({ minLength: 1, maxLength: 4095, description: "Absolute path inside." })),
    user: Type.Optional(Type.Object({ uid: Type.Optional(Id), gid: Type.Optional(Id) }, strict)),
    hostname: Type.Optional(Nullable(Type.String({ pattern: "^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$" }))),
    tty: Flag,
    namespaces: Type.Optional(
      Type.Object(
        {
          mount: namespaceSwitch,
          uts: namespaceSwitch,
          ipc: namespaceSwitch,
          net: namespaceSwitch,
          pid: namespaceSwitch,
          user: namespaceSwitch,
          cgroup: namespaceSwitch,
          time: Type.Optional(Type.Boolean()),
        },
        strict,
      ),
    ),
    limits: Type.Optional(
      Type.Object(
        {
          memoryBytes: Type.Optional(Nullable(Count(1_048_576, 2 ** 46, "null: no limit. Swap is off when it is set."))),
          cpus: Type.Optional(Nullable(Type.Number({ minimum: 0.01, maximum: 1024, description: "null: no limit." }))),
          pids: Type.Optional(Count(1, 4_194_304, "Processes and threads, the sandbox's init included.")),
          diskBytes: Type.Optional(Nullable(Count(1, 2 ** 50, "Not supported yet."))),
          openFiles: Type.Optional(Count(8, 1_048_576, "RLIMIT_NOFILE.")),
          outputBytes: Type.Optional(Count(4_096, 67_108_864, "Output kept for each process.")),
        },
        strict,
      ),
    ),
    capabilities: Type.Optional(
      Type.Array(OneOf(capabilityNames), { maxItems: 64, description: "Kept inside the user namespace; none by default." }),
    ),
    seccomp: Type.Optional(OneOf(["default"])),
    init: Flag,
    network: Type.Optional(Type.Object({ mode: Type.Optional(Text({ maxLength: 32 })) }, strict)),
    restart: Type.Optional(
      Type.Object(
        {
          policy: Type.Optional(OneOf(["never", "on-failure", "always"])),
          maxRetries: Type.Optional(Count(0, 1_000, "Not supported yet.")),
        },
        strict,
      ),
    ),
    lifetime: Type.Optional(
      Type.Object(
        {
          ttlSeconds: Type.Optional(Nullable(Count(1, 31_536_000, "Not supported yet."))),
          idleSeconds: Type.Optional(Nullable(Count(1, 31_536_000, "Not supported yet."))),
          onExpiry: Type.Optional(OneOf(["delete", "stop"])),
        },
        strict,
      ),
    ),
    labels: Type.Optional(Labels),
  },
  { ...strict, examples: [{}, { name: "web-1", root: "bash", command: ["/bin/bash"], limits: { memoryBytes: 268_435_456, pids: 128 } }] },
);

export const PatchBody = Type.Object(
  { name: Type.Optional(Name), labels: Type.Optional(Labels) },
  { ...strict, minProperties: 1, examples: [{ labels: { team: "x" } }] },
);

const graceSeconds = Type.Number({ minimum: 0, maximum: 3_600, default: 10, description: "Between TERM and KILL." });
export const StopBody = Type.Object({ graceSeconds: Type.Optional(graceSeconds) }, { ...strict, examples: [{ graceSeconds: 10 }] });
export const EmptyBody = Type.Object({}, { ...strict, examples: [{}] });

const Definition = Type.Object({
  name: Type.String(),
  root: Nullable(Type.String()),
  command: Type.Array(Type.String()),
  env: Type.Record(Type.String(), Type.String()),
  cwd: Type.String(),
  user: Type.Object({ uid: Type.Integer(), gid: Type.Integer() }),
  hostname: Nullable(Type.String()),
  tty: Type.Boolean(),
  namespaces: Type.Object({
    mount: Type.Boolean(),
    uts: Type.Boolean(),
    ipc: Type.Boolean(),
    net: Type.Boolean(),
    pid: Type.Boolean(),
    user: Type.Boolean(),
    cgroup: Type.Boolean(),
    time: Type.Boolean(),
  }),
  limits: Type.Object({
    memoryBytes: Nullable(Type.Integer()),
    cpus: Nullable(Type.Number()),
    pids: Type.Integer(),
    diskBytes: Nullable(Type.Integer()),
    openFiles: Type.Integer(),
    outputBytes: Type.Integer(),
  }),
  capabilities: Type.Array(Type.String()),
  seccomp: Type.String(),
  init: Type.Boolean(),
  network: Type.Object({ mode: Type.String() }),
  restart: Type.Object({ policy: Type.String(), maxRetries: Type.Integer() }),
  lifetime: Type.Object({ ttlSeconds: Nullable(Type.Integer()), idleSeconds: Nullable(Type.Integer()), onExpiry: Type.String() }),
  labels: Type.Record(Type.String(), Type.String()),
});

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
      phases: Type.Array(Type.Object({ name: Type.String(), microseconds: Type.Integer() })),
      warnings: Type.Array(Type.String()),
      createdAt: Timestamp,
      startedAt: Nullable(Timestamp),
    },
    { description: "Names of processes and inodes are null unless the main process is alive.", examples: [exampleReport] },
  ),
);

export const SandboxList = Type.Object({ items: Type.Array(SandboxReport), nextCursor: Nullable(Type.String()) });

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
