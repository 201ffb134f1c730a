/** Back from inodes and pids to sandboxes: GET /v1/namespaces. */
import { type ChildProcess, spawn } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allPids, commandLine, inodeOf, inodesOf, startTicksOf, statusLine, until } from "../fixtures/processes.ts";
import { SandboxDaemon } from "../fixtures/sandbox-daemon.ts";

/** A main process with a child that has a child of its own: three sleeps that can be told apart. */
const family = { command: ["/bin/bash", "-c", "(sleep 1002 & exec sleep 1001) & wait"] };

let host: SandboxDaemon;
// biome-ignore lint/suspicious/noExplicitAny: reports, whose shape other tests state
let sandboxes: any[];
beforeAll(async () => {
  host = await SandboxDaemon.start("namespaces", 1_130_000_000);
  sandboxes = await Promise.all([
    host.run({ name: "first", ...family }),
    host.run({ name: "second", ...family }),
    host.run({ name: "host-pids", ...family, namespaces: { pid: false, net: false } }),
  ]);
  for (const report of sandboxes) await until("the family", () => host.pidsInside(report).length === (report.definition.init ? 4 : 3));
});
afterAll(() => host[Symbol.asyncDispose]());

const find = (query: string) => host.request("GET", `/v1/namespaces?${query}`);
const sleeper = (report: { process: { pid: number } }, seconds: number): number =>
  host.pidsInside(report).find((pid) => commandLine(pid)[1] === String(seconds)) ?? 0;
const childrenOf = (pid: number): number[] => allPids().filter((each) => Number(statusLine(each, "PPid")) === pid);
const ownerOf = ({ id, name }: { id: string; name: string }) => ({ id, name });

describe("an inode", () => {
  it("leads to the sandbox that has it, for each namespace of each sandbox", async () => {
    for (const report of sandboxes) {
      for (const [type, { inode, isolated }] of Object.entries<{ inode: number; isolated: boolean }>(report.namespaces)) {
        if (!isolated) continue;
        const { body } = await find(`inode=${inode}`);
        expect(body).toEqual({ items: [{ type, inode, host: false, sandboxes: [ownerOf(report)] }], process: null });
      }
    }
  });

  it("of the host says so, and names the sandboxes that share it", async () => {
    const { body } = await find(`inode=${inodeOf("self", "net")}`);
    expect(body.items).toEqual([{ type: "net", inode: inodeOf("self", "net"), host: true, sandboxes: [ownerOf(sandboxes[2])] }]);
    const time = (await find(`inode=${inodeOf("self", "time")}`)).body.items;
    expect(time[0].sandboxes).toHaveLength(3);
    expect((await find(`inode=${inodeOf("self", "user")}`)).body.items).toMatchObject([{ type: "user", host: true, sandboxes: [] }]);
  });

  it("that no namespace has gives an empty list", async () => {
    expect((await find("inode=1")).body).toEqual({ items: [], process: null });
  });
});

describe("a pid of the host", () => {
  it.each([0, 1, 2])("leads to the sandbox: main process, child and grandchild of number %i", async (index) => {
    const report = sandboxes[index];
    const { pid } = report.process;
    const [child, grandchild] = [sleeper(report, 1001), sleeper(report, 1002)];
    expect(Number(statusLine(child, "PPid"))).toBe(pid);
    expect(Number(statusLine(grandchild, "PPid"))).toBe(child);
    for (const each of [pid, child, grandchild]) {
      const { status, body } = await find(`pid=${each}`);
      expect(status).toBe(200);
      expect(body.process).toEqual({
        pid: each,
        pidInside: Number(statusLine(each, "NSpid").split(/\s+/).at(-1)),
        startTicks: startTicksOf(each),
        sandbox: ownerOf(report),
        role: each === pid ? "main" : "descendant",
        isMain: each === pid,
      });
      const seen = Object.fromEntries(body.items.map(({ type, inode }: { type: string; inode: number }) => [type, inode]));
      expect(seen).toEqual(inodesOf(each));
    }
  });

  it("leads to the sandbox whose init it is", async () => {
    const init = Number(statusLine(sandboxes[0].process.pid, "PPid"));
    expect((await find(`pid=${init}`)).body.process).toMatchObject({
      sandbox: ownerOf(sandboxes[0]),
      role: "init",
      pidInside: 1,
      isMain: false,
    });
  });

  it("entered from the host's shell shows its namespaces, though it is not of the sandbox", async () => {
    const [nsenter = "", ...args] = `${sandboxes[0].enter} /bin/sleep 1003`.split(" ");
    const entered: ChildProcess = spawn(nsenter, args, { stdio: "ignore" });
    try {
      const pid = await until("the sleep", () => {
        const children = [entered.pid ?? 0, ...childrenOf(entered.pid ?? 0)];
        return children.find((each) => commandLine(each)[0] === "/bin/sleep");
      });
      const { body } = await find(`pid=${pid}&type=net`);
      expect(body.items).toMatchObject([{ type: "net", inode: sandboxes[0].namespaces.net.inode, sandboxes: [ownerOf(sandboxes[0])] }]);
      expect(body.process).toMatchObject({ sandbox: null, role: null, isMain: false });
    } finally {
      for (const pid of childrenOf(entered.pid ?? 0)) process.kill(pid, "SIGKILL");
      entered.kill("SIGKILL");
    }
  });

  it("outside any sandbox is the host's", async () => {
    const { body } = await find(`pid=${process.pid}`);
    expect(body.process).toMatchObject({ pid: process.pid, sandbox: null, role: null });
    expect(body.items.every(({ host: own }: { host: boolean }) => own)).toBe(true);
  });

  it("that nobody has is 404", async () => {
    const { status, body } = await find("pid=4194304");
    expect([status, body.code]).toEqual([404, "not-found"]);
  });
});

describe("without filters", () => {
  it("gives each namespace of the host and the sandboxes once", async () => {
    const { items } = (await find("")).body;
    const expected = new Set(
      [inodesOf("self"), ...sandboxes.map(({ process: { pid } }) => inodesOf(pid))].flatMap((inodes) =>
        Object.entries(inodes).map(([type, inode]) => `${type} ${inode}`),
      ),
    );
    const given = items.map(({ type, inode }: { type: string; inode: number }) => `${type} ${inode}`);
    expect(given.sort()).toEqual([...expected].sort());
    const users = (await find("type=user")).body.items;
    expect(users).toHaveLength(4);
  });

  it("gives nothing of a sandbox that was stopped", async () => {
    const { inode } = sandboxes[1].namespaces.pid;
    const { pid } = sandboxes[1].process;
    await host.request("POST", "/v1/sandboxes/second/kill", {});
    expect((await find(`inode=${inode}`)).body.items).toEqual([]);
    expect((await find(`pid=${pid}`)).status).toBe(404);
    expect((await host.request("GET", "/v1/sandboxes/second/namespaces")).body).toMatchObject({ namespaces: null, enter: null });
  });
});
