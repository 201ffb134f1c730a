import { expect, test } from "vitest";
import { fitsName } from "../../server/domain/run-patterns.ts";
import { RunQueue } from "../../server/domain/run-queue.ts";

const takeAll = (queue: RunQueue): string[] => {
  const taken: string[] = [];
  for (let id = queue.take(); id !== null; id = queue.take()) taken.push(id);
  return taken;
};

test("callers take turns, whoever sent more", () => {
  const queue = new RunQueue();
  for (const id of ["a1", "a2", "a3", "a4"]) queue.add("a", id);
  for (const id of ["b1", "b2"]) queue.add("b", id);
  queue.add("c", "c1");
  expect(takeAll(queue)).toEqual(["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
  expect(queue.length).toBe(0);
});

test("a position is the place at which it is taken, at every moment", () => {
  const queue = new RunQueue();
  for (const id of ["a1", "a2", "a3", "b1", "c1", "c2", "a4", "b2"]) queue.add(id.charAt(0), id);
  expect(queue.remove("a", "a2")).toBe(true);
  expect(queue.remove("a", "a2")).toBe(false);
  expect(queue.position("a", "a2")).toBe(null);
  let waiting = ["a1", "b1", "c1", "a3", "b2", "c2", "a4"];
  while (waiting.length > 0) {
    expect(waiting.map((id) => queue.position(id.charAt(0), id))).toEqual(waiting.map((_, index) => index + 1));
    expect(queue.take()).toBe(waiting[0]);
    waiting = waiting.slice(1);
  }
});

test.each([
  ["*", "a", true],
  ["*", ".a", false],
  [".*", ".a", true],
  ["*.txt", "a.txt", true],
  ["*.txt", "a.txt.gz", false],
  ["?b*d", "abcd", true],
  ["?b*d", "abcde", false],
  ["a**b", "ab", true],
  ["[a]", "a", false],
])("the pattern %s and the name %s: %s", (pattern, name, fits) => {
  expect(fitsName(pattern, name)).toBe(fits);
});

test("no pattern takes long", () => {
  const began = performance.now();
  expect(fitsName("*a".repeat(127), "a".repeat(126) + "b".repeat(129))).toBe(false);
  expect(performance.now() - began).toBeLessThan(10_000);
});
