/** GET /v1/diagram against what lsns, /proc and the root itself say. */
import { readdirSync } from "node:fs";
import { DOMParser } from "@xmldom/xmldom";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Diagram } from "../../server/domain/diagram.ts";
import { commandLine, inodesOf, lsns, readOr, statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

const hostile = "<b>&\"'\u001b[31m";

let host: SandboxDaemon;
// biome-ignore lint/suspicious/noExplicitAny: reports, whose shape other tests state
let sandboxes: any[];
beforeAll(async () => {
  host = await SandboxDaemon.start("diagram", 1_940_000_000);
  sandboxes = await Promise.all([
    host.run({ name: "one", command: ["/bin/bash", "-c", "(sleep 1002 & exec sleep 1001) & wait"] }),
    host.run({ name: "two", command: ["/bin/bash", "-c", `touch '/top${hostile.replace("'", "")}'; exec -a "$0" sleep 1003`, hostile] }),
    host.run({ name: "host-net", namespaces: { net: false } }),
  ]);
  await host.request("POST", "/v1/sandboxes", { name: "stored" });
  await until("the family", () => host.pidsInside(sandboxes[0]).length === 4, 20_000);
  await until("the name", () => commandLine(sandboxes[1].process.pid)[0] === hostile, 20_000);
});
afterAll(() => host[Symbol.asyncDispose]());

const model = async (path = "/v1/diagram"): Promise<Diagram> => (await host.request("GET", `${path}?format=json`)).body;
const sandboxNamed = (diagram: Diagram, name: string) => diagram.sandboxes.find((each) => each.name === name) ?? expect.fail(name);

describe("the model", () => {
  it("has the inodes that /proc and lsns show, each once", async () => {
    const diagram = await model();
    expect(diagram.sandboxes.map(({ name }) => name).sort()).toEqual(["host-net", "one", "two"]);
    for (const report of sandboxes) {
      const { namespaces } = sandboxNamed(diagram, report.name);
      expect(namespaces).toEqual(inodesOf(report.process.pid));
      expect(namespaces).toMatchObject(await lsns(report.process.pid));
      for (const [type, inode] of Object.entries(namespaces ?? {}))
        expect(diagram.namespaces.find((each) => each.type === type && each.inode === inode)?.sandboxes).toContain(report.id);
    }
    const own = inodesOf("self");
    expect(diagram.namespaces.filter((each) => each.host).map(({ type, inode }) => [type, inode])).toEqual(Object.entries(own));
    const keys = diagram.namespaces.map(({ type, inode }) => `${type} ${inode}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it("connects those that share: the host's net leads to one sandbox, its time to all", async () => {
    const { namespaces } = await model();
    const users = (type: string) => namespaces.find((each) => each.host && each.type === type)?.sandboxes;
    expect(users("net")).toEqual([sandboxes[2].id]);
    expect([...(users("time") ?? [])].sort()).toEqual(sandboxes.map(({ id }) => id).sort());
    expect(users("mnt")).toEqual([]);
  });

  it("has the processes that are in the cgroup, under their parents and with both pids", async () => {
    const diagram = await model();
    for (const report of sandboxes) {
      const { processes } = sandboxNamed(diagram, report.name);
      expect(processes?.map(({ pid }) => pid).sort((a, b) => a - b)).toEqual(host.pidsInside(report));
      for (const { pid, pidInside, parentPid, command, role } of processes ?? []) {
        expect(pidInside).toBe(Number(statusLine(pid, "NSpid").split(/\s+/).at(-1)));
        expect(command.join("\0")).toBe(readOr(`/proc/${pid}/cmdline`, "").replace(/\0+$/, ""));
        if (parentPid !== null) expect(parentPid).toBe(Number(statusLine(pid, "PPid")));
        expect(role === "main").toBe(pid === report.process.pid);
      }
    }
  });

  it("lists the top of the root as the sandbox sees it, with what it made there", async () => {
    const { entries, entriesOmitted, root } = sandboxNamed(await model(), "two");
    expect(entries?.map(({ name }) => name).sort()).toEqual(readdirSync(`/proc/${sandboxes[1].process.pid}/root/`).sort());
    expect(entries?.some(({ name }) => name.startsWith("top<b>"))).toBe(true);
    expect([entriesOmitted, root?.name]).toEqual([0, "default"]);
  });

  it("of one sandbox has that one alone; one that does not run has no namespaces and no processes", async () => {
    expect((await model("/v1/sandboxes/one/diagram")).sandboxes.map(({ name }) => name)).toEqual(["one"]);
    const [stored] = (await model("/v1/sandboxes/stored/diagram")).sandboxes;
    expect(stored).toMatchObject({ name: "stored", state: "created", namespaces: null, processes: null, entries: null });
    expect((await host.request("GET", "/v1/sandboxes/nobody/diagram")).body.code).toBe("sandbox-not-found");
  });
});

describe("the drawings", () => {
  it.each(["/v1/diagram", "/v1/sandboxes/two/diagram", "/v1/sandboxes/stored/diagram"])("%s is SVG that is well formed", async (path) => {
    const { status, headers, text } = await host.request("GET", path);
    expect([status, headers["content-type"]]).toEqual([200, "image/svg+xml; charset=utf-8"]);
    expect(headers["content-security-policy"]).toContain("default-src 'none'");
    const faults: string[] = [];
    const svg = new DOMParser({ onError: (level, message) => faults.push(`${level}: ${message}`) }).parseFromString(text, "image/svg+xml");
    expect([faults, svg.getElementsByTagName("b").length]).toEqual([[], 0]);
    expect(text).not.toContain("\u001b");
  });

  it("show each inode once", async () => {
    const { text } = await host.request("GET", "/v1/diagram");
    for (const { inode } of (await model()).namespaces) expect(text.split(`>${inode}</text>`).length, `${inode}`).toBe(2);
  });

  it("come as Mermaid", async () => {
    const { headers, text } = await host.request("GET", "/v1/diagram?format=mermaid");
    expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(text).toMatch(/^flowchart LR\n/);
    for (const { process } of sandboxes) expect(text).toContain(`p${process.pid}[`);
    expect(text).not.toMatch(/<b>|\p{Cc}(?<!\n)/u);
  });
});
