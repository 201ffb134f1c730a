import { describe, expect, test } from "vitest";
import { completeDefinition } from "../../server/domain/definitions.ts";
import { LimitPolicy } from "../../server/domain/limits.ts";
import { backoffMilliseconds, restartAfter, stableMilliseconds } from "../../server/domain/restarts.ts";
import type { SandboxRow } from "../../server/domain/sandbox-ports.ts";
import { unscheduled } from "../../server/domain/schedules.ts";
import { exited } from "../fixtures/sandbox-room.ts";

const now = 1_800_000_000_000;

const rowOf = (restart: { policy: "never" | "on-failure" | "always"; maxRetries?: number | null }, changes: Partial<SandboxRow>) =>
  ({
    definition: completeDefinition({ restart }, "a", "admin", new LimitPolicy()),
    state: "stopped",
    reason: "exited",
    exit: { ...exited(1), exitedAt: now },
    startedAt: now - 50,
    stopBy: null,
    schedule: unscheduled,
    ...changes,
  }) as SandboxRow;

const decide = (row: SandboxRow, random = 0, before: Partial<SandboxRow> = {}) =>
  restartAfter({ ...row, state: "stopping", ...before }, row, now, random);

describe("the pause before a restart", () => {
  test("doubles from 200 ms to a minute, however many there were", () => {
    expect([0, 1, 2, 3, 8, 9, 1_000, 1e9].map((count) => backoffMilliseconds(count, 0))).toEqual([
      200, 400, 800, 1_600, 51_200, 60_000, 60_000, 60_000,
    ]);
  });

  test("loses up to half of it by chance", () => {
    expect(backoffMilliseconds(3, 0.5)).toBe(1_200);
    expect(backoffMilliseconds(3, 1 - Number.EPSILON)).toBe(800);
    expect(backoffMilliseconds(0, 1 - Number.EPSILON)).toBe(100);
  });
});

describe("an end", () => {
  const zero = { exit: { ...exited(0), exitedAt: now } };
  const killed = { reason: "signaled", exit: { ...exited(0), reason: "signaled" as const, code: null, signal: "SIGKILL", exitedAt: now } };
  test.each<[string, Partial<SandboxRow>, string]>([
    ["exited with 0", zero, "none none restart"],
    ["exited with 1", {}, "none restart restart"],
    ["signaled", killed, "none restart restart"],
    ["out-of-memory", { ...killed, reason: "out-of-memory" }, "none restart restart"],
    ["supervisor-lost", { state: "failed", reason: "supervisor-lost", exit: null }, "none restart restart"],
    ["launch-failed of a caller's start", { state: "failed", reason: "launch-failed", exit: null, startedAt: null }, "none none none"],
    [
      "launch-failed of a restart",
      { state: "failed", reason: "launch-failed", exit: null, startedAt: null, schedule: { ...unscheduled, restartCount: 1 } },
      "none restart restart",
    ],
    ["stopped-by-user", { reason: "stopped-by-user" }, "none none none"],
    ["expired", { reason: "expired" }, "none none none"],
    ["host-rebooted", { state: "failed", reason: "host-rebooted", exit: null }, "none none none"],
  ])("%s is followed by what each policy says", (_what, changes, expected) => {
    const kinds = (["never", "on-failure", "always"] as const).map((policy) => decide(rowOf({ policy }, changes)).kind);
    expect(kinds.join(" ")).toBe(expected);
  });

  test("that a caller or a lifetime asked for is final, whatever it looks like in the end", () => {
    const row = rowOf({ policy: "always" }, { state: "failed", reason: "supervisor-lost" });
    expect(decide(row, 0, { stopBy: now }).kind).toBe("none");
    for (const schedule of [
      { ...unscheduled, expiresAt: now },
      { ...unscheduled, idleAt: now - 1 },
    ])
      expect(decide(rowOf({ policy: "always" }, { schedule })).kind).toBe("none");
    expect(decide(rowOf({ policy: "always" }, { schedule: { ...unscheduled, expiresAt: now + 1 } })).kind).toBe("restart");
  });

  test("is followed by so many restarts as were allowed, each later than the one before", () => {
    const decisions = [0, 1, 2].map((restartCount) =>
      decide(rowOf({ policy: "on-failure", maxRetries: 2 }, { schedule: { ...unscheduled, restartCount } }), 0.5),
    );
    expect(decisions).toEqual([
      { kind: "restart", at: now + 150, count: 0 },
      { kind: "restart", at: now + 300, count: 1 },
      { kind: "given-up", count: 2 },
    ]);
    expect(decide(rowOf({ policy: "on-failure", maxRetries: 0 }, {})).kind).toBe("given-up");
    const schedule = { ...unscheduled, restartCount: 1_000_000 };
    expect(decide(rowOf({ policy: "always" }, { schedule }))).toEqual({ kind: "restart", at: now + 60_000, count: 1_000_000 });
  });

  test("after a sound run begins a new row; when it ended counts, not when that was found out", () => {
    const schedule = { ...unscheduled, restartCount: 3 };
    const ran = (milliseconds: number, exitedAt = now) =>
      decide(rowOf({ policy: "on-failure" }, { schedule, startedAt: exitedAt - milliseconds, exit: { ...exited(1), exitedAt } })).kind;
    expect([ran(stableMilliseconds - 1), ran(stableMilliseconds)]).toEqual(["given-up", "restart"]);
    expect(ran(stableMilliseconds - 1, now - 3_600_000)).toBe("given-up");
  });

  test("by a reboot is followed by a start at once where autostart says so, whatever the policy", () => {
    const row = rowOf({ policy: "never" }, { state: "failed", reason: "host-rebooted", exit: null });
    row.definition.autostart = true;
    expect(decide(row)).toEqual({ kind: "restart", at: now, count: 0 });
    expect(decide(row, 0, { stopBy: now }).kind).toBe("none");
    row.schedule = { ...unscheduled, expiresAt: now };
    expect(decide(row).kind).toBe("none");
  });
});
