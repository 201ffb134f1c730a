import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Sandboxes } from "../../server/domain/sandboxes.ts";
import { ScheduleClock } from "../../server/domain/schedule-clock.ts";
import { makeRoom } from "../fixtures/sandbox-room.ts";

const years = 10 * 365 * 86_400_000;
const made: ReturnType<typeof makeRoom>[] = [];
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  made.push(makeRoom());
});
afterEach(async () => {
  vi.useRealTimers();
  for (const each of made.splice(0)) await each.close();
});

/** Of a sandbox that runs with a time to live and one to be idle of 600 s: how many seconds are left of both, by the host's clock. */
const running = async () => {
  const { room } = made[0] as ReturnType<typeof makeRoom>;
  const sandboxes = new Sandboxes(room);
  const { id } = await sandboxes.create({ lifetime: { ttlSeconds: 600, idleSeconds: 600 } }, true, "admin");
  const left = () => {
    const { expiresAt, idleAt } = room.store.get(id)?.schedule ?? {};
    return [expiresAt, idleAt].map((at) => Math.round(((at ?? 0) - Date.now()) / 10_000) * 10);
  };
  return { room, id, left };
};

it.each([years, -years, 3_600_000])("what is due moves with a clock that is set by %i ms (check 71)", async (step) => {
  const { room, left } = await running();
  expect(left()).toEqual([600, 600]);
  vi.setSystemTime(Date.now() + step);
  const now = room.clock.now();
  expect(Math.abs(now - Date.now())).toBeLessThan(1_000);
  expect(left()).toEqual([600, 600]);
  expect(room.store.due(now + 590_000, 10)).toEqual([]);
  expect(room.store.due(now + 610_000, 10)).toHaveLength(1);
});

it("what is due moves with a clock that was set while no daemon ran, but not over a reboot (check 71)", async () => {
  const { room, left } = await running();
  vi.setSystemTime(Date.now() + years);
  const next = (bootId: string) => new ScheduleClock(room.store, room.persistence, room.alarm, room.log, bootId).now();
  next("boot-1");
  expect(left()).toEqual([600, 600]);
  vi.setSystemTime(Date.now() + 60_000);
  next("boot-2");
  expect(left()).toEqual([540, 540]);
  next("boot-2");
  expect(left()).toEqual([540, 540]);
});

it("goes by the clock as it was where that cannot be stored", async () => {
  const { room, left } = await running();
  const before = Date.now();
  vi.setSystemTime(before + years);
  const broken = vi.spyOn(room.store, "moveSchedules").mockImplementation(() => {
    throw new Error("the disk is full");
  });
  expect(Math.abs(room.clock.now() - before)).toBeLessThan(20_000);
  broken.mockRestore();
  room.clock.now();
  expect(left()).toEqual([600, 600]);
});
