import { expect, test } from "vitest";
import { LimitPolicy, liveLimitsOf } from "../../server/domain/limits.ts";

const usual = { memoryBytes: null, cpus: null, cpuWeight: 100, pids: 512, diskBytes: null, openFiles: 1_024, outputBytes: 1_048_576 };

test("what nothing says anything on is as usual", () => {
  expect(new LimitPolicy().complete(undefined)).toEqual(usual);
  expect(liveLimitsOf(usual)).toEqual({
    memoryBytes: 0,
    cpuQuotaMicroseconds: 0,
    cpuWeight: 100,
    pids: 512,
    openFiles: 1_024,
    diskBytes: 0,
  });
  expect(liveLimitsOf({ ...usual, cpus: 0.015 }).cpuQuotaMicroseconds).toBe(1_500);
});

test("the daemon's defaults hold where a definition is silent, and null takes them away", () => {
  const policy = new LimitPolicy({ memoryBytes: 5_000_000, pids: 9 });
  expect(policy.complete({ cpus: 1 })).toEqual({ ...usual, memoryBytes: 5_000_000, pids: 9, cpus: 1 });
  expect(policy.complete({ memoryBytes: null }).memoryBytes).toBeNull();
});

test("no limit is the most where there is a most; what is asked for beyond it is a fault", () => {
  const policy = new LimitPolicy({}, { memoryBytes: 1_000_000_000, pids: 100 });
  expect(policy.complete({})).toEqual({ ...usual, memoryBytes: 1_000_000_000, pids: 100 });
  expect(policy.faults(policy.complete({ memoryBytes: null }))).toEqual([]);
  expect(new LimitPolicy({}, { diskBytes: 2 ** 30 }).complete({ diskBytes: null }).diskBytes).toBe(2 ** 30);
  expect(policy.faults(policy.complete({ pids: 101 })).map(({ pointer }) => pointer)).toEqual(["/limits/pids"]);
});

test("a change leaves what it does not name", () => {
  const before = { ...usual, pids: 7, memoryBytes: 2_000_000 };
  expect(new LimitPolicy({ pids: 9 }).complete({ memoryBytes: null }, before)).toEqual({ ...before, memoryBytes: null });
});
