import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { problemResponses, Timestamp } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const description = `A whole, checked copy of the database below \`backups\` in the state directory, made while the daemon works; the ten newest are kept. Definitions,
roots' records, events and runs are in it; files of roots and sandboxes are not. To restore one, stop the daemon, put the copy in the place of \`state.db\` and remove
\`state.db-wal\` and \`state.db-shm\`: what it names and the host does not have any more is then told at the start.`;

const BackupReport = Type.Object(
  {
    path: Type.String({ description: "On the daemon's host." }),
    bytes: Type.Integer(),
    createdAt: Timestamp,
    durationMs: Type.Integer(),
  },
  {
    examples: [
      {
        path: "/var/lib/unshared/backups/state-20261124T100000.000Z.db",
        bytes: 241_664,
        createdAt: "2026-11-24T10:00:00.000Z",
        durationMs: 12,
      },
    ],
  },
);

export const backupRoutes =
  ({ backups }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.post(
      "/v1/backup",
      {
        schema: {
          tags: ["daemon"],
          operationId: "makeBackup",
          summary: "Copy the database",
          description,
          response: { 201: BackupReport, ...problemResponses("invalid-request", "forbidden", "no-space") },
        },
      },
      async (_request, reply) => {
        const { createdAt, ...rest } = await backups.make();
        return reply.code(201).send({ ...rest, createdAt: new Date(createdAt).toISOString() });
      },
    );
  };
