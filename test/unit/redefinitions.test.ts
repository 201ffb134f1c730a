import { afterEach, beforeEach, expect, test } from "vitest";
import type { LiveLimits } from "../../server/domain/instance-ports.ts";
import { liveLimitsOf } from "../../server/domain/limits.ts";
import { reconcileLimits, redefine } from "../../server/domain/redefinitions.ts";
import { Sandboxes } from "../../server/domain/sandboxes.ts";
import { makeRoom } from "../fixtures/sandbox-room.ts";

let made: ReturnType<typeof makeRoom>;
beforeEach(() => {
  made = makeRoom();
});
afterEach(() => made.close());

test("a supervisor that is found while a change is under way keeps what the change stores", async () => {
  const { room, host } = made;
  const sandboxes = new Sandboxes(room);
  const { id } = await sandboxes.create({ limits: { pids: 64 } }, true, "admin");
  // The kernel has taken the change; its answer is on its way while the connection is made anew.
  const taken = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const take = host.limit.bind(host);
  host.limit = async (...order: [string, LiveLimits]) => {
    host.limit = take;
    await take(...order);
    taken.resolve();
    await answer.promise;
  };
  const change = redefine(room, id, { limits: { pids: 32 } }, null);
  await taken.promise;
  const found = reconcileLimits(room, id, await host.attach(id));
  answer.resolve();
  await Promise.all([change, found]);
  expect(room.store.get(id)?.definition.limits.pids).toBe(32);
  expect(host.limits.get(id)?.pids).toBe(32);
});

test("changes at once reach the kernel in the order in which they are stored", async () => {
  const { room, host } = made;
  const sandboxes = new Sandboxes(room);
  const { id } = await sandboxes.create({ limits: { pids: 64 } }, true, "admin");
  const take = host.limit.bind(host);
  let wait = 8;
  host.limit = async (...order: [string, LiveLimits]) => {
    // The earlier, the later.
    wait -= 2;
    await new Promise((next) => setTimeout(next, wait));
    await take(...order);
  };
  const changes = [16, 32, 48].map((pids) => redefine(room, id, { limits: { pids } }, null));
  const generations = (await Promise.all(changes)).map(({ generation }) => generation);
  expect(generations).toEqual([2, 3, 4]);
  const stored = room.store.get(id)?.definition.limits;
  expect(stored?.pids).toBe(48);
  expect(host.limits.get(id)).toEqual(stored && liveLimitsOf(stored));
});
