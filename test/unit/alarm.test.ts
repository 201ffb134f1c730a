import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Alarm } from "../../server/domain/alarm.ts";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

/** An alarm that notes when it rings, and is given these times as the next. */
const ringing = (...next: number[]): { alarm: Alarm; rang: number[] } => {
  const alarm = new Alarm();
  const rang: number[] = [];
  alarm.begin(() => {
    rang.push(Date.now() - 1_000_000);
    return next.length === 0 ? null : 1_000_000 + (next.shift() ?? 0);
  });
  return { alarm, rang };
};

test("rings at the beginning, then when something is due, and sleeps when nothing is", () => {
  const { rang } = ringing(500, 800);
  vi.advanceTimersByTime(499);
  expect(rang).toEqual([0]);
  vi.advanceTimersByTime(10_000);
  expect(rang).toEqual([0, 500, 800]);
  expect(vi.getTimerCount()).toBe(0);
});

test("rings earlier when told to, and has one timer whatever it is told", () => {
  const { alarm, rang } = ringing(5_000, 5_000);
  vi.advanceTimersByTime(100);
  for (const at of [9_000, 2_000, 3_000]) alarm.by(1_000_000 + at);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(10_000);
  expect(rang).toEqual([0, 2_000, 5_000]);
});

test("looks again within the hour, so that a clock that is set forward costs no more, and for a year ahead needs no more (check 71)", () => {
  const year = 365 * 86_400_000;
  const { rang } = ringing(...Array.from({ length: 20 }, () => year));
  vi.advanceTimersByTime(3 * 3_600_000);
  expect(rang).toEqual([0, 3_600_000, 7_200_000, 10_800_000]);
});

test("does not ring before it has begun, nor after its end", () => {
  const alarm = new Alarm();
  alarm.by(0);
  expect(vi.getTimerCount()).toBe(0);
  const rang: number[] = [];
  alarm.begin(() => rang.push(1) && null);
  alarm.end();
  alarm.by(0);
  vi.advanceTimersByTime(10_000);
  expect(rang).toEqual([]);
});
