import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DefinitionInput } from "../../server/domain/definition.ts";
import { DomainError } from "../../server/domain/errors.ts";
import { Lifetimes } from "../../server/domain/lifetimes.ts";
import { Recovery } from "../../server/domain/recovery.ts";
import type { Schedule } from "../../server/domain/sandbox-ports.ts";
import { reschedule } from "../../server/domain/sandbox-room.ts";
import { Sandboxes } from "../../server/domain/sandboxes.ts";
import { exited, makeRoom } from "../fixtures/sandbox-room.ts";

let made: ReturnType<typeof makeRoom>;
let sandboxes: Sandboxes;
let lifetimes: Lifetimes;

beforeEach(() => {
  made = makeRoom();
  sandboxes = new Sandboxes(made.room);
  lifetimes = new Lifetimes(made.room, sandboxes);
});
afterEach(async () => {
  await lifetimes.shutDown();
  await made.close();
});

const run = async (input: DefinitionInput): Promise<string> => (await sandboxes.create(input, true, "admin")).id;
const scheduleOf = (id: string): Schedule | undefined => made.room.store.get(id)?.schedule;
/** As if so much time had passed. */
const change = (id: string, changes: Partial<Schedule>): void => {
  const row = made.room.store.get(id);
  if (row === null) throw new Error("no such row");
  reschedule(made.room, { ...row, schedule: { ...row.schedule, ...changes } });
};
const stateOf = (id: string): string => made.room.store.get(id)?.state ?? "deleted";
const becomes = (id: string, state: string) => expect.poll(() => stateOf(id), { timeout: 5_000 }).toBe(state);
const eventsOf = (id: string): { type: string; data: Record<string, unknown> }[] =>
  made.database
    .prepare<[string], { type: string; data: string }>("SELECT type, data FROM events WHERE subject = ? ORDER BY id")
    .all(id)
    .map(({ type, data }) => ({ type, data: JSON.parse(data) }));
const typesOf = (id: string): string[] => eventsOf(id).map(({ type }) => type.replace("sandbox.", ""));
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "done",
    (error: unknown) => (error instanceof DomainError ? error.code : String(error)),
  );

describe("a lifetime", () => {
  test("begins with the start, is not put off by a restart, and is over when a caller stops it", async () => {
    const lifetime = { ttlSeconds: 100, idleSeconds: 10 };
    const { id } = await sandboxes.create({ lifetime, restart: { policy: "always" } }, false, "admin");
    expect(scheduleOf(id)).toMatchObject({ expiresAt: null, idleAt: null });
    const before = Date.now();
    await sandboxes.start(id);
    const first = scheduleOf(id);
    expect(first?.expiresAt).toBeGreaterThanOrEqual(before + 100_000);
    expect(first?.expiresAt).toBeLessThanOrEqual(Date.now() + 100_000);
    expect(first?.idleAt).toBeGreaterThanOrEqual(before + 10_000);
    expect(first?.idleAt).toBeLessThanOrEqual(Date.now() + 10_000);
    lifetimes.begin();
    made.host.end(id, exited(1));
    expect(scheduleOf(id)).toMatchObject({ expiresAt: first?.expiresAt, restartAt: expect.any(Number) });
    await becomes(id, "running");
    expect(scheduleOf(id)).toMatchObject({ expiresAt: first?.expiresAt, restartAt: null, restartCount: 1 });
    await sandboxes.stop(id, 1);
    expect(scheduleOf(id)).toMatchObject({ expiresAt: null, idleAt: null, restartAt: null });
  });

  test("that is over stops it, and the reason is that it expired", async () => {
    const id = await run({ lifetime: { ttlSeconds: 100, onExpiry: "stop" }, restart: { policy: "always" } });
    lifetimes.begin();
    change(id, { expiresAt: Date.now() - 1 });
    await becomes(id, "stopped");
    expect(sandboxes.get(id)).toMatchObject({
      status: { reason: "expired" },
      exit: { reason: "signaled" },
      lifetime: { expiresAt: null },
      restart: { nextAt: null },
    });
    expect(typesOf(id).slice(3)).toEqual(["expired", "stopping", "changed", "stopped"]);
    expect(sandboxes.receipt(id).reason).toBe("expired");
  });

  test("that is over deletes it, and the receipt says why", async () => {
    const id = await run({ lifetime: { idleSeconds: 100 } });
    lifetimes.begin();
    change(id, { idleAt: Date.now() - 1 });
    await becomes(id, "deleted");
    const events = eventsOf(id).slice(3);
    expect(typesOf(id).slice(3)).toEqual(["expired", "stopping", "changed", "stopped", "deleted"]);
    expect(events[0]?.data).toMatchObject({ by: "idle", onExpiry: "delete" });
    expect(events[4]?.data).toMatchObject({ receipt: { reason: "expired", complete: true } });
    expect(made.host.removed).toEqual([id]);
  });

  test("outlasts the sandbox's own end where it is to be deleted, not where it is to be stopped or a caller stopped it", async () => {
    const [deletes, stops, stopped] = [
      await run({ lifetime: { ttlSeconds: 100 } }),
      await run({ lifetime: { ttlSeconds: 100, onExpiry: "stop" } }),
      await run({ lifetime: { ttlSeconds: 100 } }),
    ];
    made.host.end(deletes, exited(0));
    made.host.end(stops, exited(0));
    await sandboxes.kill(stopped);
    expect([deletes, stops, stopped].map((id) => scheduleOf(id)?.expiresAt !== null)).toEqual([true, false, false]);
    expect(await codeOf(lifetimes.keepAlive(deletes))).toBe("done");
    for (const id of [stops, stopped]) expect(await codeOf(lifetimes.keepAlive(id))).toBe("state-conflict");
    lifetimes.begin();
    change(deletes, { expiresAt: Date.now() - 1 });
    await becomes(deletes, "deleted");
    expect([stateOf(stops), stateOf(stopped)]).toEqual(["stopped", "stopped"]);
  });

  test("that ends while a restart waits ends that, too", async () => {
    const id = await run({ lifetime: { ttlSeconds: 100, onExpiry: "stop" }, restart: { policy: "always" } });
    made.host.end(id, exited(1));
    change(id, { expiresAt: Date.now() - 1, restartAt: Date.now() - 1 });
    lifetimes.begin();
    await expect.poll(() => scheduleOf(id)).toEqual({ expiresAt: null, idleAt: null, restartAt: null, restartCount: 0 });
    expect(sandboxes.get(id).status).toMatchObject({ state: "stopped", reason: "expired" });
    expect(made.host.launches).toHaveLength(1);
  });

  test("does not take the reason from a stop that is under way", async () => {
    const id = await run({ lifetime: { ttlSeconds: 100 } });
    lifetimes.begin();
    const stop = sandboxes.stop(id, 1);
    await Promise.resolve();
    change(id, { expiresAt: Date.now() - 1 });
    await stop;
    expect(sandboxes.get(id)).toMatchObject({ status: { state: "stopped", reason: "stopped-by-user" }, lifetime: { expiresAt: null } });
    expect(typesOf(id)).not.toContain("expired");
  });

  test("that ended a sandbox is brought to its end by the next daemon, and told once", async () => {
    const id = await run({ lifetime: { ttlSeconds: 100 } });
    const stop = made.host.stop.bind(made.host);
    made.host.stop = async () => {};
    lifetimes.begin();
    change(id, { expiresAt: Date.now() - 1 });
    await becomes(id, "stopping");
    // The first daemon hangs there; another one takes over.
    made.host.stop = stop;
    const next = new Sandboxes(made.room);
    await new Recovery(made.room, next.instances, { ids: async () => [] }).run();
    const others = new Lifetimes(made.room, next);
    others.begin();
    await becomes(id, "deleted");
    expect(typesOf(id).filter((type) => type === "expired" || type === "deleted")).toEqual(["expired", "deleted"]);
  });
});

describe("idleness", () => {
  test("does not count while anybody uses it, and begins anew with the end of the last use", async () => {
    const id = await run({ name: "a", lifetime: { idleSeconds: 100 } });
    lifetimes.begin();
    const first = scheduleOf(id)?.idleAt ?? 0;
    const [one, two] = [lifetimes.use("a"), lifetimes.use(id)];
    expect(scheduleOf(id)?.idleAt).toBeNull();
    one();
    expect(scheduleOf(id)?.idleAt).toBeNull();
    two();
    expect(scheduleOf(id)?.idleAt).toBeGreaterThanOrEqual(first);
  });

  test("that was scheduled anew during a use, by a restart, does not end it", async () => {
    const id = await run({ lifetime: { idleSeconds: 100 } });
    lifetimes.begin();
    const over = lifetimes.use(id);
    change(id, { idleAt: Date.now() - 1 });
    await expect.poll(() => scheduleOf(id)?.idleAt).toBeNull();
    expect(stateOf(id)).toBe("running");
    over();
    expect(scheduleOf(id)?.idleAt).toBeGreaterThan(Date.now());
  });

  test("begins at the daemon's start where whoever used it was cut off", async () => {
    const id = await run({ lifetime: { idleSeconds: 100 } });
    lifetimes.use(id);
    const next = new Lifetimes(made.room, sandboxes);
    next.begin();
    expect(scheduleOf(id)?.idleAt).toBeGreaterThan(Date.now());
  });

  test("is nothing to sandboxes without it, unknown ones and those a caller stopped", async () => {
    const [plain, stopped] = [await run({}), await run({ lifetime: { idleSeconds: 100 } })];
    await sandboxes.stop(stopped, 1);
    for (const id of [plain, "nobody", stopped]) lifetimes.use(id)();
    for (const id of [plain, stopped]) expect(scheduleOf(id)?.idleAt).toBeNull();
  });
});

describe("keepAlive", () => {
  test("counts both times from now on, and never shortens", async () => {
    const id = await run({ lifetime: { ttlSeconds: 100, idleSeconds: 10 } });
    change(id, { expiresAt: Date.now() + 5_000, idleAt: Date.now() + 5_000 });
    const now = Date.now();
    const { lifetime } = await lifetimes.keepAlive(id);
    expect(Date.parse(lifetime.expiresAt ?? "")).toBeGreaterThanOrEqual(now + 100_000);
    expect(Date.parse(lifetime.idleExpiresAt ?? "")).toBeGreaterThanOrEqual(now + 10_000);
    change(id, { expiresAt: now + 1_000_000 });
    expect((await lifetimes.keepAlive(id)).lifetime.expiresAt).toBe(new Date(now + 1_000_000).toISOString());
  });

  test("comes too late once it has expired, and gives no lifetime to whoever has none", async () => {
    const [expired, plain] = [await run({ lifetime: { ttlSeconds: 100 } }), await run({})];
    change(expired, { expiresAt: Date.now() - 1 });
    expect(await codeOf(lifetimes.keepAlive(expired))).toBe("state-conflict");
    expect((await lifetimes.keepAlive(plain)).lifetime).toEqual({ expiresAt: null, idleExpiresAt: null });
    expect(await codeOf(lifetimes.keepAlive("nobody"))).toBe("sandbox-not-found");
  });
});

describe("a restart", () => {
  const failing: DefinitionInput = { restart: { policy: "on-failure", maxRetries: 2 } };

  test("follows a failure until it is given up; a caller's start begins anew", async () => {
    const id = await run(failing);
    lifetimes.begin();
    for (const count of [0, 1]) {
      made.host.end(id, exited(3));
      expect(sandboxes.get(id)).toMatchObject({ status: { state: "stopped", reason: "exited" }, restart: { count } });
      expect(sandboxes.get(id).restart.nextAt).not.toBeNull();
      await becomes(id, "running");
    }
    made.host.end(id, exited(3));
    expect(sandboxes.get(id)).toMatchObject({
      status: { state: "failed", reason: "exited", message: "the main process exited with 3; given up after 2 restarts in a row" },
      exit: { code: 3 },
      restart: { policy: "on-failure", count: 2, nextAt: null },
    });
    expect(typesOf(id).slice(-3)).toEqual(["stopping", "stopped", "failed"]);
    await sandboxes.start(id);
    expect(sandboxes.get(id).restart).toEqual({ policy: "on-failure", count: 0, nextAt: null });
  });

  test("that cannot be launched is one of them, also where the machine lacks what it needs", async () => {
    const id = await run(failing);
    lifetimes.begin();
    made.host.launchError = new DomainError("command-not-found", "no such command");
    made.host.end(id, exited(3));
    await expect.poll(() => made.host.launches.length, { timeout: 5_000 }).toBe(2);
    made.host.problems = [{ layer: "overlay", errno: 95, message: "not supported" }];
    await becomes(id, "failed");
    await expect.poll(() => sandboxes.get(id).restart, { timeout: 5_000 }).toMatchObject({ count: 2, nextAt: null });
    expect(sandboxes.get(id).status).toMatchObject({ state: "failed", reason: "launch-failed" });
    expect(sandboxes.get(id).status.message).toContain("overlay");
    expect(sandboxes.get(id).status.message).toContain("given up after 2 restarts");
    expect(typesOf(id).filter((type) => type === "starting")).toHaveLength(3);
  });

  test.each(["stop", "kill", "remove"] as const)("that waits is cancelled by %s", async (verb) => {
    const id = await run(failing);
    made.host.end(id, exited(3));
    expect(scheduleOf(id)?.restartAt).not.toBeNull();
    await (verb === "stop" ? sandboxes.stop(id, 0) : sandboxes[verb](id));
    lifetimes.begin();
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(made.host.launches).toHaveLength(1);
    if (verb === "remove") expect(stateOf(id)).toBe("deleted");
    else expect(sandboxes.get(id)).toMatchObject({ status: { state: "stopped", reason: "exited" }, restart: { nextAt: null } });
  });

  test("that waits is done by the next daemon", async () => {
    const id = await run(failing);
    made.host.end(id, exited(3));
    const next = new Sandboxes(made.room);
    const others = new Lifetimes(made.room, next);
    others.begin();
    await becomes(id, "running");
    expect(next.get(id).restart.count).toBe(1);
    await others.shutDown();
  });

  test("follows a lost supervisor", async () => {
    const id = await run(failing);
    lifetimes.begin();
    made.host.lose(id);
    await expect.poll(() => sandboxes.get(id).restart.count, { timeout: 5_000 }).toBe(1);
    await becomes(id, "running");
  });

  test("is never tried in a hot loop, even where nothing can be stored about it", async () => {
    const id = await run(failing);
    made.host.end(id, exited(3));
    let attempts = 0;
    sandboxes.startDue = async () => {
      attempts += 1;
      throw new Error("the disk is full");
    };
    lifetimes.begin();
    await expect.poll(() => attempts, { timeout: 5_000 }).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(attempts).toBe(1);
  });
});

test("many that are due at once are ended a few at a time", async () => {
  const ids = await Promise.all(Array.from({ length: 60 }, () => run({ lifetime: { ttlSeconds: 100 } })));
  let [now, most] = [0, 0];
  const release = made.host.releaseAndRemove.bind(made.host);
  made.host.releaseAndRemove = async (id) => {
    now += 1;
    most = Math.max(most, now);
    await new Promise((resolve) => setTimeout(resolve, 2));
    now -= 1;
    return release(id);
  };
  for (const id of ids) change(id, { expiresAt: Date.now() - 1 });
  lifetimes.begin();
  await expect.poll(() => made.room.store.ids(), { timeout: 10_000 }).toEqual([]);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(16);
});
