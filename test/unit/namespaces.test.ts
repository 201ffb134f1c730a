import { afterEach, beforeEach, expect, test } from "vitest";
import { NamespaceIndex } from "../../server/domain/namespaces.ts";
import type { ProcessFacts } from "../../server/domain/ports.ts";
import { Sandboxes } from "../../server/domain/sandboxes.ts";
import { exited, hostInodes, makeRoom } from "../fixtures/sandbox-room.ts";

let made: ReturnType<typeof makeRoom>;
let sandboxes: Sandboxes;
let index: NamespaceIndex;
const processes = new Map<number, ProcessFacts>();

beforeEach(async () => {
  made = makeRoom();
  sandboxes = new Sandboxes(made.room);
  const proc = { bootId: () => "boot-1", process: async (pid: number) => processes.get(pid) ?? null };
  index = new NamespaceIndex(made.room.store, proc, () => hostInodes);
  await sandboxes.create({ name: "one" }, true, "admin");
  await sandboxes.create({ name: "two", namespaces: { net: false } }, true, "admin");
});
afterEach(() => made.close());

const find = (filter: Partial<Parameters<NamespaceIndex["find"]>[0]>) =>
  index.find({ view: null, type: null, inode: null, pid: null, ...filter });
const names = (entries: { sandboxes: { name: string }[] }[]) => entries.flatMap((entry) => entry.sandboxes.map(({ name }) => name));

test("an inode is found with its sandbox, each once", async () => {
  const { items } = await find({ inode: 103 });
  expect(items).toMatchObject([{ type: "net", inode: 103, host: false, sandboxes: [{ name: "one" }] }]);
  expect((await find({ inode: 4026531999 })).items).toEqual([]);
});

test("the host's own inodes are said to be the host's", async () => {
  expect((await find({ inode: 4 })).items).toMatchObject([{ type: "net", inode: 4, host: true }]);
  expect((await find({ type: "uts" })).items.map(({ inode, host }) => [inode, host])).toEqual([
    [2, true],
    [101, false],
    [201, false],
  ]);
});

test("a grandchild is found by its cgroup, whatever namespaces it is in", async () => {
  processes.set(5555, { pid: 5555, startTicks: 1, pidsInside: [5555, 9, 1], inodes: { pid: 777 }, cgroups: ["/", "/test/1/below"] });
  const { process, items } = await find({ pid: 5555 });
  expect(process).toMatchObject({ pidInside: 1, sandbox: { name: "one" }, role: "descendant", isMain: false });
  expect(items).toEqual([{ type: "pid", inode: 777, host: false, sandboxes: [] }]);
});

test("a cgroup whose name merely begins the same is another's", async () => {
  processes.set(6, { pid: 6, startTicks: 1, pidsInside: [6], inodes: {}, cgroups: ["/test/11"] });
  expect((await find({ pid: 6 })).process).toMatchObject({ sandbox: null, role: null });
});

test("the main process is told by pid and start time, so a recycled pid is not", async () => {
  processes.set(1001, { pid: 1001, startTicks: 7, pidsInside: [1001, 2], inodes: {}, cgroups: ["/test/1"] });
  expect((await find({ pid: 1001 })).process).toMatchObject({ role: "main", isMain: true, pidInside: 2 });
  processes.set(1001, { pid: 1001, startTicks: 8, pidsInside: [1001, 2], inodes: {}, cgroups: ["/test/1"] });
  expect((await find({ pid: 1001 })).process).toMatchObject({ role: "descendant", isMain: false });
});

test("a pid that is no process is not found", async () => {
  await expect(find({ pid: 404 })).rejects.toMatchObject({ code: "not-found" });
});

test("an ended sandbox owns nothing any more", async () => {
  const { id } = sandboxes.get("one");
  made.host.end(id, exited(0));
  expect((await find({ inode: 103 })).items).toEqual([]);
  expect(names((await find({})).items)).not.toContain("one");
});
