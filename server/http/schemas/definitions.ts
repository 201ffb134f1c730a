import { Type } from "typebox";
import { capabilityNames } from "../../domain/capabilities.ts";
import { limitBounds } from "../../domain/limits.ts";
import { mostSeccompChanges, type Seccomp, seccompProfiles } from "../../domain/seccomp.ts";
import { Labels, Name, Nullable, OneOf, Reference, Text } from "./shared.ts";

const strict = { additionalProperties: false } as const;
const Flag = Type.Optional(Type.Boolean());
const Count = (minimum: number, maximum: number, description: string) => Type.Integer({ minimum, maximum, description });

const diskDescription =
  "What the sandbox can write to its root, the bookkeeping of its own filesystem included; null: no limit but the host's. PATCH can make it larger, for the next run; where the host's filesystem keeps project quotas, also smaller, at once.";

export const EnvironmentInput = Type.Record(Type.String({ pattern: "^[^=\\u0000]{1,255}$" }), Text({ maxLength: 131_072 }), {
  ...strict,
  maxProperties: 1_000,
  description: "PATH and HOME (TERM with a terminal) are added unless given.",
  examples: [{ K: "v" }],
});
export const Command = Type.Array(Text({ maxLength: 131_072 }), {
  minItems: 1,
  maxItems: 256,
  description: "The first is also the file to execute, searched in PATH.",
  examples: [["/bin/bash"]],
});
export const Id = Type.Integer({ minimum: 0, maximum: 65_535 });
const namespaceSwitch = Type.Optional(Type.Boolean({ description: "false: the host's own; needs the admin scope." }));

const Calls = (description: string) =>
  Type.Optional(
    Type.Array(Type.String({ pattern: "^[a-z0-9_]{1,32}$", examples: ["ptrace"] }), { maxItems: mostSeccompChanges, description }),
  );
export const SeccompInputBody = Type.Union([
  OneOf(seccompProfiles, { description: "`strict`: for computation; no sockets but of AF_UNIX. docs/seccomp.md has the lists." }),
  Type.Object(
    {
      profile: Type.Optional(OneOf(seccompProfiles)),
      allow: Calls("System calls to allow besides, by name; some never are."),
      deny: Calls("System calls to refuse (EPERM), by name; some are needed."),
    },
    { ...strict, description: "A profile with changes; needs the admin scope." },
  ),
]);

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
          memoryBytes: Type.Optional(Nullable(Count(...limitBounds.memoryBytes, "null: no limit. Swap is off when it is set."))),
          cpus: Type.Optional(
            Nullable(Type.Number({ minimum: limitBounds.cpus[0], maximum: limitBounds.cpus[1], description: "null: no limit." })),
          ),
          cpuWeight: Type.Optional(
            Count(...limitBounds.cpuWeight, "Share of the CPU against other sandboxes when there is not enough; 100 by default."),
          ),
          pids: Type.Optional(Count(...limitBounds.pids, "Processes and threads, the sandbox's init included.")),
          diskBytes: Type.Optional(Nullable(Count(...limitBounds.diskBytes, diskDescription))),
          openFiles: Type.Optional(Count(...limitBounds.openFiles, "RLIMIT_NOFILE.")),
          outputBytes: Type.Optional(Count(...limitBounds.outputBytes, "Output kept for each process, and in the log of the sandbox.")),
        },
        strict,
      ),
    ),
    capabilities: Type.Optional(
      Type.Array(OneOf(capabilityNames), { maxItems: 64, description: "Kept inside the user namespace; none by default." }),
    ),
    seccomp: Type.Optional(SeccompInputBody),
    init: Flag,
    network: Type.Optional(Type.Object({ mode: Type.Optional(Text({ maxLength: 32 })) }, strict)),
    restart: Type.Optional(
      Type.Object(
        {
          policy: Type.Optional(OneOf(["never", "on-failure", "always"])),
          maxRetries: Type.Optional(
            Nullable(Count(0, 1_000, "Restarts in a row before it is given up; null: no limit. By default 3, with `always` null.")),
          ),
        },
        {
          ...strict,
          description:
            "What follows when it ends by itself. `on-failure`: not after an exit with 0. Restarts wait 0.2 s, then twice as long each time, at most 60 s, less a random half; a run of 10 s begins a new row.",
        },
      ),
    ),
    autostart: Type.Optional(Type.Boolean({ description: "Started anew after a reboot of the host that ended it." })),
    lifetime: Type.Optional(
      Type.Object(
        {
          ttlSeconds: Type.Optional(
            Nullable(Count(1, 31_536_000, "Expires so long after its start; restarts by the daemon do not put it off. null: never.")),
          ),
          idleSeconds: Type.Optional(
            Nullable(
              Count(
                1,
                31_536_000,
                "Expires when nobody used it for so long: no request but for reports, no terminal or stream. null: never.",
              ),
            ),
          ),
          onExpiry: Type.Optional(
            OneOf(["delete", "stop"], {
              description: "delete: also one that ended by itself before. stop: TERM, and KILL after 10 seconds.",
            }),
          ),
        },
        strict,
      ),
    ),
    labels: Type.Optional(Labels),
  },
  { ...strict, examples: [{}, { name: "web-1", root: "bash", command: ["/bin/bash"], limits: { memoryBytes: 268_435_456, pids: 128 } }] },
);

/** The stored definition, defaults filled in. */
export const Definition = Type.Object({
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
    cpuWeight: Type.Integer(),
    pids: Type.Integer(),
    diskBytes: Nullable(Type.Integer()),
    openFiles: Type.Integer(),
    outputBytes: Type.Integer(),
  }),
  capabilities: Type.Array(Type.String()),
  seccomp: Type.Unsafe<Seccomp>({
    type: ["string", "object"],
    properties: { profile: Type.String(), allow: Type.Array(Type.String()), deny: Type.Array(Type.String()) },
    required: ["profile", "allow", "deny"],
  }),
  init: Type.Boolean(),
  network: Type.Object({ mode: Type.String() }),
  restart: Type.Object({ policy: Type.String(), maxRetries: Nullable(Type.Integer()) }),
  autostart: Type.Boolean(),
  lifetime: Type.Object({ ttlSeconds: Nullable(Type.Integer()), idleSeconds: Nullable(Type.Integer()), onExpiry: Type.String() }),
  labels: Type.Record(Type.String(), Type.String()),
});
