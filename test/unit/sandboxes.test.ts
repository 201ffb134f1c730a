import { afterEach, beforeEach, expect, test } from "vitest";
import { DomainError } from "../../server/domain/errors.ts";
import { Recovery } from "../../server/domain/recovery.ts";
import { Sandboxes } from "../../server/domain/sandboxes.ts";
import { exited, makeRoom } from "../fixtures/sandbox-room.ts";

let made: ReturnType<typeof makeRoom>;
let sandboxes: Sandboxes;

beforeEach(() => {
  made = makeRoom();
  sandboxes = new Sandboxes(made.room);
});
afterEach(() => made.close());

const settle = () => new Promise((resolve) => setTimeout(resolve, 20));
const eventTypes = () =>
  made.database
    .prepare<[], { type: string }>("SELECT type FROM events ORDER BY id")
    .all()
    .map(({ type }) => type);

test("create with start gives a running report; its end by itself gives the true exit and no stale number", async () => {
  const { id, process: main, namespaces } = await sandboxes.create({ name: "a" }, true, "admin");
  expect(main?.pid).toBe(1001);
  expect(namespaces?.net).toEqual({ inode: 103, hostInode: 4, isolated: true, path: "/proc/1001/ns/net" });
  // When it began is the supervisor's to say: what it wrote since is what this run wrote.
  expect(made.room.store.get(id)?.startedAt).toBe(made.host.alive.get(id)?.startedAt);
  made.host.end(id, exited(7));
  const report = sandboxes.get("a");
  expect(report.status).toMatchObject({ state: "stopped", reason: "exited" });
  expect(report.exit).toMatchObject({ code: 7, signal: null });
  expect([report.process, report.namespaces, report.supervisor, report.ids, report.enter, report.bootId]).toEqual([
    null,
    null,
    null,
    null,
    null,
    null,
  ]);
  await settle();
  expect(made.host.released).toEqual([id]);
  expect(eventTypes()).toEqual(["sandbox.created", "sandbox.starting", "sandbox.running", "sandbox.stopping", "sandbox.stopped"]);
});

test("ten starts at once make one instance, and all get its report", async () => {
  await sandboxes.create({ name: "a" }, false, "admin");
  const reports = await Promise.all(Array.from({ length: 10 }, () => sandboxes.start("a")));
  expect(new Set(reports.map(({ process: main }) => main?.pid))).toEqual(new Set([1001]));
  expect(made.host.launches).toHaveLength(1);
  expect((await sandboxes.start("a")).process?.pid).toBe(1001);
});

test("a refused start at creation leaves no trace; a later start is kept as failed", async () => {
  made.host.launchError = new DomainError("command-not-found", "no such command");
  await expect(sandboxes.create({ name: "a" }, true, "admin")).rejects.toMatchObject({ code: "command-not-found" });
  expect(made.room.store.ids()).toEqual([]);
  expect(made.host.removed).toHaveLength(1);
  await sandboxes.create({ name: "a" }, false, "admin");
  await expect(sandboxes.start("a")).rejects.toMatchObject({ code: "command-not-found" });
  expect(sandboxes.get("a").status).toMatchObject({ state: "failed", reason: "launch-failed", message: "no such command" });
  made.host.launchError = null;
  expect((await sandboxes.start("a")).status.state).toBe("running");
});

test("a host that lacks a layer refuses the start and creates nothing", async () => {
  made.host.problems = [{ layer: "overlay", errno: 95, message: "not supported" }];
  await expect(sandboxes.create({ name: "a" }, true, "admin")).rejects.toMatchObject({ code: "host-not-ready" });
  expect(made.room.store.ids()).toEqual([]);
  expect(made.host.launches).toEqual([]);
});

test("stop keeps its own reason over the signal it caused, and is idempotent", async () => {
  await sandboxes.create({ name: "a" }, true, "admin");
  const [one, two] = await Promise.all([sandboxes.stop("a", 1), sandboxes.kill("a")]);
  for (const report of [one, two])
    expect(report).toMatchObject({ status: { state: "stopped", reason: "stopped-by-user" }, exit: { signal: "SIGTERM" } });
  expect((await sandboxes.stop("a", 1)).status.state).toBe("stopped");
  expect(sandboxes.receipt("a")).toMatchObject({ reason: "stopped-by-user", processes: 1, namespaces: { net: 103 } });
});

test("a grace may be any fraction of a second", async () => {
  await sandboxes.create({ name: "a" }, true, "admin");
  expect((await sandboxes.stop("a", 0.0123456)).status.state).toBe("stopped");
});

test("deletes at once share the work and the receipt; afterwards the sandbox is unknown", async () => {
  const { id } = await sandboxes.create({ name: "a" }, true, "admin");
  const receipts = await Promise.all([sandboxes.remove("a"), sandboxes.remove(id), sandboxes.remove("a")]);
  expect(new Set(receipts)).toHaveLength(1);
  expect(receipts[0]).toMatchObject({ id, reason: "deleted", processes: 1, files: 2, complete: true });
  expect(made.host.removed).toEqual([id]);
  expect(made.host.released).toEqual([id]);
  expect(() => sandboxes.get("a")).toThrow(DomainError);
});

test("a delete that meets a start waits for it, and a start that meets a delete is refused", async () => {
  await sandboxes.create({ name: "a" }, false, "admin");
  const start = sandboxes.start("a");
  const removal = sandboxes.remove("a");
  const late = sandboxes.start("a").catch((error: DomainError) => error.code);
  expect((await start).status.state).toBe("running");
  await removal;
  expect(["state-conflict", undefined]).toContain(await late.then((value) => (typeof value === "string" ? value : undefined)));
  expect(made.host.alive.size).toBe(0);
});

test("a name changed during the launch is not lost", async () => {
  await sandboxes.create({ name: "a" }, false, "admin");
  const start = sandboxes.start("a");
  await sandboxes.patch("a", { name: "b", labels: { k: "v" } }, 1);
  await start;
  expect(sandboxes.get("b")).toMatchObject({ generation: 2, labels: { k: "v" }, definition: { name: "b" }, status: { state: "running" } });
  await expect(sandboxes.patch("b", { name: "c" }, 1)).rejects.toMatchObject({ code: "precondition-failed" });
});

test("a lost supervisor is failed, cleaned up, and never reported as an exit", async () => {
  const { id } = await sandboxes.create({ name: "a" }, true, "admin");
  made.host.lose(id);
  await settle();
  expect(sandboxes.get("a")).toMatchObject({ status: { state: "failed", reason: "supervisor-lost" }, exit: null, process: null });
});

test("a lost supervisor that is still taken for alive is cleaned up a moment later", async () => {
  const { id } = await sandboxes.create({ name: "a" }, true, "admin");
  made.host.refusedCleans = 2;
  made.host.lose(id);
  await expect.poll(() => sandboxes.get("a").status.state, { timeout: 5_000 }).toBe("failed");
  expect(made.host.refusedCleans).toBe(0);
});

const recover = (bootId = "boot-1") => {
  const room = { ...made.room, bootId };
  const next = new Sandboxes(room);
  return { next, report: new Recovery(room, next.instances, { ids: async () => [] }).run() };
};

test("a new daemon adopts what lives and fails what is lost", async () => {
  const { id, process: main } = await sandboxes.create({ name: "lives" }, true, "admin");
  const lost = await sandboxes.create({ name: "lost" }, true, "admin");
  made.host.alive.delete(lost.id);
  const { next, report } = recover();
  expect(await report).toMatchObject({ adopted: [id], lost: [lost.id], problems: [] });
  expect(next.get("lives").process).toEqual(main);
  expect(next.get("lost").status).toMatchObject({ state: "failed", reason: "supervisor-lost" });
});

test("after a reboot nothing stale is shown", async () => {
  const { id } = await sandboxes.create({ name: "a" }, true, "admin");
  const { next, report } = recover("boot-2");
  expect(await report).toMatchObject({ rebooted: [id], adopted: [] });
  expect(next.get("a")).toMatchObject({
    status: { state: "failed", reason: "host-rebooted" },
    process: null,
    namespaces: null,
    exit: null,
  });
});

test("an instance without a row is ended", async () => {
  const { id } = await sandboxes.create({ name: "a" }, true, "admin");
  made.room.store.remove(id);
  const attach = made.host.attach.bind(made.host);
  made.host.attach = async (each) =>
    made.host.alive.has(each) ? attach(each) : ({ ...(await attach(each).catch(() => null)), state: "gone" } as never);
  expect(await recover().report).toMatchObject({ orphansStopped: [id] });
  expect(made.host.released).toEqual([id]);
});
