import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { ErrorCode } from "../../domain/errors.ts";
import type { RunInput } from "../../domain/run.ts";
import { filesBodyLimit } from "../bodies.ts";
import { cursorOf, positionOf } from "../cursors.ts";
import { abortedBy } from "../departures.ts";
import * as schemas from "../schemas/runs.ts";
import { problemResponses } from "../schemas/shared.ts";
import type { Services } from "../services.ts";

const tags = ["runs"];

const description = `A sandbox named run-ID is made, the files are put in, the command runs in it and gets stdin, what \`collect\` names is taken out, and the sandbox is
deleted with all that the command left running. Its main process only holds the namespaces; the command is a process beside it, whose time the supervisor keeps.
So many run at once as \`--run-concurrency\` says; the others wait, and callers take turns. A run goes on when its caller goes away; DELETE ends it. What came of it is kept for an hour,
of the newest 1,000 (and 256 MiB in all), also across a restart of the daemon. A command that fails is no problem: its exit is data.
A request has at most 16 MiB, files and stdin included, and those of all runs that are not over 1 MiB for each place in the queue (\`--run-queue\`), at least 32 MiB.
With wait, 200 when it is over by then, and a run that could not be run answers with its problem; else 202.`;

const inputCodes: readonly ErrorCode[] = [
  "invalid-request",
  "invalid-definition",
  "unsupported",
  "root-not-found",
  "root-not-ready",
  "run-queue-full",
  "payload-too-large",
  "idempotency-key-reused",
];
/** What a run that was waited for can have failed of. */
const failureCodes: readonly ErrorCode[] = [
  "command-not-found",
  "command-not-executable",
  "working-directory-invalid",
  "name-taken",
  "quota-exceeded",
  "sandbox-not-found",
  "run-not-found",
  "state-conflict",
  "process-limit",
  "process-lost",
  "process-not-found",
  "is-a-directory",
  "not-a-directory",
  "path-invalid",
  "path-on-other-mount",
  "file-permission",
  "no-space",
  "file-failed",
  "files-busy",
  "files-interrupted",
  "launch-failed",
  "host-not-ready",
  "launcher-unavailable",
  "deadline-exceeded",
  "run-interrupted",
];

/** One-shot jobs: send, wait, look, list, cancel. */
export const runRoutes =
  ({ runs }: Services): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.post(
      "/v1/runs",
      {
        bodyLimit: filesBodyLimit,
        schema: {
          tags,
          operationId: "createRun",
          summary: "Run one command in a sandbox of its own and give back what came of it",
          description,
          querystring: schemas.RunWaitQuery,
          body: schemas.RunBody,
          response: {
            200: schemas.RunReportBody,
            202: schemas.RunReportBody,
            ...problemResponses(...inputCodes, ...failureCodes),
          },
        },
      },
      async (request, reply) => {
        const gone = abortedBy(reply);
        const [taken] = await runs.submit([request.body as RunInput], request.caller);
        // It is stored: a caller who waits for the end does not hold it in memory.
        request.releaseBody?.();
        const id = taken?.id ?? "";
        const milliseconds = schemas.runWaitMilliseconds(request.query.wait);
        const run = await runs.wait(id, AbortSignal.any([gone, AbortSignal.timeout(milliseconds)]));
        if (milliseconds > 0 && run.state === "failed" && run.problem !== null) throw schemas.runFailure(run.problem);
        const over = milliseconds > 0 && run.endedAt !== null;
        return reply
          .code(over ? 200 : 202)
          .header("location", `/v1/runs/${id}`)
          .send(schemas.runBody(run));
      },
    );

    app.post(
      "/v1/runs/batch",
      {
        bodyLimit: filesBodyLimit,
        schema: {
          tags,
          operationId: "createRuns",
          summary: "Send many runs with the same root",
          description: [
            "All of them are taken, or none; 16 MiB together. Each is then a run as any other, and what came of it is there by its id. With wait,",
            "200 when all of them are over by then, else 202.",
          ].join("\n"),
          querystring: schemas.RunWaitQuery,
          body: schemas.BatchBody,
          response: { 200: schemas.BatchReply, 202: schemas.BatchReply, ...problemResponses(...inputCodes) },
        },
      },
      async (request, reply) => {
        const { root = "default", runs: inputs } = request.body;
        const gone = abortedBy(reply);
        const taken = await runs.submit(
          inputs.map((input) => ({ ...input, root }) as RunInput),
          request.caller,
          (index) => `/runs/${index}`,
        );
        request.releaseBody?.();
        const milliseconds = schemas.runWaitMilliseconds(request.query.wait);
        const until = AbortSignal.any([gone, AbortSignal.timeout(milliseconds)]);
        const now = await Promise.all(taken.map(({ id }) => runs.wait(id, until)));
        const over = milliseconds > 0 && now.every(({ endedAt }) => endedAt !== null);
        return reply.code(over ? 200 : 202).send({ items: now.map(schemas.runSummaryBody) });
      },
    );

    app.get(
      "/v1/runs",
      {
        schema: {
          tags,
          operationId: "listRuns",
          summary: "List runs, oldest first, without what came of them",
          querystring: schemas.RunQuery,
          response: { 200: schemas.RunList, ...problemResponses("invalid-request") },
        },
      },
      async (request) => {
        const { limit, cursor, state = [], label = [] } = request.query;
        const labels = Object.fromEntries(label.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]));
        const { items, nextCursor } = runs.list({ view: request.caller.view, limit, after: positionOf(cursor), states: state, labels });
        return { items: items.map(schemas.runSummaryBody), nextCursor: cursorOf(nextCursor) };
      },
    );

    app.get(
      "/v1/runs/:run",
      {
        schema: {
          tags,
          operationId: "getRun",
          summary: "Look at a run, or wait for its end",
          description: "One that failed is shown with its problem.",
          params: schemas.RunPath,
          querystring: schemas.RunWaitQuery,
          response: { 200: schemas.RunReportBody, ...problemResponses("invalid-request", "run-not-found") },
        },
      },
      async (request, reply) => {
        const milliseconds = schemas.runWaitMilliseconds(request.query.wait);
        const signal = AbortSignal.any([abortedBy(reply), AbortSignal.timeout(milliseconds)]);
        return schemas.runBody(await runs.wait(request.params.run, signal));
      },
    );

    app.delete(
      "/v1/runs/:run",
      {
        schema: {
          tags,
          operationId: "cancelRun",
          summary: "Cancel a run; answers when nothing of it is left on the host",
          description:
            "One that waits leaves the queue, one that is under way is killed; one that is over stays as it is, but for its archive, which is removed.",
          params: schemas.RunPath,
          response: { 200: schemas.RunReportBody, ...problemResponses("invalid-request", "run-not-found") },
        },
      },
      async (request) => schemas.runBody(await runs.cancel(request.params.run)),
    );
  };
