import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import SQLite from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { neededScopes } from "../../server/http/scopes.ts";
import type { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";
import { nameOf, operations, pathOf } from "./contract.ts";
import { expectProblem } from "./expect-problem.ts";
import { inventory } from "./inventory.ts";
import { startSmallDaemon } from "./small-daemon.ts";
import { adminToken, TokenClient } from "./token-client.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon();
});
afterAll(() => daemon[Symbol.asyncDispose]());

const scopes = ["read", "run", "admin"] as const;
const guarded = operations.filter(({ security }) => security?.length !== 0);
const routeOf = ({ method, path }: (typeof operations)[number]) => `${method} ${path.replaceAll(/\{([^}]+)\}/g, ":$1")}`;
const scopeNeeded = (route: string) => scopes.find((scope) => neededScopes[scope].includes(route));

describe("a scope", () => {
  it("is set for every route of the router, and for no other (check 59)", () => {
    expect(scopes.flatMap((scope) => neededScopes[scope]).toSorted()).toEqual(guarded.map(routeOf).toSorted());
  });

  it.each(scopes)("of %s opens what it is for, and nothing else, before the body is read", async (scope) => {
    const client = await TokenClient.make(daemon, { name: `only-${scope}`, scopes: [scope] });
    const before = await inventory(daemon);
    for (const operation of guarded.filter(({ path }) => path !== "/v1/backup")) {
      const needed = scopeNeeded(routeOf(operation)) ?? "nobody";
      const allowed = scopes.indexOf(scope) >= scopes.indexOf(needed as never);
      // No body fits an operation that takes one; what is named is not there.
      const body = operation.method === "GET" || operation.method === "DELETE" ? undefined : { "no-such-field": 1 };
      const reply = await client.request(operation.method, pathOf(operation), allowed ? body : undefined, {
        // It is announced and never sent: an answer shows that nobody waited for it.
        ...(allowed ? {} : { "content-type": "application/json", "content-length": "1000000" }),
      });
      const what = `${nameOf(operation)} with ${scope}`;
      if (!allowed)
        expect(expectProblem(reply, 403, what), what).toMatchObject({ code: "forbidden", detail: expect.stringContaining(needed) });
      else expect([401, 403], what).not.toContain(reply.status);
      if (!allowed && operation.method === "GET")
        expect((await client.request("HEAD", pathOf(operation))).status, `HEAD ${what}`).toBe(403);
    }
    expect(await inventory(daemon)).toEqual(before);
  });

  it("of run shares no namespace of the host", async () => {
    const client = await TokenClient.make(daemon, { name: "sharing", scopes: ["run"] });
    const problem = expectProblem(await client.request("POST", "/v1/sandboxes", { namespaces: { net: false } }), 403);
    expect(problem.errors?.map(({ pointer }) => pointer)).toEqual(["/namespaces/net"]);
  });
});

describe("a token", () => {
  it("is told once, and kept as a digest alone (check 59)", async () => {
    const client = await TokenClient.make(daemon, { name: "secret", scopes: ["admin"] });
    const wrong = `${client.secret.slice(0, -1)}!`;
    expect(Buffer.from(client.secret.replace("unshared_", ""), "base64url").length).toBe(32);
    for (const path of ["/v1/info", "/no/such", "/v1/sandboxes/none", `/v1/info?token=${client.secret}`]) await client.request("GET", path);
    await new TokenClient(daemon, "", wrong).request("GET", "/v1/info");
    const list = await client.request("GET", "/v1/tokens");
    const events = await client.request("GET", "/v1/events?type=token.*");
    expect(events.text).toContain(client.id);
    for (const { text } of [list, events]) expect(text).not.toContain(client.secret.slice(9));
    expect(JSON.stringify(daemon.log)).not.toContain(client.secret.slice(9));
    expect(readFileSync(`/proc/${daemon.pid}/cmdline`, "latin1")).not.toContain(client.secret.slice(9));
    const stored = readdirSync(daemon.stateDir, { withFileTypes: true }).filter((entry) => entry.isFile());
    for (const { name } of stored) expect(readFileSync(join(daemon.stateDir, name), "latin1"), name).not.toContain(client.secret.slice(9));
    using database = new Opened(join(daemon.stateDir, "state.db"));
    expect(database.digest(client.id)).toEqual(createHash("sha256").update(client.secret).digest());
  });

  it("opens nothing once it is revoked, also after a restart", async () => {
    const [gone, stays] = [
      await TokenClient.make(daemon, { name: "gone", scopes: ["admin"] }),
      await TokenClient.make(daemon, { name: "stays", scopes: ["read"] }),
    ];
    expect((await gone.request("GET", "/v1/info")).status).toBe(200);
    expect((await gone.request("DELETE", "/v1/tokens/gone")).status).toBe(204);
    expect(expectProblem(await gone.request("GET", "/v1/info"), 401).code).toBe("unauthorized");
    expect(expectProblem(await daemon.request("DELETE", `/v1/tokens/${gone.id}`), 404).code).toBe("token-not-found");
    await daemon.end("SIGKILL");
    await daemon.start();
    expectProblem(await gone.request("GET", "/v1/info"), 401);
    expect((await stays.request("GET", "/v1/info")).status).toBe(200);
    const admin = new TokenClient(daemon, "token", adminToken(daemon));
    expect((await admin.request("GET", "/v1/tokens")).body.items.map(({ name }: { name: string }) => name)).toContain("stays");
  });

  it("opens nothing once it has expired", async () => {
    const brief = await TokenClient.make(daemon, { name: "brief", scopes: ["read"], ttlSeconds: 2 });
    expect((await brief.request("GET", "/v1/info")).status).toBe(200);
    const refused = await until("expired", async () => {
      const reply = await brief.request("GET", "/v1/info");
      return reply.status === 401 && reply;
    });
    expect(expectProblem(refused, 401).detail).toContain("expired");
    const { items } = (await daemon.request("GET", "/v1/tokens")).body;
    expect(Date.parse(items.find(({ id }: { id: string }) => id === brief.id).expiresAt)).toBeLessThanOrEqual(Date.now());
  });

  it("tells when it was used, written at most once a minute", async () => {
    const client = await TokenClient.make(daemon, { name: "used", scopes: ["read"] });
    const lastUsedAt = async () =>
      (await daemon.request("GET", "/v1/tokens")).body.items.find(({ id }: { id: string }) => id === client.id).lastUsedAt;
    expect(await lastUsedAt()).toBe(null);
    const began = Date.now();
    await client.request("GET", "/v1/info");
    const first = await lastUsedAt();
    expect(Date.parse(first)).toBeGreaterThanOrEqual(began - 1);
    for (let turn = 0; turn < 20; turn += 1) await client.request("GET", "/v1/info");
    expect(await lastUsedAt()).toBe(first);
  });

  it("has a name of its own, is listed page by page, and takes no Idempotency-Key", async () => {
    await TokenClient.make(daemon, { name: "once", scopes: ["run", "read"] });
    expect(expectProblem(await daemon.request("POST", "/v1/tokens", { name: "once", scopes: ["read"] }), 409).code).toBe("name-taken");
    const keyed = await daemon.request("POST", "/v1/tokens", { name: "keyed", scopes: ["read"] }, { "idempotency-key": "k" });
    expect(expectProblem(keyed, 422).code).toBe("unsupported");
    const names: string[] = [];
    let cursor = "";
    do {
      const page = await daemon.request("GET", `/v1/tokens?limit=2${cursor && `&cursor=${cursor}`}`);
      names.push(...page.body.items.map(({ name }: { name: string }) => name));
      cursor = page.body.nextCursor ?? "";
    } while (cursor !== "");
    expect(names).toEqual((await daemon.request("GET", "/v1/tokens")).body.items.map(({ name }: { name: string }) => name));
    expect(names).toContain("once");
    expect(names).not.toContain("keyed");
  });
});

/** The daemon's database, read beside it. */
class Opened {
  readonly #connection: SQLite.Database;

  constructor(path: string) {
    this.#connection = new SQLite(path, { readonly: true });
  }

  digest(id: string): Buffer {
    return (this.#connection.prepare("SELECT digest FROM tokens WHERE id = ?").get(id) as { digest: Buffer }).digest;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}
