import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { describe, expect, it } from "vitest";
import { hostLoad } from "../../../server/host/host-load.ts";

const read = (path: string): string => readFileSync(path, "latin1");

describe("the load of the host", () => {
  it("is what the kernel tells", async () => {
    const { cpus, loadAverage, memory, pressure } = await hostLoad();
    expect(cpus).toBe(availableParallelism());
    expect(memory.totalBytes).toBe(Number(/^MemTotal: +(\d+)/m.exec(read("/proc/meminfo"))?.[1]) * 1024);
    expect(memory.availableBytes).toBeGreaterThan(0);
    expect(memory.availableBytes).toBeLessThan(memory.totalBytes);
    const told = read("/proc/loadavg").split(" ").slice(0, 3).map(Number);
    // Of three averages the longest moves slowly enough to be read twice.
    expect(Math.abs((loadAverage[2] ?? 0) - (told[2] ?? 0))).toBeLessThan(0.5);
    const total = Number(/^some .*total=(\d+)/m.exec(read("/proc/pressure/cpu"))?.[1]) / 1e6;
    expect(pressure?.cpu.totalSeconds).toBeGreaterThan(0);
    expect(pressure?.cpu.totalSeconds).toBeLessThanOrEqual(total);
  });
});
