import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { namespaceTypes } from "../../domain/instance-ports.ts";
import { exampleReport } from "../schemas/sandbox-examples.ts";
import { NamespaceMap, SandboxPath } from "../schemas/sandboxes.ts";
import { Nullable, OneOf, problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const Owner = Type.Object({ id: Type.String(), name: Type.String() });
const Entry = Type.Object({
  type: OneOf(namespaceTypes),
  inode: Type.Integer(),
  host: Type.Boolean({ description: "Whether it is the host's own." }),
  sandboxes: Type.Array(Owner),
});
const ProcessOwner = Type.Object({
  pid: Type.Integer(),
  pidInside: Type.Integer({ description: "In the process's own pid namespace." }),
  startTicks: Type.Integer(),
  sandbox: Nullable(Owner),
  role: Nullable(OneOf(["main", "init", "descendant"])),
  isMain: Type.Boolean(),
});

const owner = { id: exampleReport.id, name: exampleReport.name };
const SandboxNamespaces = Type.Object(
  { sandbox: Owner, namespaces: Nullable(NamespaceMap), enter: Nullable(Type.String()) },
  { examples: [{ sandbox: owner, namespaces: exampleReport.namespaces, enter: exampleReport.enter }] },
);
const Lookup = Type.Object(
  { items: Type.Array(Entry), process: Nullable(ProcessOwner) },
  { examples: [{ items: [{ type: "mnt", inode: 4026532248, host: false, sandboxes: [owner] }], process: null }] },
);
const Query = Type.Object(
  {
    inode: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, examples: [4026532249] })),
    pid: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 4_194_304, description: "Of the host; also of a grandchild inside a sandbox." }),
    ),
    type: Type.Optional(OneOf(namespaceTypes)),
  },
  { additionalProperties: false },
);

export const namespaceRoutes =
  ({ sandboxes, namespaces }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/v1/sandboxes/:sandbox/namespaces",
      {
        config: { looks: true },
        schema: {
          tags: ["namespaces"],
          operationId: "getSandboxNamespaces",
          summary: "The namespaces of a running sandbox",
          params: SandboxPath,
          response: {
            200: SandboxNamespaces,
            ...problemResponses("invalid-request", "sandbox-not-found"),
          },
        },
      },
      async (request) => {
        const { id, name, namespaces: found, enter } = sandboxes.get(request.params.sandbox);
        return { sandbox: { id, name }, namespaces: found, enter };
      },
    );

    app.get(
      "/v1/namespaces",
      {
        schema: {
          tags: ["namespaces"],
          operationId: "findNamespaces",
          summary: "Which sandbox owns this inode or this pid of the host",
          description: "Without filters: each namespace of the host and of all running sandboxes, once by inode.",
          querystring: Query,
          response: { 200: Lookup, ...problemResponses("invalid-request", "not-found") },
        },
      },
      async (request) =>
        namespaces.find({
          view: request.caller.view,
          inode: request.query.inode ?? null,
          pid: request.query.pid ?? null,
          type: request.query.type ?? null,
        }),
    );
  };
