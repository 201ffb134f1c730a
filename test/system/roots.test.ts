import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Daemon } from "../fixtures/daemon.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await Daemon.start("--ready-shells", "0");
});
afterAll(() => daemon[Symbol.asyncDispose]());

const copy = (name: string, binaries: string[], files: unknown[] = []) => ({ name, source: { kind: "copy", binaries, files } });
const folders = async () => (await readdir(join(daemon.stateDir, "roots"))).sort();

describe("the embedded default root", () => {
  it("is provisioned at the first start", async () => {
    const first = (await daemon.request("GET", "/v1/roots/default")).body;
    if (first.operation) await daemon.request("GET", `/v1/operations/${first.operation}?wait=30`);
    const { body } = await daemon.request("GET", "/v1/roots/default");
    expect(body).toMatchObject({ name: "default", state: "ready", source: { kind: "copy" }, operation: null, users: 0 });
    const tree = join(daemon.stateDir, "roots", body.id, "tree");
    expect(execFileSync("chroot", [tree, "/bin/bash", "-c", "echo $((6 * 7))"], { encoding: "utf8" })).toBe("42\n");
  });

  it("is there for a sandbox that is made before it is ready", async () => {
    await using fresh = await Daemon.start("--ready-shells", "0");
    expect((await fresh.request("POST", "/v1/sandboxes", {})).status).toBe(201);
  });

  it("is not made where it is switched off", async () => {
    await using without = await Daemon.start("--ready-shells", "0", "--default-root", "off");
    expect((await without.request("GET", "/v1/roots")).body.items).toEqual([]);
  });
});

describe("POST /v1/roots", () => {
  it("answers 202 with an operation that leads to the root", async () => {
    const { status, headers, body } = await daemon.request("POST", "/v1/roots", copy("later", ["/bin/bash"]));
    expect(status).toBe(202);
    expect(headers["location"]).toBe(`/v1/operations/${body.id}`);
    const ended = (await daemon.request("GET", `/v1/operations/${body.id}?wait=30`)).body;
    expect(ended).toMatchObject({
      kind: "root.provision",
      subject: body.subject,
      state: "succeeded",
      progress: 1,
      problem: null,
      result: { root: body.subject, name: "later" },
    });
    expect((await daemon.request("GET", `/v1/roots/${ended.result.root}`)).body).toMatchObject({ name: "later", state: "ready" });
  });

  it("answers 201 with the root when told to wait, and the tree holds what the manifest says", async () => {
    const { status, headers, body } = await daemon.request(
      "POST",
      "/v1/roots?wait=true",
      copy("now", ["/bin/bash", "/bin/ls"], [{ source: "/etc/hostname", target: "/etc/made-on" }]),
    );
    expect(status).toBe(201);
    expect(headers["location"]).toBe(`/v1/roots/${body.id}`);
    const manifest = (await daemon.request("GET", "/v1/roots/now/manifest")).body;
    expect(manifest.root).toBe(body.id);
    expect(manifest.totals).toMatchObject({ files: body.fileCount, sizeBytes: body.sizeBytes });
    const tree = join(daemon.stateDir, "roots", body.id, "tree");
    for (const file of manifest.files.filter((each: { type: string }) => each.type === "file")) {
      expect(execFileSync("sha256sum", [tree + file.path], { encoding: "utf8" }).slice(0, 64)).toBe(file.sha256);
    }
    expect(execFileSync("chroot", [tree, "/bin/bash", "-c", "ls /etc"], { encoding: "utf8" })).toContain("made-on");
  });

  it("takes each name once", async () => {
    const { status, body } = await daemon.request("POST", "/v1/roots", copy("now", ["/bin/bash"]));
    expect([status, body.code]).toEqual([409, "name-taken"]);
    const both = await Promise.all([1, 2].map(() => daemon.request("POST", "/v1/roots?wait=true", copy("twice", ["/bin/bash"]))));
    expect(both.map((reply) => reply.status).sort()).toEqual([201, 409]);
  });

  const bad: [string, unknown, number, string | null][] = [
    ["a missing binary", copy("bad", ["/bin/bash", "/no/such"]), 422, "/source/binaries/1"],
    ["a directory", copy("bad", ["/etc"]), 422, "/source/binaries/0"],
    ["a path with ..", copy("bad", ["/bin/../bin/bash"]), 422, "/source/binaries/0"],
    ["a relative path", copy("bad", ["bash"]), 422, "/source/binaries/0"],
    ["a device", copy("bad", [], ["/dev/null"]), 422, "/source/files/0"],
    ["a target with ..", copy("bad", [], [{ source: "/etc/passwd", target: "/../x" }]), 422, "/source/files/0/target"],
    ["a NUL", copy("bad", ["/bin/ba\0sh"]), 400, "/source/binaries/0"],
    ["a name of 1 MB", copy("x".repeat(1_000_000), ["/bin/bash"]), 400, "/name"],
    ["a name with capitals", copy("Bad", ["/bin/bash"]), 400, "/name"],
    ["no name", { source: { kind: "copy", binaries: ["/bin/bash"] } }, 400, "/name"],
    ["no source", { name: "bad" }, 400, "/source"],
    ["an unknown kind", { name: "bad", source: { kind: "image" } }, 400, "/source/kind"],
    ["an unknown field", { ...copy("bad", ["/bin/bash"]), size: 1 }, 400, "/size"],
    ["an unknown field of the source", { name: "bad", source: { kind: "copy", binaries: ["/bin/bash"], path: "/" } }, 400, "/source/path"],
    [
      "a field of the other kind",
      { name: "bad", source: { kind: "copy", binaries: ["/bin/bash"], suite: "bookworm" } },
      400,
      "/source/suite",
    ],
    ["a number for a path", { name: "bad", source: { kind: "copy", binaries: [1] } }, 400, "/source/binaries/0"],
    ["a text for the list", { name: "bad", source: { kind: "copy", binaries: "/bin/bash" } }, 400, "/source/binaries"],
    ["nothing to copy", { name: "bad", source: { kind: "copy" } }, 422, "/source"],
    ["an unknown suite", { name: "bad", source: { kind: "debootstrap", suite: "no-such" } }, 422, "/source/suite"],
    ["a suite that is an option", { name: "bad", source: { kind: "debootstrap", suite: "--help" } }, 400, "/source/suite"],
    ["a mirror that is no URL", { name: "bad", source: { kind: "debootstrap", mirror: "--x" } }, 400, "/source/mirror"],
    [
      "a mirror with a password",
      { name: "bad", source: { kind: "debootstrap", mirror: "http://a:b@localhost/debian" } },
      422,
      "/source/mirror",
    ],
    ["a package that is an option", { name: "bad", source: { kind: "debootstrap", include: ["-x"] } }, 400, "/source/include/0"],
    ["a keyring that is not there", { name: "bad", source: { kind: "debootstrap", keyring: "/no/such.gpg" } }, 422, "/source/keyring"],
    ["a list", [], 400, null],
  ];
  it.each(bad)("refuses %s with its pointer, and makes nothing", async (_, body, status, pointer) => {
    const before = await folders();
    const reply = await daemon.request("POST", "/v1/roots?wait=true", body);
    expect(reply.status, reply.text).toBe(status);
    expect(reply.headers["content-type"]).toContain("application/problem+json");
    if (pointer !== null) expect(reply.body.errors.map((each: { pointer: string }) => each.pointer)).toContain(pointer);
    expect(await folders()).toEqual(before);
    expect((await daemon.request("GET", "/v1/roots?name=bad")).body.items).toEqual([]);
  });
});

describe("roots and operations that are there", () => {
  it("are listed in pages, oldest first", async () => {
    for (const kind of ["roots", "operations"]) {
      const all = (await daemon.request("GET", `/v1/${kind}`)).body.items.map((each: { id: string }) => each.id);
      const paged: string[] = [];
      let cursor: string | null = "";
      while (cursor !== null) {
        const page: { items: { id: string }[]; nextCursor: string | null } = (
          await daemon.request("GET", `/v1/${kind}?limit=2${cursor && `&cursor=${cursor}`}`)
        ).body;
        paged.push(...page.items.map((each) => each.id));
        cursor = page.nextCursor;
      }
      expect(paged).toEqual(all);
      expect(all.length).toBeGreaterThan(2);
    }
    expect((await daemon.request("GET", "/v1/operations?state=running")).body.items).toEqual([]);
    expect((await daemon.request("GET", "/v1/roots?cursor=wrong")).status).toBe(400);
  });

  it("are 404 when they are not there", async () => {
    for (const path of ["/v1/roots/none", "/v1/roots/none/manifest", "/v1/operations/none"])
      expect((await daemon.request("GET", path)).status, path).toBe(404);
    expect((await daemon.request("DELETE", "/v1/roots/none")).status).toBe(404);
    expect((await daemon.request("DELETE", "/v1/operations/none")).status).toBe(404);
  });

  it("keep an operation that has ended as it is when it is cancelled", async () => {
    const [operation] = (await daemon.request("GET", "/v1/operations")).body.items;
    const { status, body } = await daemon.request("DELETE", `/v1/operations/${operation.id}`);
    expect([status, body]).toEqual([200, operation]);
  });

  it("stream the end of an operation as an event", async () => {
    const [operation] = (await daemon.request("GET", "/v1/operations")).body.items;
    const { headers, text } = await daemon.request("GET", `/v1/operations/${operation.id}`, undefined, { accept: "text/event-stream" });
    expect(headers["content-type"]).toBe("text/event-stream");
    expect(text).toBe(`event: operation\ndata: ${JSON.stringify(operation)}\n\n`);
  });
});

describe("DELETE /v1/roots/{root}", () => {
  it("refuses while a sandbox uses it and names that, then removes tree and row", async () => {
    const root = (await daemon.request("POST", "/v1/roots?wait=true", copy("used", ["/bin/bash"]))).body;
    const sandbox = (await daemon.request("POST", "/v1/sandboxes", { name: "user", root: "used" })).body;
    const refused = await daemon.request("DELETE", "/v1/roots/used");
    expect([refused.status, refused.body.code]).toEqual([409, "root-in-use"]);
    expect(refused.body.users).toEqual([{ id: sandbox.id, name: "user" }]);
    expect((await daemon.request("GET", "/v1/roots/used")).body.users).toBe(1);
    await daemon.request("DELETE", "/v1/sandboxes/user");
    expect((await daemon.request("DELETE", `/v1/roots/${root.id}`)).status).toBe(204);
    expect((await daemon.request("GET", "/v1/roots/used")).status).toBe(404);
    expect(existsSync(join(daemon.stateDir, "roots", root.id))).toBe(false);
  });

  it("lasts over a restart, also for the default, and strangers in the folder are swept", async () => {
    expect((await daemon.request("DELETE", "/v1/roots/default")).status).toBe(204);
    await daemon.end("SIGKILL");
    await writeFile(join(daemon.stateDir, "roots/stray"), "");
    await daemon.start();
    const { items } = (await daemon.request("GET", "/v1/roots")).body;
    expect(items.map((root: { name: string }) => root.name).sort()).toEqual(["later", "now", "twice"]);
    expect(await folders()).toEqual(items.map((root: { id: string }) => root.id).sort());
  });
});
