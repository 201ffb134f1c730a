import { Type } from "typebox";
import { namespaceTypes } from "../../domain/instance-ports.ts";
import { exampleReport } from "./sandbox-examples.ts";
import { Nullable, named, OneOf, Timestamp } from "./shared.ts";

const Entry = Type.Object({ name: Type.String(), type: OneOf(["directory", "file", "link", "other"]) });
const Process = Type.Object({
  pid: Type.Integer(),
  pidInside: Type.Integer({ description: "In its own pid namespace." }),
  command: Type.Array(Type.String()),
  parentPid: Nullable(Type.Integer({ description: "Null where the parent is outside the sandbox." })),
  role: OneOf(["init", "main", "started", "descendant"]),
});
const Inodes = Type.Object(
  Object.fromEntries(namespaceTypes.map((type) => [type, Type.Integer()])) as Record<
    (typeof namespaceTypes)[number],
    ReturnType<typeof Type.Integer>
  >,
);
const Sandbox = Type.Object({
  id: Type.String(),
  name: Type.String(),
  state: Type.String(),
  root: Nullable(Type.Object({ id: Type.String(), name: Type.String() })),
  namespaces: Nullable(Inodes),
  entries: Nullable(Type.Array(Entry, { description: "The top of its root as its main process sees it, at most 64 names." })),
  entriesOmitted: Type.Integer(),
  processes: Nullable(Type.Array(Process, { description: "Parents before children, at most 64. Null beyond the first 100 sandboxes." })),
  processesOmitted: Type.Integer(),
});

export const Diagram = named(
  "Diagram",
  Type.Object(
    {
      at: Timestamp,
      host: Type.Object({ name: Type.String(), kernel: Type.String() }),
      namespaces: Type.Array(
        Type.Object({
          type: OneOf(namespaceTypes),
          inode: Type.Integer(),
          host: Type.Boolean({ description: "Whether it is the host's own." }),
          sandboxes: Type.Array(Type.String(), { description: "Ids of those that have it." }),
        }),
        { description: "Each once." },
      ),
      sandboxes: Type.Array(Sandbox, { description: "Those that run, oldest first, at most 1,000; or the one that was asked for." }),
      sandboxesOmitted: Type.Integer(),
      states: Type.Record(Type.String(), Type.Integer(), { description: "How many sandboxes are stored in each state." }),
    },
    {
      examples: [
        {
          at: "2026-11-24T10:00:00.000Z",
          host: { name: "host-1", kernel: "6.1.0" },
          namespaces: [{ type: "mnt", inode: 4026532248, host: false, sandboxes: [exampleReport.id] }],
          sandboxes: [
            {
              id: exampleReport.id,
              name: exampleReport.name,
              state: "running",
              root: exampleReport.root,
              namespaces: Object.fromEntries(Object.entries(exampleReport.namespaces).map(([type, { inode }]) => [type, inode])),
              entries: [{ name: "bin", type: "directory" }],
              entriesOmitted: 0,
              processes: [{ pid: 4242, pidInside: 2, command: ["/bin/bash"], parentPid: null, role: "main" }],
              processesOmitted: 0,
            },
          ],
          sandboxesOmitted: 0,
          states: { running: 1 },
        },
      ],
    },
  ),
);

export const DiagramQuery = Type.Object(
  { format: OneOf(["svg", "mermaid", "json"], { default: "svg", description: "JSON is the model; the others are drawn from it." }) },
  { additionalProperties: false },
);

/** What a drawn diagram is answered as. */
export const drawn = {
  description: "The diagram, in the format that was asked for",
  content: {
    "application/json": { schema: Diagram },
    "image/svg+xml": { schema: Type.String({ examples: ['<svg xmlns="http://www.w3.org/2000/svg"/>'] }) },
    "text/plain": { schema: Type.String({ examples: ["flowchart LR\n"], description: "Mermaid." }) },
  },
};
