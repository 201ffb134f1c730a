/** What the preflight says of settings of the host, by files of proc(5) and cgroups(7) as a kernel has them, in a directory. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import type { LauncherFacts } from "../../../server/domain/instance-ports.ts";
import { type Check, verdictOf } from "../../../server/domain/preflight.ts";
import { settingChecks } from "../../../server/host/preflight-settings.ts";

const folder = mkdtempSync(join(tmpdir(), "unshared-proc-"));
afterAll(() => rmSync(folder, { recursive: true }));

const proc = join(folder, "proc");
const write = (path: string, text: string): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
};
const facts = (cgroupLayout: string): LauncherFacts => ({ cgroupLayout, cgroupParent: "parent" }) as LauncherFacts;
const checkOf = async (name: string, of: LauncherFacts | null = facts("v2")): Promise<Check | undefined> =>
  (await settingChecks(of, proc)).find((check) => check.name === name);
const swaps = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

/** A host on which nothing is weak. */
beforeEach(() => {
  rmSync(proc, { recursive: true, force: true });
  rmSync(join(folder, "cgroup"), { recursive: true, force: true });
  write("proc/sys/kernel/core_pattern", "core\n");
  write("proc/sys/kernel/yama/ptrace_scope", "1\n");
  for (const [name, value] of Object.entries({ symlinks: 1, hardlinks: 1, fifos: 1, regular: 2 }))
    write(`proc/sys/fs/protected_${name}`, `${value}\n`);
  write("proc/swaps", swaps);
  write("proc/self/mounts", `cgroup2 ${folder}/cgroup/v2 cgroup2 rw 0 0\ncgroup ${folder}/cgroup/memory cgroup rw,memory 0 0\n`);
});

it("a host on which nothing is weak is told so, setting by setting", async () => {
  const checks = await settingChecks(facts("v2"), proc);
  expect(checks.map(({ name, status }) => [name, status])).toEqual(
    ["core-pattern", "swap", "yama", "protected-links"].map((name) => [name, "ok"]),
  );
  for (const { cost, remedy } of checks) expect([cost, remedy]).toEqual([null, null]);
});

describe("what is weak", () => {
  it.each(["|/usr/lib/systemd/systemd-coredump %P %u", "@/run/cores.socket"])(
    "is a core_pattern that hands cores on: %s",
    async (pattern) => {
      write("proc/sys/kernel/core_pattern", `${pattern}\n`);
      expect(await checkOf("core-pattern")).toMatchObject({
        status: "weak",
        detail: `kernel.core_pattern is "${pattern}"`,
        cost: expect.stringContaining("nsenter"),
        remedy: "sysctl -w kernel.core_pattern=core",
      });
    },
  );

  it("is no core_pattern with a path or nothing", async () => {
    for (const pattern of ["/var/crash/%p", ""]) {
      write("proc/sys/kernel/core_pattern", `${pattern}\n`);
      expect(await checkOf("core-pattern")).toMatchObject({ status: "ok" });
    }
  });

  it("is no Yama, or one that is off", async () => {
    write("proc/sys/kernel/yama/ptrace_scope", "0\n");
    expect(await checkOf("yama")).toMatchObject({ status: "weak", remedy: "sysctl -w kernel.yama.ptrace_scope=1" });
    rmSync(join(proc, "sys/kernel/yama"), { recursive: true });
    expect(await checkOf("yama")).toMatchObject({ status: "weak", detail: "the kernel has no Yama" });
  });

  it("is each guard of sticky directories that is off; the remedy is for these alone", async () => {
    write("proc/sys/fs/protected_fifos", "0\n");
    write("proc/sys/fs/protected_regular", "0\n");
    expect(await checkOf("protected-links")).toMatchObject({
      status: "weak",
      detail: "fs.protected_fifos is 0, fs.protected_regular is 0",
      remedy: "sysctl -w fs.protected_fifos=1 fs.protected_regular=2",
    });
  });

  it.each([
    ["v2", "cgroup/v2/parent/memory.swap.max"],
    ["hybrid", "cgroup/memory/memory.memsw.limit_in_bytes"],
  ])("is swap where the kernel limits none of it: %s", async (layout, limit) => {
    expect(await checkOf("swap", facts(layout))).toMatchObject({ status: "ok", detail: "there is none" });
    write("proc/swaps", `${swaps}/dev/sda2 partition\t8388604\t0\t-2\n`);
    expect(await checkOf("swap", facts(layout))).toMatchObject({ status: "weak", remedy: expect.stringContaining("swapaccount=1") });
    write(limit, "max\n");
    expect(await checkOf("swap", facts(layout))).toMatchObject({ status: "ok" });
    // Who would set the limit does not answer.
    expect(await checkOf("swap", null)).toBeUndefined();
  });

  it("leaves the verdict alone", async () => {
    rmSync(join(proc, "sys/kernel/yama"), { recursive: true });
    const checks = await settingChecks(facts("v2"), proc);
    expect(checks.map(({ status }) => status)).toContain("weak");
    expect(verdictOf(checks)).toBe("ok");
    expect(verdictOf([...checks, { name: "x", status: "degraded", detail: "", cost: null, remedy: null }])).toBe("degraded");
  });
});

it("of this machine the same is told as its own files say", async () => {
  for (const path of [
    "sys/kernel/core_pattern",
    "sys/kernel/yama/ptrace_scope",
    ...["symlinks", "hardlinks", "fifos", "regular"].map((name) => `sys/fs/protected_${name}`),
  ]) {
    rmSync(join(proc, path), { force: true });
    if (existsSync(join("/proc", path))) write(`proc/${path}`, readFileSync(join("/proc", path), "utf8"));
  }

  expect(await settingChecks(null, proc)).toEqual(await settingChecks(null));
});
