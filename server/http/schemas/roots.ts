import { type Static, Type } from "typebox";
import { DomainError, type InputFault } from "../../domain/errors.ts";
import type { RequestedSource } from "../../domain/root-ports.ts";
import type { RootView } from "../../domain/roots.ts";
import { Name, Nullable, OneOf, problemResponses, Text, Timestamp } from "./shared.ts";

const Path = (description: string) => Text({ minLength: 1, maxLength: 4096, description });

const copyFields = {
  binaries: Type.Array(Path("Absolute path of a program of the host."), {
    maxItems: 4096,
    description: "kind copy: programs; their libraries and interpreters come with them.",
  }),
  files: Type.Array(
    Type.Union([
      Path("Absolute path of a file of the host, kept inside."),
      Type.Object({ source: Path("Absolute path on the host."), target: Path("Absolute path inside.") }, { additionalProperties: false }),
    ]),
    { maxItems: 16384, description: "kind copy: other files, taken as they are." },
  ),
};

const debootstrapFields = {
  suite: Type.String({ pattern: "^[a-z0-9][a-z0-9.-]{0,63}$", description: "kind debootstrap: the release (default bookworm)." }),
  variant: OneOf(["minbase", "buildd", ""], {
    description: 'kind debootstrap: how much of it (default minbase; "" is the whole base system).',
  }),
  mirror: Type.String({
    pattern: "^https?://[A-Za-z0-9][^\\s\\u0000-\\u001f]*$",
    maxLength: 1024,
    description: "kind debootstrap: archive to fetch from (default: the host's apt sources).",
  }),
  include: Type.Array(Type.String({ pattern: "^[a-z0-9][a-z0-9+.-]{1,99}$" }), {
    maxItems: 512,
    description: "kind debootstrap: further packages.",
  }),
  keyring: Path(
    "kind debootstrap: keyring on the host that the archive is checked against (default: the host's apt sources, or Debian's).",
  ),
};

// One object and not a union of two: a fault is then told once, with the pointer of the field that is wrong.
const Source = Type.Object(
  { kind: OneOf(["copy", "debootstrap"]), ...Type.Partial(Type.Object({ ...copyFields, ...debootstrapFields })).properties },
  { additionalProperties: false },
);

export const CreateRoot = Type.Object(
  { name: Name, source: Source },
  {
    additionalProperties: false,
    examples: [
      {
        name: "bash",
        source: {
          kind: "copy",
          binaries: ["/bin/bash", "/bin/ls"],
          files: ["/etc/services", { source: "/etc/debian_version", target: "/etc/made-on" }],
        },
      },
      { name: "bookworm", source: { kind: "debootstrap", suite: "bookworm", variant: "minbase", include: ["python3-minimal"] } },
    ],
  },
);

/** The source in the domain's terms. Fields of the other kind are refused. @throws DomainError `invalid-request` */
export const requestedSource = (source: Static<typeof Source>): RequestedSource => {
  const foreign = Object.keys(source.kind === "copy" ? debootstrapFields : copyFields).filter((field) => field in source);
  const faults: InputFault[] = foreign.map((field) => ({ pointer: `/source/${field}`, detail: `is not known for kind ${source.kind}` }));
  const first = faults[0];
  if (first) throw new DomainError("invalid-request", `${first.pointer} ${first.detail}`, { faults });
  return source as RequestedSource;
};

export const rootStates = ["provisioning", "ready"] as const;

export const exampleRoot = {
  id: "01ke5z3m2tq0d8f6g4h2j1k3m5",
  name: "bash",
  state: "ready",
  source: { kind: "copy", binaries: ["/bin/bash"], files: [] },
  sizeBytes: 3742000,
  fileCount: 8,
  createdAt: "2026-11-24T10:00:00.000Z",
  readyAt: "2026-11-24T10:00:00.120Z",
  operation: null,
  message: null,
  users: 1,
};

export const RootBody = Type.Object(
  {
    id: Type.String(),
    name: Type.String(),
    state: OneOf(rootStates),
    source: Type.Object({ kind: Type.String() }, { additionalProperties: true, description: "What it is made from, defaults filled in." }),
    sizeBytes: Nullable(Type.Integer({ description: "Sum of the sizes of its files; null until it is ready." })),
    fileCount: Nullable(Type.Integer()),
    createdAt: Timestamp,
    readyAt: Nullable(Timestamp),
    operation: Nullable(Type.String({ description: "Id of the operation that works on it; null once it is ready." })),
    message: Nullable(Type.String({ description: "What that operation is at." })),
    users: Type.Integer({ description: "Number of sandboxes that use it." }),
  },
  {
    description: "A provisioned root filesystem, immutable once ready.",
    examples: [exampleRoot],
  },
);

/** The wire form of a root. */
export const rootBody = (root: RootView): Static<typeof RootBody> => ({
  id: root.id,
  name: root.name,
  state: root.state,
  source: { ...root.source },
  sizeBytes: root.sizeBytes,
  fileCount: root.fileCount,
  createdAt: new Date(root.createdAt).toISOString(),
  readyAt: root.readyAt === null ? null : new Date(root.readyAt).toISOString(),
  operation: root.operation,
  message: root.message,
  users: root.users,
});

/** A root that the path names and that is not there is a 404; one that a body names is a fault of the body. */
export const missingRoot = (): Record<number, ReturnType<typeof Type.Object>> => {
  const documented = Object.values(problemResponses("root-not-found")).find((each) => JSON.stringify(each).includes("root-not-found"));
  const text = JSON.stringify(documented).replace('"status":422', '"status":404');
  return { 404: JSON.parse(text) };
};

const Why = Type.Object({
  kind: OneOf(["asked-for", "needed-by", "interpreter-of", "link-target", "generated", "package"]),
  of: Nullable(
    Type.String({
      description: "The path that asks for it; of a generated thing, what it is generated for; of a packaged one, the package.",
    }),
  ),
});

export const ManifestBody = Type.Object(
  {
    root: Type.String(),
    totals: Type.Object({ files: Type.Integer(), links: Type.Integer(), directories: Type.Integer(), sizeBytes: Type.Integer() }),
    files: Type.Array(
      Type.Object({
        path: Type.String(),
        type: OneOf(["file", "link", "directory"]),
        source: Nullable(Type.String({ description: "Path on the host, or `debootstrap`; null for what is generated." })),
        sizeBytes: Type.Integer(),
        mode: Type.String({ examples: ["0755"] }),
        sha256: Nullable(Type.String()),
        target: Nullable(Type.String({ description: "Where a link leads." })),
        why: Type.Array(Why),
      }),
    ),
  },
  {
    description: "Every file, link and made directory of a root, where it came from and why it is there.",
    examples: [
      {
        root: exampleRoot.id,
        totals: { files: 1, links: 0, directories: 0, sizeBytes: 1265648 },
        files: [
          {
            path: "/usr/bin/bash",
            type: "file",
            source: "/usr/bin/bash",
            sizeBytes: 1265648,
            mode: "0755",
            sha256: "5a5ca0d6d0ee1cb9ff2d0d3a1d9e5fb1b9b1b2a0d8a4f6c7e3b2a19087f6e5d4",
            target: null,
            why: [{ kind: "asked-for", of: null }],
          },
        ],
      },
    ],
  },
);
