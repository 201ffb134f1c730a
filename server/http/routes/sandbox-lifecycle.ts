import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { launchCodes, PatientQuery, tagged, whenDone } from "../sandbox-replies.ts";
import { OperationBody } from "../schemas/operations.ts";
import * as schemas from "../schemas/sandboxes.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const tags = ["sandboxes"];

const pauseCodes = ["state-conflict", "pause-failed", "launcher-unavailable", "idempotency-key-reused"] as const;
const pauseResponses = { 200: schemas.SandboxReport, ...problemResponses("invalid-request", "sandbox-not-found", ...pauseCodes) };

/** The verbs: start, pause, resume, keepalive, stop, kill, restart. Each answers the report. */
export const sandboxLifecycleRoutes =
  ({ sandboxes, sandboxOperations, operations, lifetimes }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.post(
      "/v1/sandboxes/:sandbox/start",
      {
        schema: {
          tags,
          operationId: "startSandbox",
          summary: "Start; on a running sandbox, its report",
          params: schemas.SandboxPath,
          body: schemas.EmptyBody,
          response: {
            200: schemas.SandboxReport,
            ...problemResponses("invalid-request", "sandbox-not-found", "state-conflict", "quota-exceeded", ...launchCodes),
          },
        },
      },
      async (request, reply) => tagged(reply, await sandboxes.start(request.params.sandbox)),
    );

    app.post(
      "/v1/sandboxes/:sandbox/pause",
      {
        schema: {
          tags,
          operationId: "pauseSandbox",
          summary: "Make all processes stand still",
          description: [
            "By the kernel's freezer (cgroup.freeze): memory stays, no process gets any CPU. No process can be started, and no file reached, until it is",
            "resumed; stop, kill and delete work. Time limits of processes go on. A sandbox that is paused already answers its report.",
          ].join("\n"),
          params: schemas.SandboxPath,
          body: schemas.EmptyBody,
          response: pauseResponses,
        },
      },
      async (request, reply) => tagged(reply, await sandboxes.pause(request.params.sandbox)),
    );

    app.post(
      "/v1/sandboxes/:sandbox/resume",
      {
        schema: {
          tags,
          operationId: "resumeSandbox",
          summary: "Let the processes of a paused sandbox go on; on a running one, its report",
          params: schemas.SandboxPath,
          body: schemas.EmptyBody,
          response: pauseResponses,
        },
      },
      async (request, reply) => tagged(reply, await sandboxes.resume(request.params.sandbox)),
    );

    app.post(
      "/v1/sandboxes/:sandbox/keepalive",
      {
        config: { looks: true },
        schema: {
          tags,
          operationId: "keepSandboxAlive",
          summary: "Give it its time to live, and the time it may be idle, anew",
          description: [
            "Both count from now on; `lifetime` of the report says until when. A sandbox without a lifetime answers its report. `state-conflict`: it has",
            "expired, or there is nothing to keep alive.",
          ].join("\n"),
          params: schemas.SandboxPath,
          body: schemas.EmptyBody,
          response: {
            200: schemas.SandboxReport,
            ...problemResponses("invalid-request", "sandbox-not-found", "state-conflict", "idempotency-key-reused"),
          },
        },
      },
      async (request, reply) => tagged(reply, await lifetimes.keepAlive(request.params.sandbox)),
    );

    app.post(
      "/v1/sandboxes/:sandbox/stop",
      {
        schema: {
          tags,
          operationId: "stopSandbox",
          summary: "TERM to the main process, KILL to all after the grace; answers when nothing is left",
          params: schemas.SandboxPath,
          querystring: PatientQuery,
          body: schemas.StopBody,
          response: {
            200: schemas.SandboxReport,
            202: OperationBody,
            ...problemResponses("invalid-request", "sandbox-not-found", "launcher-unavailable", "idempotency-key-reused"),
          },
        },
      },
      async (request, reply) => {
        const { sandbox } = request.params;
        const { graceSeconds = 10 } = request.body;
        const { wait } = request.query;
        if (wait === undefined) return tagged(reply, await sandboxes.stop(sandbox, graceSeconds));
        const operation = await sandboxOperations.begin("sandbox.stop", sandbox, graceSeconds);
        return whenDone(operations, operation, wait, reply, () => tagged(reply, sandboxes.get(operation.subject)));
      },
    );

    app.post(
      "/v1/sandboxes/:sandbox/kill",
      {
        schema: {
          tags,
          operationId: "killSandbox",
          summary: "End all processes at once",
          params: schemas.SandboxPath,
          body: schemas.EmptyBody,
          response: {
            200: schemas.SandboxReport,
            ...problemResponses("invalid-request", "sandbox-not-found", "launcher-unavailable", "idempotency-key-reused"),
          },
        },
      },
      async (request, reply) => tagged(reply, await sandboxes.kill(request.params.sandbox)),
    );

    app.post(
      "/v1/sandboxes/:sandbox/restart",
      {
        schema: {
          tags,
          operationId: "restartSandbox",
          summary: "Stop with grace where it runs, then start",
          params: schemas.SandboxPath,
          querystring: PatientQuery,
          body: schemas.StopBody,
          response: {
            200: schemas.SandboxReport,
            202: OperationBody,
            ...problemResponses("invalid-request", "sandbox-not-found", "state-conflict", "quota-exceeded", ...launchCodes),
          },
        },
      },
      async (request, reply) => {
        const { sandbox } = request.params;
        const { graceSeconds = 10 } = request.body;
        const { wait } = request.query;
        if (wait === undefined) return tagged(reply, await sandboxes.restart(sandbox, graceSeconds));
        const operation = await sandboxOperations.begin("sandbox.restart", sandbox, graceSeconds);
        return whenDone(operations, operation, wait, reply, () => tagged(reply, sandboxes.get(operation.subject)));
      },
    );
  };
