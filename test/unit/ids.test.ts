import { expect, test } from "vitest";
import { isId, newId } from "../../server/domain/ids.ts";

test("ids have the form of a lowercase ULID and sort in the order they were made", () => {
  const ids = Array.from({ length: 5_000 }, () => newId());
  for (const id of ids) expect(isId(id)).toBe(true);
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});

test("a clock that steps back breaks neither order nor form (check 71)", () => {
  const before = newId(Date.now() + 1_000);
  const after = newId(Date.now());
  expect(after > before).toBe(true);
  expect(isId(after)).toBe(true);
});

test("a clock that is set ten years forward and back again breaks neither order nor form (check 71)", () => {
  const tenYears = 10 * 365.25 * 86_400_000;
  const now = Date.now() + 2_000;
  const ids = [now, now + tenYears, now + tenYears + 1, now, now - tenYears, now + 1].map((time) => newId(time));
  expect([...ids].sort()).toEqual(ids);
  expect([new Set(ids).size, ids.every(isId)]).toEqual([ids.length, true]);
});

test("the time is in the first ten characters", () => {
  const far = 2 ** 47;
  const digits = "0123456789abcdefghjkmnpqrstvwxyz";
  const time = [...newId(far).slice(0, 10)].reduce((sum, digit) => sum * 32 + digits.indexOf(digit), 0);
  expect(time).toBe(far);
});
