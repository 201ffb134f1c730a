import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { ProcessInput } from "../../domain/process.ts";
import { cursorOf, positionOf } from "../cursors.ts";
import { abortedBy } from "../departures.ts";
import { Wait, waitMilliseconds } from "../schemas/operations.ts";
import * as schemas from "../schemas/processes.ts";
import { EmptyBody, SandboxPath } from "../schemas/sandboxes.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const tags = ["processes"];
const WaitQuery = Type.Object({ wait: Wait }, { additionalProperties: false });

/** Commands in a running sandbox: start, list, look, wait, signal, resize, end. */
export const processRoutes =
  ({ processes, liveProcesses }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    /** The report; with a wait, the one after it, and the output where the end has come. */
    const resultOf = async (sandbox: string, process: string, wait: string | undefined, gone: AbortSignal) => {
      const milliseconds = waitMilliseconds(wait);
      if (milliseconds === 0) return processes.get(sandbox, process);
      const report = await processes.wait(sandbox, process, AbortSignal.any([gone, AbortSignal.timeout(milliseconds)]));
      const output = report.state === "ended" ? await processes.collect(sandbox, process) : null;
      return output === null ? report : { ...report, output };
    };

    app.post(
      "/v1/sandboxes/:sandbox/processes",
      {
        schema: {
          tags,
          operationId: "startProcess",
          summary: "Start a command in a running sandbox; with wait also wait for its end and give its output",
          description:
            "It runs in all namespaces of the sandbox and under its limits, and goes on when the caller goes away. A command that fails is no problem: its exit is data.",
          params: SandboxPath,
          querystring: WaitQuery,
          body: schemas.StartBody,
          response: {
            201: schemas.ProcessResult,
            ...problemResponses(
              "invalid-request",
              "sandbox-not-found",
              "process-not-found",
              "invalid-definition",
              "command-not-found",
              "command-not-executable",
              "working-directory-invalid",
              "state-conflict",
              "process-limit",
              "process-lost",
              "launch-failed",
              "launcher-unavailable",
              "idempotency-key-reused",
            ),
          },
        },
      },
      async (request, reply) => {
        const { id, sandbox } = await processes.start(request.params.sandbox, request.body as ProcessInput);
        void reply.code(201).header("location", `/v1/sandboxes/${sandbox.id}/processes/${id}`);
        return resultOf(sandbox.id, id, request.query.wait, abortedBy(reply));
      },
    );

    app.get(
      "/v1/sandboxes/:sandbox/processes",
      {
        schema: {
          tags,
          operationId: "listProcesses",
          summary: "List the processes of a sandbox, the main process first",
          params: SandboxPath,
          querystring: schemas.ProcessQuery,
          response: { 200: schemas.ProcessList, ...problemResponses("invalid-request", "sandbox-not-found") },
        },
      },
      async (request) => {
        const { limit, cursor, state = [], label = [], all } = request.query;
        const labels = Object.fromEntries(label.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]));
        const { sandbox } = request.params;
        const { items, nextCursor } = processes.list(sandbox, { limit, after: positionOf(cursor), states: state, labels });
        const alive = all ? { alive: await liveProcesses.of(sandbox) } : {};
        return { items, ...alive, nextCursor: cursorOf(nextCursor) };
      },
    );

    app.get(
      "/v1/sandboxes/:sandbox/processes/:process",
      {
        schema: {
          tags,
          operationId: "getProcess",
          summary: "Look at a process, or wait for its end and its output",
          description:
            "`main` is the main process. What ended is known until the sandbox is deleted; the last 256 of each sandbox are, and of their output 64 MiB together.",
          params: schemas.ProcessPath,
          querystring: WaitQuery,
          response: {
            200: schemas.ProcessResult,
            ...problemResponses("invalid-request", "sandbox-not-found", "process-not-found", "process-lost"),
          },
        },
      },
      async (request, reply) => resultOf(request.params.sandbox, request.params.process, request.query.wait, abortedBy(reply)),
    );

    app.delete(
      "/v1/sandboxes/:sandbox/processes/:process",
      {
        schema: {
          tags,
          operationId: "endProcess",
          summary: "Kill a process and its process group; answers when it has ended",
          description: "One that has ended stays as it is. The end of `main` ends the sandbox.",
          params: schemas.ProcessPath,
          response: {
            200: schemas.ProcessReport,
            ...problemResponses(
              ...(["invalid-request", "sandbox-not-found", "process-not-found", "state-conflict"] as const),
              ...(["launcher-unavailable", "deadline-exceeded"] as const),
            ),
          },
        },
      },
      async (request) => processes.end(request.params.sandbox, request.params.process),
    );

    app.post(
      "/v1/sandboxes/:sandbox/processes/:process/signal",
      {
        schema: {
          tags,
          operationId: "signalProcess",
          summary: "Send a signal to a process or its process group",
          params: schemas.ProcessPath,
          body: schemas.SignalBody,
          response: {
            200: EmptyBody,
            ...problemResponses(
              "invalid-request",
              "sandbox-not-found",
              "process-not-found",
              "state-conflict",
              "launcher-unavailable",
              "idempotency-key-reused",
            ),
          },
        },
      },
      async (request) => {
        const { signal, group = false } = request.body;
        await processes.signal(request.params.sandbox, request.params.process, signal, group);
        return {};
      },
    );

    app.post(
      "/v1/sandboxes/:sandbox/processes/:process/resize",
      {
        schema: {
          tags,
          operationId: "resizeTerminal",
          summary: "Set the size of a process's terminal; the process gets SIGWINCH",
          params: schemas.ProcessPath,
          body: schemas.ResizeBody,
          response: {
            200: EmptyBody,
            ...problemResponses(
              "invalid-request",
              "sandbox-not-found",
              "process-not-found",
              "state-conflict",
              "no-terminal",
              "launcher-unavailable",
              "idempotency-key-reused",
            ),
          },
        },
      },
      async (request) => {
        const { rows, columns } = request.body;
        await processes.resize(request.params.sandbox, request.params.process, rows, columns);
        return {};
      },
    );
  };
