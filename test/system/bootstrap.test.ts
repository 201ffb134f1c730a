import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const script = (name: string): string => fileURLToPath(new URL(`../../script/${name}`, import.meta.url));

test("a bootstrap with nothing to do prints a line for each step", () => {
  const output = execFileSync(script("bootstrap"), { encoding: "utf8", cwd: "/" });
  expect(output.trimEnd().split("\n")).toEqual([
    expect.stringMatching(/^system +packages are there$/),
    expect.stringMatching(/^node +v(2[4-9]|[3-9]\d)\.\d+\.\d+ at \//),
    expect.stringMatching(/^npm +packages match package-lock\.json$/),
    expect.stringMatching(/^native +build\/unshared-supervisor is up to date$/),
    expect.stringMatching(/^web +web\/dist is up to date$/),
  ]);
});

test("the Node that bootstrap chose is the one that runs the tests", () => {
  const output = execFileSync(script("bootstrap"), { encoding: "utf8" });
  expect(output).toContain(`${process.version} at `);
});

test("script/server passes its flags to the daemon", () => {
  const help = spawnSync(script("server"), ["--help"], { encoding: "utf8", cwd: "/" });
  expect(help.status).toBe(0);
  expect(help.stdout).toContain("--state-dir");
  const refused = spawnSync(script("server"), ["--frobnicate"], { encoding: "utf8" });
  expect(refused.status).not.toBe(0);
  expect(refused.stderr).toContain("frobnicate");
});

test("bootstrap refuses a purpose that it does not know", () => {
  expect(spawnSync(script("bootstrap"), ["everything"]).status).toBe(2);
});
