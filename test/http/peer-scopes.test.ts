/** Users of the host on the unix socket: what each may do by the rules, with processes that have these uids and groups for real. */
import { Agent, request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { neededScopes } from "../../server/http/scopes.ts";
import type { Daemon } from "../fixtures/daemon.ts";
import { isAlive, until } from "../fixtures/processes.ts";
import { nameOf, operations, pathOf } from "./contract.ts";
import { expectProblem } from "./expect-problem.ts";
import { inventory } from "./inventory.ts";
import { startSmallDaemon } from "./small-daemon.ts";
import { TokenClient } from "./token-client.ts";
import { openSocket, UserClient } from "./user-client.ts";

// The daemon is restarted here, which takes its time on a loaded machine.
vi.setConfig({ testTimeout: 120_000 });

const rules = [
  "uid:21001=read",
  "uid:21002=run",
  "uid:21003=admin",
  "uid:21004=read:all",
  "uid:21009=read",
  "gid:22001=run:sandboxes=1",
  "gid:22002=read",
  "gid:22003=admin",
  "gid:daemon=run:all",
];

let daemon: Daemon;
const as = (uid: number, gid?: number, groups?: readonly number[]) => new UserClient(daemon, uid, gid, groups);
beforeAll(async () => {
  daemon = await startSmallDaemon("--peer-scope", rules.join(","));
  openSocket(daemon);
});
afterAll(() => daemon[Symbol.asyncDispose]());
const clear = async () => {
  for (const { id } of (await daemon.request("GET", "/v1/sandboxes")).body.items) await daemon.request("DELETE", `/v1/sandboxes/${id}`);
};
const scopeOf = async (client: UserClient) =>
  [
    (await client.request("GET", "/v1/sandboxes")).status,
    (await client.request("POST", "/v1/sandboxes/none/kill")).status,
    (await client.request("GET", "/v1/tokens")).status,
  ].join(" ");
const scopes = ["read", "run", "admin"] as const;
const shapes = { none: "403 403 403", read: "200 403 403", run: "200 404 403", admin: "200 404 200" };

describe("a scope", () => {
  const guarded = operations.filter(({ security, path }) => security?.length !== 0 && path !== "/v1/backup");
  const routeOf = ({ method, path }: (typeof operations)[number]) => `${method} ${path.replaceAll(/\{([^}]+)\}/g, ":$1")}`;

  it.each([
    ["read", 21_001],
    ["run", 21_002],
    ["admin", 21_003],
  ] as const)("of %s opens what it is for to a user, and nothing else", async (scope, uid) => {
    const client = as(uid);
    const before = await inventory(daemon);
    const ask = async (operation: (typeof operations)[number]) => {
      const needed = scopes.find((each) => neededScopes[each].includes(routeOf(operation))) ?? "admin";
      const body = operation.method === "GET" || operation.method === "DELETE" ? undefined : { "no-such-field": 1 };
      const reply = await client.request(operation.method, pathOf(operation), body);
      const what = `${nameOf(operation)} with ${scope}`;
      if (scopes.indexOf(scope) < scopes.indexOf(needed))
        expect(expectProblem(reply, 403, what), what).toMatchObject({ code: "forbidden", detail: expect.stringContaining(needed) });
      else expect([401, 403, 500, 503], what).not.toContain(reply.status);
    };
    // Eight at a time: each takes two programs.
    const waiting = [...guarded];
    const work = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await ask(next);
    };
    await Promise.all(Array.from({ length: 8 }, work));
    expect(await inventory(daemon)).toEqual(before);
  });

  it("is that of the uid before that of any group, and of groups the one that reaches furthest", async () => {
    for (const [client, shape] of [
      [as(21_001, 22_003, [22_001]), shapes.read],
      [as(30_000, 22_002), shapes.read],
      [as(30_000, 30_000, [5, 22_001, 40_000]), shapes.run],
      [as(30_000, 22_002, [22_001]), shapes.run],
      [as(30_000, 22_001, [22_002, 22_003]), shapes.admin],
      [as(30_000, 30_000, [1]), shapes.run],
      [as(30_000, 0, [0]), shapes.none],
      [as(22_001, 21_003), shapes.none],
      [as(0), shapes.admin],
      [as(0, 22_002, [22_002]), shapes.admin],
    ] as const)
      expect(await scopeOf(client)).toBe(shape);
  });

  it("is found among more groups than most have", async () => {
    const many = Array.from({ length: 3_000 }, (_, index) => 50_000 + index);
    expect(await scopeOf(as(30_000, 30_000, [...many, 4_000_000_000]))).toBe(shapes.none);
    expect(await scopeOf(as(30_000, 30_000, [22_001, ...many]))).toBe(shapes.run);
  });

  it("is nobody's whom no rule is about: they are refused by their uid, whatever they ask, but for what is open to all", async () => {
    const stranger = as(30_000);
    const before = await inventory(daemon);
    for (const path of ["/v1/info", "/v1/sandboxes", "/no/such", "/metrics"])
      expect(expectProblem(await stranger.request("GET", path), 403).detail).toContain("uid 30000");
    expect(expectProblem(await stranger.request("POST", "/v1/sandboxes", {}), 403).code).toBe("forbidden");
    expect([(await stranger.request("GET", "/healthz")).status, (await stranger.request("GET", "/openapi.json")).status]).toEqual([
      200, 200,
    ]);
    expect(await inventory(daemon)).toEqual(before);
  });

  it("of run shares no namespace of the host, and changes no seccomp profile", async () => {
    const problem = expectProblem(await as(21_002).request("POST", "/v1/sandboxes", { namespaces: { net: false } }), 403);
    expect(problem.errors?.map(({ pointer }) => pointer)).toEqual(["/namespaces/net"]);
    expectProblem(await as(21_002).request("POST", "/v1/runs", { command: ["/bin/bash"], seccomp: { deny: ["mkdir"] } }), 403);
  });

  it("of the socket is nothing to TCP, where a token counts as ever", async () => {
    const token = await TokenClient.make(daemon, { name: "reader", scopes: ["read"], selector: {} });
    expect((await token.request("GET", "/v1/sandboxes")).status).toBe(200);
    expect((await token.request("POST", "/v1/sandboxes", {})).status).toBe(403);
    expect((await new TokenClient(daemon, "", "wrong").request("GET", "/v1/sandboxes")).status).toBe(401);
  });
});

describe("what a user makes", () => {
  it("is theirs: others without :all do not see it, over a restart of the daemon too", async () => {
    const made = (await as(21_002).request("POST", "/v1/sandboxes?start=true", { name: "mine" })).body;
    expect([made.owner, isAlive(made.process.pid)]).toEqual(["uid:21002", true]);
    const looks = async () => {
      const status = async (client: UserClient) => (await client.request("GET", "/v1/sandboxes/mine")).status;
      return [
        await status(as(21_002)),
        await status(as(21_002, 40_000, [22_003])),
        await status(as(30_000, 22_001)),
        await status(as(21_001)),
        await status(as(21_004)),
        await status(as(30_000, 1)),
        await status(as(21_003)),
        await status(as(0)),
      ].join(" ");
    };
    expect(await looks()).toBe("200 200 404 404 200 200 200 200");
    expect((await as(30_000, 22_001).request("DELETE", "/v1/sandboxes/mine")).status).toBe(404);
    await daemon.end();
    await daemon.start();
    openSocket(daemon);
    expect(await looks()).toBe("200 200 404 404 200 200 200 200");
    const run = (await as(21_002).request("POST", "/v1/runs?wait=true", { command: ["/bin/bash", "-c", "echo $UID"] })).body;
    expect(run.stdout.data).toBe("0\n");
    expect((await as(30_000, 22_001).request("GET", `/v1/runs/${run.id}`)).status).toBe(404);
    expect((await as(21_004).request("GET", `/v1/runs/${run.id}`)).status).toBe(200);
    expect((await as(21_002).request("DELETE", "/v1/sandboxes/mine")).status).toBe(200);
    expect(isAlive(made.process.pid)).toBe(false);
  });

  it("counts against the quotas of their rule, for each of them alone", async () => {
    const [one, other] = [as(31_001, 22_001), as(31_002, 22_001)];
    for (const user of [one, other]) {
      expect((await user.request("POST", "/v1/sandboxes", {})).body.owner).toMatch(/^uid:3100[12]$/);
      const problem = expectProblem(await user.request("POST", "/v1/sandboxes", {}), 403);
      expect(problem).toMatchObject({ code: "quota-exceeded", quota: "sandboxes", limit: 1, used: 1 });
    }
    await clear();
    expect((await one.request("POST", "/v1/sandboxes", {})).status).toBe(201);
    await clear();
  });

  it("is told in the audit by their uid, refusals too", async () => {
    const read = async (query = "") =>
      (await daemon.request("GET", `/v1/audit?${query}`)).text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line));
    const after = (await read()).at(-1)?.id ?? 0;
    await as(21_002).request("POST", "/v1/sandboxes", { name: "told" });
    await as(21_001).request("DELETE", "/v1/sandboxes/told");
    await daemon.request("DELETE", "/v1/sandboxes/told");
    expect((await read(`after=${after}`)).map(({ caller, callerName, method, status }) => [caller, callerName, method, status])).toEqual([
      ["uid:21002", "uid 21002", "POST", 201],
      ["uid:21001", "uid 21001", "DELETE", 403],
      ["unix", "uid 0", "DELETE", 200],
    ]);
  });
});

describe("who has connected", () => {
  const over = (agent: Agent): Promise<number> =>
    new Promise((done, failed) => {
      const request = httpRequest(
        { socketPath: daemon.socket, path: "/v1/sandboxes", headers: { host: "localhost" }, agent },
        (response) => {
          response.resume().once("end", () => done(response.statusCode ?? 0));
        },
      );
      request.once("error", failed);
      request.end();
    });
  const launcher = async () => (await daemon.request("GET", "/v1/info")).body.launcher.pid as number;

  it("is asked for once for each connection; where it cannot be found out, nobody gets in", async () => {
    using open = new Kept();
    expect(await over(open.agent)).toBe(200);
    const pid = await launcher();
    process.kill(pid, "SIGSTOP");
    try {
      expect(await over(open.agent)).toBe(200);
      const refused = await as(21_002).request("GET", "/v1/sandboxes");
      expect(expectProblem(refused, 503)).toMatchObject({ code: "launcher-unavailable", retryable: true });
      expect(refused.headers["retry-after"]).toBe("1");
      expect((await as(30_000).request("GET", "/healthz")).status).toBe(200);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await until("it is known again", async () => (await as(21_002).request("GET", "/v1/sandboxes")).status === 200, 20_000);
  });

  it("is found out by a launcher that is started for it, where the last one is dead", async () => {
    const pid = await launcher();
    process.kill(pid, "SIGKILL");
    await until("its end", () => !isAlive(pid), 20_000);
    await until("a user is let in", async () => (await as(21_002).request("GET", "/v1/sandboxes")).status === 200, 20_000);
    expect(await scopeOf(as(30_000))).toBe(shapes.none);
    expect(await launcher()).not.toBe(pid);
  });
});

/** Connections that are kept, one at most. */
class Kept {
  readonly agent = new Agent({ keepAlive: true, maxSockets: 1 });
  [Symbol.dispose](): void {
    this.agent.destroy();
  }
}
