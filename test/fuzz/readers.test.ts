import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { Outcome } from "./fuzzer.ts";
import { targetNames } from "./targets.ts";

const long = process.env["UNSHARED_TEST_LONG"] === "1";
const milliseconds = long ? 15 * 60_000 : 1_500;
const seed = long ? Date.now() : 6;
const main = fileURLToPath(new URL("main.ts", import.meta.url));

test.for(targetNames)("whatever it reads, %s answers or refuses", { timeout: milliseconds + 60_000 }, async (name) => {
  const { stdout } = await promisify(execFile)(process.execPath, [main, name, String(milliseconds), String(seed)]);
  const outcome: Outcome = JSON.parse(stdout);
  process.stdout.write(`${name}: ${stdout}\n`);
  // A reader that is not looked at, or not told anything, would pass.
  expect(outcome.characters).toBeGreaterThan(100);
  expect(outcome.inputs).toBeGreaterThan(100);
});
