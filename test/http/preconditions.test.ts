import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Daemon } from "../fixtures/daemon.ts";
import { expectProblem } from "./expect-problem.ts";
import { startSmallDaemon } from "./small-daemon.ts";

let daemon: Daemon;
let path: string;
beforeAll(async () => {
  daemon = await startSmallDaemon();
});
afterAll(() => daemon[Symbol.asyncDispose]());
beforeEach(async () => {
  path = `/v1/sandboxes/${(await daemon.request("POST", "/v1/sandboxes", { labels: { a: "1" } })).body.id}`;
});

const patch = (body: unknown, headers: Record<string, string> = {}) => daemon.request("PATCH", path, body, headers);

describe("PATCH with If-Match", () => {
  it("changes the generation it names, whose ETag grows with each change", async () => {
    const { headers, body } = await daemon.request("GET", path);
    expect([headers["etag"], body.generation]).toEqual(['"1"', 1]);
    const changed = await patch({ labels: { a: "2" } }, { "if-match": '"1"' });
    expect([changed.status, changed.headers["etag"], changed.body.generation, changed.body.labels]).toEqual([200, '"2"', 2, { a: "2" }]);
    const renamed = await patch({ name: "renamed" }, { "if-match": "*" });
    expect([renamed.headers["etag"], renamed.body.name, renamed.body.definition.name]).toEqual(['"3"', "renamed", "renamed"]);
    expect((await daemon.request("GET", "/v1/sandboxes/renamed")).headers["etag"]).toBe('"3"');
    await daemon.request("DELETE", path);
  });

  it("refuses another generation and tells the right one, and changes nothing", async () => {
    await patch({ labels: { a: "2" } });
    for (const tag of ['"1"', '"3"', '"0"', '"x"', "2", 'W/"2"', '""', '"2'])
      expect(expectProblem(await patch({ labels: {} }, { "if-match": tag }), 412, tag).code).toBe("precondition-failed");
    expect(expectProblem(await patch({ labels: {} }, { "if-match": '"1"' }), 412)).toMatchObject({ generation: 2 });
    expect((await daemon.request("GET", path)).body).toMatchObject({ generation: 2, labels: { a: "2" } });
  });

  it("lets one of many writers through", async () => {
    const writers = Array.from({ length: 10 }, (_, index) => patch({ labels: { writer: `${index}` } }, { "if-match": '"1"' }));
    const statuses = (await Promise.all(writers)).map(({ status }) => status).sort();
    expect(statuses).toEqual([200, ...Array.from({ length: 9 }, () => 412)]);
  });

  it("refuses a name that is taken, and keeps the generation", async () => {
    await daemon.request("POST", "/v1/sandboxes", { name: "taken" });
    expect(expectProblem(await patch({ name: "taken" }), 409).code).toBe("name-taken");
    expect((await daemon.request("GET", path)).body.generation).toBe(1);
  });
});
