import type { FastifyInstance, FastifyRequest } from "fastify";
import { reaches, type Scope } from "../domain/callers.ts";
import { DomainError } from "../domain/errors.ts";

const sandbox = "/v1/sandboxes/:sandbox";
const process = `${sandbox}/processes/:process`;

/** The scope that each operation needs. A route that is not in this table, nor open to all, keeps the daemon from starting. */
export const neededScopes: Readonly<Record<Scope, readonly string[]>> = {
  read: [
    "GET /metrics",
    "GET /v1/info",
    "GET /v1/preflight",
    "GET /v1/events",
    "GET /v1/diagram",
    "GET /v1/namespaces",
    "GET /v1/operations",
    "GET /v1/operations/:operation",
    "GET /v1/roots",
    "GET /v1/roots/:root",
    "GET /v1/roots/:root/manifest",
    "GET /v1/runs",
    "GET /v1/runs/:run",
    "GET /v1/runs/:run/archive",
    "GET /v1/sandboxes",
    `GET ${sandbox}`,
    `GET ${sandbox}/archive`,
    `GET ${sandbox}/diagram`,
    `GET ${sandbox}/files`,
    `GET ${sandbox}/logs`,
    `GET ${sandbox}/namespaces`,
    `GET ${sandbox}/processes`,
    `GET ${sandbox}/receipt`,
    `GET ${sandbox}/stats`,
    `GET ${sandbox}/watch`,
    `GET ${process}`,
    `GET ${process}/output`,
  ],
  run: [
    "POST /v1/runs",
    "POST /v1/runs/batch",
    "DELETE /v1/runs/:run",
    // Those that provision roots need admin all the same.
    "DELETE /v1/operations/:operation",
    "POST /v1/sandboxes",
    `PATCH ${sandbox}`,
    `DELETE ${sandbox}`,
    `POST ${sandbox}/start`,
    `POST ${sandbox}/pause`,
    `POST ${sandbox}/resume`,
    `POST ${sandbox}/keepalive`,
    `POST ${sandbox}/stop`,
    `POST ${sandbox}/kill`,
    `POST ${sandbox}/restart`,
    `POST ${sandbox}/files`,
    `PUT ${sandbox}/files`,
    `DELETE ${sandbox}/files`,
    `PUT ${sandbox}/archive`,
    `POST ${sandbox}/processes`,
    `DELETE ${process}`,
    `POST ${process}/stdin`,
    `POST ${process}/signal`,
    `POST ${process}/resize`,
    // What is typed there is not only looked at.
    `GET ${process}/terminal`,
  ],
  admin: [
    "POST /v1/backup",
    "POST /v1/roots",
    "DELETE /v1/roots/:root",
    "GET /v1/audit",
    "GET /v1/tokens",
    "POST /v1/tokens",
    "DELETE /v1/tokens/:token",
    "GET /v1/webhooks",
    "POST /v1/webhooks",
    "GET /v1/webhooks/:webhook",
    "DELETE /v1/webhooks/:webhook",
  ],
};

const byOperation = new Map(
  (Object.entries(neededScopes) as [Scope, string[]][]).flatMap(([scope, names]) => names.map((name) => [name, scope] as const)),
);

/** HEAD needs what GET needs. */
const needed = (method: string, url: string): Scope | undefined => byOperation.get(`${method === "HEAD" ? "GET" : method} ${url}`);

/** Holds every route that is added from now on to be in the table. */
export const requireScopes = (app: FastifyInstance): void => {
  app.addHook("onRoute", ({ method, url, config }) => {
    for (const each of [method].flat())
      if (config?.open !== true && needed(each, url) === undefined) throw new Error(`no scope is set for ${each} ${url} in http/scopes.ts`);
  });
};

/** @throws DomainError `forbidden` where the caller's scope does not reach so far; what is not there is told by others */
export const checkScope = ({ method, routeOptions: { url }, caller }: FastifyRequest): void => {
  if (url === undefined) return;
  const scope = needed(method, url) ?? "admin";
  if (!reaches(caller.scope, scope)) throw new DomainError("forbidden", `this needs the scope ${scope}, not only ${caller.scope}`);
};
