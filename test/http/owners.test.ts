import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { until } from "../fixtures/processes.ts";
import { exampleOf, isEndless, nameOf, operations, pathOf } from "./contract.ts";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon } from "./small-daemon.ts";
import { TokenClient } from "./token-client.ts";

let daemon: Daemon;
let anna: TokenClient;
let bert: TokenClient;
let team: TokenClient;
let watcher: TokenClient;
beforeAll(async () => {
  daemon = await startSmallDaemon();
  anna = await TokenClient.make(daemon, { name: "anna", scopes: ["run"] });
  bert = await TokenClient.make(daemon, { name: "bert", scopes: ["run"] });
  team = await TokenClient.make(daemon, { name: "team", scopes: ["run"], selector: { team: "x" } });
  watcher = await TokenClient.make(daemon, { name: "watcher", scopes: ["read"], selector: {} });
  await anna.request("POST", "/v1/sandboxes?start=true", { name: "annas" });
  await bert.request("POST", "/v1/sandboxes?start=true", { name: "berts", labels: { team: "x" } });
  await daemon.request("POST", "/v1/sandboxes", { name: "hosts" });
});
afterAll(async () => {
  for (const { id } of (await daemon.request("GET", "/v1/sandboxes?limit=1000")).body.items)
    await daemon.request("DELETE", `/v1/sandboxes/${id}`);
  await daemon[Symbol.asyncDispose]();
});

interface Asker {
  request: TokenClient["request"];
}
const namesIn = async (asker: Asker, path = "/v1/sandboxes?limit=1000"): Promise<string[]> =>
  (await asker.request("GET", path)).body.items.map(({ name }: { name: string }) => name).sort();

describe("a sandbox", () => {
  it("is of the token that made it, and the report says so", async () => {
    expect((await anna.request("GET", "/v1/sandboxes/annas")).body.owner).toBe(anna.id);
    expect((await daemon.request("GET", "/v1/sandboxes/berts")).body.owner).toBe(bert.id);
    expect((await daemon.request("GET", "/v1/sandboxes/hosts")).body.owner).toBe(null);
  });

  it("is listed for its owner, for who is to see its labels, and for who sees all", async () => {
    expect(await namesIn(anna)).toEqual(["annas"]);
    expect(await namesIn(bert)).toEqual(["berts"]);
    expect(await namesIn(team)).toEqual(["berts"]);
    expect(await namesIn(watcher)).toEqual(["annas", "berts", "hosts"]);
    expect(await namesIn(daemon)).toEqual(["annas", "berts", "hosts"]);
    expect(await namesIn(anna, "/v1/sandboxes?name=berts")).toEqual([]);
    expect(await namesIn(anna, "/v1/sandboxes?label=team=x")).toEqual([]);
  });

  const routes = operations.filter(({ path }) => path.startsWith("/v1/sandboxes/{sandbox}"));
  it.each(routes.map((operation) => ({ name: nameOf(operation), operation })))(
    "of others is not there: $name (check 62)",
    async ({ operation }) => {
      const { id } = (await daemon.request("GET", "/v1/sandboxes/berts")).body;
      const before = (await daemon.request("GET", "/v1/sandboxes/berts")).text;
      const told: unknown[] = [];
      for (const name of ["berts", id, "nobody"]) {
        const path = pathOf(operation, name).replace(`/processes/${name}`, "/processes/main");
        const query = operation.parameters.some(({ name: each }) => each === "path") ? "?path=/tmp" : "";
        const reply = await anna.request(operation.method, `${path}${query}`, exampleOf(operation));
        const { code, detail, errors = null } = expectProblem(reply, 404, `${operation.method} ${path}`);
        told.push({ code, errors, detail: detail.replaceAll(name, "NAME") });
      }
      // In the very words for what nobody has.
      expect(told[0]).toEqual(told[2]);
      expect(told[1]).toEqual(told[2]);
      expect((await daemon.request("GET", "/v1/sandboxes/berts")).text).toBe(before);
    },
  );

  it("is its owner's in all that can be done with it", async () => {
    expect(
      (await anna.request("POST", "/v1/sandboxes/annas/processes?wait=true", { command: ["/bin/bash", "-c", "exit 3"] })).body.exit.code,
    ).toBe(3);
    expect((await anna.request("GET", "/v1/sandboxes/annas/logs")).status).toBe(200);
    expect((await anna.request("POST", "/v1/sandboxes/annas/files", { op: "mkdir", path: "/mine" })).status).toBe(200);
    expect((await anna.request("POST", "/v1/sandboxes/annas/restart", { graceSeconds: 0 })).body.status.state).toBe("running");
  });

  it("keeps the labels that a token is confined to", async () => {
    const made = await team.request("POST", "/v1/sandboxes", { name: "teams", labels: { other: "1" } });
    expect(made.body.labels).toEqual({ other: "1", team: "x" });
    for (const [method, path] of [
      ["POST", "/v1/sandboxes"],
      ["PATCH", "/v1/sandboxes/teams"],
    ] as const) {
      const problem = expectProblem(await team.request(method, path, { labels: { team: "y" } }), 403);
      expect(problem.errors?.[0]?.pointer).toBe("/labels/team");
    }
    expect((await team.request("PATCH", "/v1/sandboxes/teams", { labels: {} })).body.labels).toEqual({ team: "x" });
    expect((await team.request("DELETE", "/v1/sandboxes/teams")).status).toBe(200);
    const admin = await daemon.request("POST", "/v1/tokens", { name: "odd", scopes: ["admin"], selector: { team: "x" } });
    expect(expectProblem(admin, 422).errors?.[0]?.pointer).toBe("/selector");
  });
});

describe("what tells of sandboxes elsewhere", () => {
  it("tells nobody of another's: namespaces and pids", async () => {
    const pid = (await daemon.request("GET", "/v1/sandboxes/berts")).body.process.pid;
    const { items } = (await anna.request("GET", "/v1/namespaces")).body;
    expect(new Set(items.flatMap((entry: { sandboxes: { name: string }[] }) => entry.sandboxes.map(({ name }) => name)))).toEqual(
      new Set(["annas"]),
    );
    for (const hidden of [pid, 1, daemon.pid]) expectProblem(await anna.request("GET", `/v1/namespaces?pid=${hidden}`), 404);
    expect((await bert.request("GET", `/v1/namespaces?pid=${pid}`)).body.process.sandbox.name).toBe("berts");
    const { inode } = (await daemon.request("GET", "/v1/sandboxes/berts/namespaces")).body.namespaces.net;
    expect((await anna.request("GET", `/v1/namespaces?inode=${inode}`)).body.items).toEqual([]);
  });

  it("tells nobody of another's: the diagram", async () => {
    const sandboxes = (await anna.request("GET", "/v1/diagram?format=json")).body.sandboxes;
    expect(sandboxes.map(({ name }: { name: string }) => name)).toEqual(["annas"]);
    expect((await bert.request("GET", "/v1/diagram?format=svg")).text).not.toContain("annas");
  });

  it("tells nobody of another's: events, also of what was deleted", async () => {
    await bert.request("POST", "/v1/sandboxes", { name: "brief" });
    const { id } = (await bert.request("GET", "/v1/sandboxes/brief")).body;
    await bert.request("DELETE", "/v1/sandboxes/brief");
    const typesOf = (text: string) =>
      text
        .split("\n")
        .filter((line) => line.includes(id))
        .map((line) => JSON.parse(line).type);
    expect(typesOf((await bert.request("GET", "/v1/events")).text)).toEqual(["sandbox.created", "sandbox.deleted"]);
    expect(typesOf((await watcher.request("GET", "/v1/events")).text)).toEqual(["sandbox.created", "sandbox.deleted"]);
    const { text } = await anna.request("GET", "/v1/events");
    expect(text).toContain(`"name":"annas"`);
    expect(text).toContain("root.ready");
    for (const hidden of [id, "berts", "hosts", "token."]) expect(text).not.toContain(hidden);
    expect((await anna.request("GET", `/v1/events?sandbox=${id}`)).text).toBe("");
    expectProblem(await anna.request("GET", "/v1/events?sandbox=berts"), 404);
    expect((await anna.request("GET", "/v1/info")).body.recovery).toBe(null);
  });

  it("tells nobody of another's: runs and their sandboxes", async () => {
    const { id } = (await anna.request("POST", "/v1/runs", { command: ["/bin/sleep", "60"] })).body;
    await until("its sandbox", async () => (await namesIn(anna)).includes(`run-${id}`));
    expect((await daemon.request("GET", `/v1/sandboxes/run-${id}`)).body.owner).toBe(anna.id);
    expect(await namesIn(bert)).not.toContain(`run-${id}`);
    expect((await bert.request("GET", "/v1/runs")).body.items).toEqual([]);
    for (const operation of operations.filter(({ path }) => path.startsWith("/v1/runs/{run}")))
      expectProblem(await bert.request(operation.method, pathOf(operation, id)), 404, nameOf(operation));
    expect((await anna.request("GET", "/v1/runs")).body.items.map((run: { id: string }) => run.id)).toEqual([id]);
    const labelled = (await bert.request("POST", "/v1/runs?wait=true", { command: ["/bin/bash", "-c", ":"], labels: { team: "x" } })).body;
    expect((await team.request("GET", `/v1/runs/${labelled.id}`)).body.exit.code).toBe(0);
    expect((await anna.request("DELETE", `/v1/runs/${id}`)).body.state).toBe("cancelled");
  });

  it("tells nobody of another's: operations", async () => {
    const begun = await anna.request("POST", "/v1/sandboxes/annas/restart?wait=0", { graceSeconds: 0 });
    expect(begun.status).toBe(202);
    const { id } = begun.body;
    const listed = async (asker: Asker) =>
      (await asker.request("GET", "/v1/operations?limit=1000")).body.items.map((each: { id: string }) => each.id);
    expect([(await listed(anna)).includes(id), (await listed(watcher)).includes(id), (await listed(bert)).includes(id)]).toEqual([
      ...[true, true, false],
    ]);
    for (const method of ["GET", "DELETE"]) expectProblem(await bert.request(method, `/v1/operations/${id}`), 404, method);
    expect((await anna.request("GET", `/v1/operations/${id}?wait=30`)).body.state).toBe("succeeded");
    // Roots are everybody's to look at, and the administrator's to change.
    const root = (await bert.request("GET", "/v1/operations")).body.items.find((each: { kind: string }) => each.kind === "root.provision");
    expectProblem(await bert.request("DELETE", `/v1/operations/${root.id}`), 403);
  });

  it("keeps Idempotency-Keys of tokens apart", async () => {
    const keyed = (asker: TokenClient) => asker.request("POST", "/v1/sandboxes", { labels: { k: "1" } }, { "idempotency-key": "same" });
    const [one, two] = [await keyed(anna), await keyed(bert)];
    expect([one.status, two.status]).toEqual([201, 201]);
    expect(two.body.id).not.toBe(one.body.id);
    expect(two.body.owner).toBe(bert.id);
  });

  it("is all that routes with no sandbox in their path answer to one that sees little", () => {
    // A new route that tells of sandboxes is added here when it has been seen to keep to what its caller sees.
    const looked = [
      "/v1/diagram",
      "/v1/events",
      "/v1/info",
      "/v1/namespaces",
      "/v1/runs",
      "/v1/sandboxes",
      "/metrics",
      "/v1/preflight",
      "/v1/operations",
    ];
    const others = operations
      .filter((operation) => operation.method === "GET" && !operation.path.includes("{") && !isEndless(operation))
      .map(({ path }) => path)
      .filter(
        (path) => !looked.includes(path) && !["/healthz", "/readyz", "/v1/audit", "/v1/roots", "/v1/tokens", "/v1/webhooks"].includes(path),
      );
    expect(others).toEqual([]);
  });
});
