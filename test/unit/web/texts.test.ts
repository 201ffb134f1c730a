import { describe, expect, it } from "vitest";
import { formatAgo, formatBytes, formatCommand, formatMilliseconds, formatSeconds } from "../../../web/src/format.ts";
import { launchesOf, parseMetrics, phaseTotals } from "../../../web/src/pages/overview/metrics.ts";

describe("numbers as a person reads them", () => {
  it.each([
    [formatBytes(null), "–"],
    [formatBytes(0), "0 B"],
    [formatBytes(1023), "1023 B"],
    [formatBytes(1536), "1.5 KiB"],
    [formatBytes(268_435_456), "256 MiB"],
    [formatBytes(70_368_744_177_664), "64.0 TiB"],
    [formatMilliseconds(0.42), "0.4 ms"],
    [formatMilliseconds(1_500), "1.5 s"],
    [formatSeconds(59), "59 s"],
    [formatSeconds(61), "1 min 1 s"],
    [formatSeconds(7_260), "2 h 1 min"],
    [formatSeconds(90_000), "1 d 1 h"],
    [formatAgo("2026-01-01T00:00:00.000Z", Date.parse("2026-01-01T00:00:02Z")), "just now"],
    [formatAgo("2026-01-01T00:00:00.000Z", Date.parse("2026-01-01T00:02:00Z")), "2 min ago"],
    [formatCommand(["/bin/sh", "-c", "echo it's"]), "/bin/sh -c 'echo it'\\''s'"],
  ])("%s", (text, expected) => expect(text).toBe(expected));
});

describe("the daemon's numbers", () => {
  const text = `# HELP unshared_launch_phase_seconds Time of each phase.
# TYPE unshared_launch_phase_seconds histogram
unshared_launch_phase_seconds_bucket{le="0.001",phase="mounts"} 2
unshared_launch_phase_seconds_sum{phase="mounts"} 0.006
unshared_launch_phase_seconds_count{phase="mounts"} 3
unshared_launch_phase_seconds_sum{phase="prepare"} 0.001
unshared_launch_phase_seconds_count{phase="prepare"} 1
unshared_ready_shells 4
`;
  it("are read: the phases of launches, and how many there were", () => {
    const samples = parseMetrics(text);
    expect(samples).toContainEqual({ name: "unshared_ready_shells", labels: {}, value: 4 });
    const totals = phaseTotals(samples);
    expect(Object.fromEntries(totals)).toEqual({ mounts: { count: 3, seconds: 0.006 }, prepare: { count: 1, seconds: 0.001 } });
    expect([launchesOf(totals), launchesOf(new Map())]).toEqual([3, 0]);
  });
});
