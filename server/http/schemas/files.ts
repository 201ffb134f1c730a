import { Type } from "typebox";
import { Nullable, named, OneOf, Reference, Text, Timestamp } from "./shared.ts";

const strict = { additionalProperties: false } as const;

const exampleEntry = {
  name: "main.py",
  type: "file",
  sizeBytes: 1234,
  mode: "0644",
  uid: 0,
  gid: 0,
  modifiedAt: "2026-11-24T10:00:00.000Z",
  links: 1,
  target: null,
};

/** One file. What is not UTF-8 has its bytes beside it. */
export const FileEntry = named(
  "FileEntry",
  Type.Object(
    {
      name: Type.String({ description: "In a listing the name, else the path. Bytes that are no UTF-8 show as U+FFFD." }),
      nameBytes: Type.Optional(Type.String({ description: "The name's bytes as base64, where they are no UTF-8." })),
      type: OneOf(["file", "directory", "link", "fifo", "socket", "device"]),
      sizeBytes: Type.Integer(),
      mode: Type.String({ description: "Permission bits, octal." }),
      uid: Type.Integer({ description: "Inside." }),
      gid: Type.Integer({ description: "Inside." }),
      modifiedAt: Timestamp,
      links: Type.Integer(),
      target: Nullable(Type.String({ description: "What a symbolic link holds." })),
      targetBytes: Type.Optional(Type.String({ description: "The target's bytes as base64, where they are no UTF-8." })),
    },
    { examples: [exampleEntry] },
  ),
);

export const FileListing = Type.Object(
  { path: Type.String(), entries: Type.Array(FileEntry), nextCursor: Nullable(Type.String()) },
  { examples: [{ path: "/job", entries: [exampleEntry], nextCursor: null }] },
);

/** What GET answers as JSON: one entry, or a listing. Written by the daemon itself; the contract shows both. */
export const FileOrListing = Type.Union([FileEntry, FileListing], { examples: [exampleEntry] });

export const FilesPath = Type.Object({ sandbox: Reference });

export const PathParameter = Type.String({
  pattern: "^/[^\\u0000]*$",
  maxLength: 12_285,
  default: "/",
  description: "Absolute inside the sandbox. Percent-escapes are bytes: a name need not be UTF-8.",
  examples: ["/job/main.py"],
});

const id = (description: string) => Type.Integer({ minimum: 0, maximum: 65_535, description });
const ModeText = Type.String({
  pattern: "^[0-7]{3,4}$",
  description: "Octal. Set-user-id and set-group-id are never set.",
  examples: ["0644"],
});

export const ReadQuery = Type.Object(
  {
    path: PathParameter,
    stat: Type.Boolean({ default: false, description: "The entry itself as JSON, a link not followed." }),
    limit: Type.Integer({ minimum: 1, maximum: 1000, default: 1000, description: "Of a listing." }),
    cursor: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9_-]{1,400}$" })),
  },
  strict,
);

export const WriteQuery = Type.Object(
  {
    path: PathParameter,
    mode: Type.Unsafe<string>({ ...ModeText, default: "0644" }),
    uid: Type.Unsafe<number>({ ...id("Owner inside."), default: 0 }),
    gid: Type.Unsafe<number>({ ...id("Group inside."), default: 0 }),
    parents: Type.Boolean({ default: false, description: "Makes the directories that are missing." }),
  },
  strict,
);

export const DeleteQuery = Type.Object({ path: PathParameter, recursive: Type.Boolean({ default: false }) }, strict);

const AbsolutePath = Text({ maxLength: 4_095, description: "Absolute inside the sandbox." });
const Base64 = (description: string) => Type.String({ pattern: "^[A-Za-z0-9+/]{2,5460}={0,2}$", description });

export const ChangeBody = Type.Object(
  {
    op: OneOf(["mkdir", "move", "copy", "link", "symlink", "chmod", "chown"]),
    path: Type.Optional(Type.Unsafe<string>({ ...AbsolutePath, pattern: "^/[^\\u0000]*$" })),
    pathBytes: Type.Optional(Base64("In place of path, where it is no UTF-8.")),
    to: Type.Optional(
      Type.Unsafe<string>({ ...AbsolutePath, pattern: "^/[^\\u0000]*$", description: "For move, copy and link: the new name." }),
    ),
    toBytes: Type.Optional(Base64("In place of to.")),
    target: Type.Optional(Text({ minLength: 1, maxLength: 4_095, description: "For symlink: what the link at path holds." })),
    targetBytes: Type.Optional(Base64("In place of target.")),
    mode: Type.Optional(ModeText),
    uid: Type.Optional(id("For chown.")),
    gid: Type.Optional(id("For chown.")),
    parents: Type.Optional(Type.Boolean({ description: "For mkdir: as mkdir -p." })),
  },
  { ...strict, examples: [{ op: "mkdir", path: "/job/out", mode: "0755", parents: true }] },
);

export const ArchiveQuery = Type.Object({ path: PathParameter }, strict);

export const Unpacked = Type.Object(
  { entries: Type.Integer(), bytes: Type.Integer({ description: "Of all files together." }) },
  { examples: [{ entries: 3, bytes: 1234 }] },
);

export const WatchQuery = Type.Object({ path: PathParameter, recursive: Type.Boolean({ default: false }) }, strict);
