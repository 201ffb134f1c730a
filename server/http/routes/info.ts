import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { verdictOf } from "../../domain/preflight.ts";
import { exampleInfo, examplePreflight } from "../schemas/info-examples.ts";
import { Nullable, OneOf, problemResponses, Timestamp } from "../schemas/shared.ts";
import { Pressures } from "../schemas/stats.ts";
import type { Services } from "../services.ts";

const tags = ["daemon"];
const Ids = Type.Array(Type.String());
const Verdict = OneOf(["ok", "degraded", "missing"]);

const Launcher = Type.Object({
  pid: Type.Integer(),
  startTicks: Type.Integer(),
  version: Type.String(),
  detached: Type.Boolean({ description: "Started by the daemon, and ended with it." }),
  readyShells: Type.Integer(),
  readyTarget: Type.Integer(),
  supervisors: Type.Integer(),
  cgroupLayout: Type.String(),
  cgroupParent: Type.String(),
  idBase: Type.Integer(),
  hostInodes: Type.Record(Type.String(), Type.Integer()),
  problems: Type.Array(Type.Object({ layer: Type.String(), errno: Type.Integer(), message: Type.String() })),
});

const Host = Type.Object({
  cpus: Type.Integer(),
  loadAverage: Type.Array(Type.Number(), { description: "Over 1, 5 and 15 minutes." }),
  memory: Type.Object({
    totalBytes: Type.Integer(),
    availableBytes: Type.Integer({ description: "What can be had without swapping." }),
  }),
  pressure: Nullable(Pressures),
});

const Recovery = Type.Object(
  {
    at: Timestamp,
    milliseconds: Type.Integer(),
    adopted: Ids,
    ended: Ids,
    lost: Ids,
    rebooted: Ids,
    orphansStopped: Ids,
    directoriesRemoved: Ids,
    problems: Ids,
  },
  { description: "What the last start of the daemon found and did; null for who does not see all sandboxes." },
);

const InfoReport = Type.Object(
  {
    version: Type.String(),
    node: Type.String(),
    sqlite: Type.String(),
    kernel: Type.String(),
    pid: Type.Integer(),
    bootId: Type.String(),
    startedAt: Timestamp,
    settings: Type.Record(Type.String(), Type.Unknown()),
    host: Host,
    launcher: Nullable(Launcher),
    sandboxes: Type.Record(Type.String(), Type.Integer(), { description: "Their number by state." }),
    recovery: Nullable(Recovery),
  },
  { examples: [exampleInfo] },
);

const Check = Type.Object({
  name: Type.String(),
  status: OneOf(["ok", "weak", "degraded", "missing"]),
  detail: Type.String(),
  cost: Nullable(Type.String()),
  remedy: Nullable(Type.String()),
});

const PreflightReport = Type.Object({ status: Verdict, checks: Type.Array(Check) }, { examples: [examplePreflight] });

export const infoRoutes =
  ({ info }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      "/v1/info",
      {
        schema: {
          tags,
          operationId: "getInfo",
          summary: "Versions, settings, capacity and the last recovery",
          response: { 200: InfoReport, ...problemResponses() },
        },
      },
      async (request) => {
        const report = await info.report();
        // It names sandboxes.
        return request.caller.view === null ? report : { ...report, recovery: null };
      },
    );

    app.get(
      "/v1/preflight",
      {
        schema: {
          tags,
          operationId: "getPreflight",
          summary: "What a launch needs of this host: ok, degraded or missing; and what weakens isolation: weak",
          response: { 200: PreflightReport, ...problemResponses() },
        },
      },
      async () => {
        const checks = await info.preflight();
        return { status: verdictOf(checks), checks };
      },
    );
  };
