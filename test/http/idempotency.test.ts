import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Daemon, Reply } from "../fixtures/daemon.ts";
import { exampleOf, nameOf, operations, pathOf } from "./contract.ts";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon } from "./small-daemon.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await startSmallDaemon();
  await daemon.request("POST", "/v1/sandboxes", { name: "stored", tty: true });
});
afterAll(async () => {
  await daemon.request("DELETE", "/v1/sandboxes/stored");
  await daemon[Symbol.asyncDispose]();
});

const post = (path: string, body: unknown, key: string): Promise<Reply> => daemon.request("POST", path, body, { "idempotency-key": key });
/** Without the sandboxes of runs, which come and go by themselves. */
const idsOf = async (kind: string): Promise<string[]> =>
  (await daemon.request("GET", `/v1/${kind}?limit=1000`)).body.items
    .filter(({ name }: { name: string }) => !name.startsWith("run-"))
    .map(({ id }: { id: string }) => id);
const answerOf = ({ status, text, headers }: Reply) => ({ status, text, type: headers["content-type"], location: headers["location"] });

/** A valid body where the contract's example would end the main process, and another valid one. */
const bodiesOf = (path: string, example: unknown): [unknown, unknown] => {
  if (path === "/v1/roots") return [example, { name: "other", source: { kind: "copy", binaries: ["/bin/ls"] } }];
  if (path === "/v1/sandboxes") return [example, { labels: { other: "1" } }];
  if (path.endsWith("/processes")) return [example, { command: ["/bin/bash", "-c", "exit 1"] }];
  if (path.endsWith("/signal")) return [{ signal: "SIGWINCH" }, { signal: "SIGCONT" }];
  if (path.endsWith("/resize")) return [example, { rows: 1, columns: 1 }];
  if (path.endsWith("/files")) return [example, { op: "mkdir", path: "/another" }];
  if (path === "/v1/runs") return [example, { command: ["/bin/bash", "-c", "exit 2"] }];
  if (path === "/v1/runs/batch") return [example, { runs: [{ command: ["/bin/bash", "-c", "exit 2"] }] }];
  return [example, { graceSeconds: 3 }];
};

// A body that is passed on as it comes takes no key, nor what is answered with a secret.
const posts = operations
  .filter(
    ({ method, path, body }) =>
      method === "POST" && !(body === null && path.endsWith("/stdin")) && !["/v1/tokens", "/v1/webhooks"].includes(path),
  )
  .map((operation) => ({ name: nameOf(operation), operation }));

describe.each(posts)("a key on $name", ({ operation }) => {
  it("gives the retry the first answer, and does the work once", async () => {
    const path = pathOf(operation, "stored").replace("/processes/stored", "/processes/main");
    const [body, another] = bodiesOf(path, exampleOf(operation));
    const first = await post(path, body, `key-${path}`);
    expect(first.status, first.text).toBeLessThan(300);
    const [sandboxes, roots] = [await idsOf("sandboxes"), await idsOf("roots")];
    const again = await post(path, body, `key-${path}`);
    expect(answerOf(again)).toEqual(answerOf(first));
    expect([first.headers["idempotency-replayed"], again.headers["idempotency-replayed"]]).toEqual([undefined, "true"]);
    expect([await idsOf("sandboxes"), await idsOf("roots")]).toEqual([sandboxes, roots]);
    const other = await post(path, another, `key-${path}`);
    // Where a body has no fields, there is no other valid one.
    if (operation.body?.schema.properties && Object.keys(operation.body.schema.properties).length > 0)
      expect(expectProblem(other, 409).code).toBe("idempotency-key-reused");
    expect([await idsOf("sandboxes"), await idsOf("roots")]).toEqual([sandboxes, roots]);
  });
});

describe("a key", () => {
  it("makes one sandbox of ten requests at once, all of which get its report (check 63)", async () => {
    const before = await idsOf("sandboxes");
    const replies = await Promise.all(
      Array.from({ length: 10 }, () => post("/v1/sandboxes?start=true", { labels: { at: "once" } }, "ten")),
    );
    expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(replies[0]?.body.status.state).toBe("running");
    const added = (await idsOf("sandboxes")).filter((id) => !before.includes(id));
    expect(added).toEqual([replies[0]?.body.id]);
    await daemon.request("DELETE", `/v1/sandboxes/${added[0]}`);
  });

  it("is kept over a restart of the daemon", async () => {
    const first = await post("/v1/sandboxes", { name: "kept" }, "restart");
    await daemon.end("SIGKILL");
    await daemon.start();
    expect(answerOf(await post("/v1/sandboxes", { name: "kept" }, "restart"))).toEqual(answerOf(first));
    expectProblem(await post("/v1/sandboxes", { name: "kept-2" }, "restart"), 409);
  });

  it("stores a refusal that is the caller's fault, and is told apart by path and query", async () => {
    const first = await post("/v1/sandboxes", { root: "none" }, "refused");
    expect(answerOf(await post("/v1/sandboxes", { root: "none" }, "refused"))).toEqual(answerOf(first));
    expectProblem(first, 422);
    const [plain, started] = [await post("/v1/sandboxes", {}, "shared"), await post("/v1/sandboxes?start=true", {}, "shared")];
    expect([plain.status, started.status, plain.body.id === started.body.id]).toEqual([201, 201, false]);
    await daemon.request("DELETE", `/v1/sandboxes/${started.body.id}`);
  });

  it("has 1 to 255 visible characters", async () => {
    const before = await idsOf("sandboxes");
    for (const key of ["", " ", "a b", "x".repeat(256), "tab\there", "\u00e9"])
      expect(expectProblem(await post("/v1/sandboxes", {}, key), 400, key).errors?.[0]?.pointer).toBe("Idempotency-Key");
    expect(await idsOf("sandboxes")).toEqual(before);
    expect((await post("/v1/sandboxes", {}, "~".repeat(255))).status).toBe(201);
  });
});
